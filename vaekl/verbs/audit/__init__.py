"""`vaekl audit`: what a loss assumes, and what a data set lets survive of the latents.

Nothing here imports torch before data are looked at.
"""

from pathlib import Path

from vaekl.config.own_file import file_and_name
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import show

HELP = """\
vaekl audit reconstruction=NAME [key=value ...]           what a loss assumes: no run needed, nothing is written
vaekl audit FILE.py:LOSS [key=value ...] [--json]         what a loss is that is written in Python: by evaluating it
vaekl audit 'F.mse_loss(recon, x) + 0.1 * kl' [...]       the same of one that is pasted
vaekl audit RUN                                           the same for a run
vaekl audit dataset=NAME [key=value ...]                  how many latents of a linear VAE survive each β_KL

Examples
  vaekl audit reconstruction=mse reduction=mean kl_weight=0.00025 shape=[3,64,64] latents=128
  vaekl audit reconstruction=bce beta=4 data=binary shape=[1,64,64] latents=10
  vaekl audit reconstruction=bce batch_reduction=sum kl_batch_reduction=sum shape=[1,28,28]
  vaekl audit my_code.py:loss_function shape=[1,28,28] latents=20
  vaekl audit my_code.py:VAE.loss_function M_N=0.005 --json
  vaekl audit outputs/<run>
  vaekl audit dataset=digits
  vaekl audit dataset=mnist latents=20 beta_kl=[0.01,0.1,1]

A loss
  reconstruction        mse: (x − x̂)²; l1: |x − x̂|; bce: binary cross-entropy; gaussian_nll: torch's GaussianNLLLoss;
                        poisson: torch's PoissonNLLLoss, of log_input; nb: the negative binomial of scvi-tools
  half=false            true: ½ before the square
  full=false            true: gaussian_nll with its ½ ln(2π), poisson with its ln x!
  reduction=sum         over an image's values: sum or mean; PyTorch's reduction="sum" is batch_reduction=sum too
  kl_reduction=sum      over the latents: sum or mean
  batch_reduction=mean  of the reconstruction over the batch: mean or sum
  kl_batch_reduction=mean     of the KL over the batch; where the two differ batch_size is needed
  reconstruction_weight=1     what the reconstruction is multiplied by
  kl_weight=1           what the KL is multiplied by; also called kld_weight, M_N; M_N: batch_size/train_images
  beta=1                a further factor of the KL; beta_norm: the same as β·Z/N (Higgins et al.)
  shape=[C,H,W]         of an image, or [D] of a vector, ...; N values. Needed for means, and for the constant in nats
  latents               Z
  batch_size, train_images
  range=[0,1]           between which values the data lie
  data=grey             for bce: grey or binary

A loss in Python
  shape, latents, batch_size, train_images, range, data    as above; shapes are guessed where none are given
  NAME=NUMBER           for an argument of the loss, as in kld_weight=0.00025
  seconds=120           after which the process that evaluates it is ended

A forecast
  latents=8             Z; one fewer than the values where these are 8 or fewer
  beta_kl=[...]         values to look at; ten over the spectrum where none are given
  dataset.KEY, transform, transform.KEY, data_dir, valid, split_seed    as in `vaekl train --help`
  output_dir=outputs    where audit_NAME.png and audit_NAME.json go
  --config-dir DIR      your own data sets
"""


def main(words: list[str]) -> int:
    """Audit a loss, a run or a data set; returns the exit code.

    Raises:
        VaeklError: one sentence for any mistake in the words.
    """
    if "-h" in words or "--help" in words:
        show(HELP, end="")
        return 0
    if not words:
        raise VaeklError("audit needs a loss, a run or a data set, as in `vaekl audit dataset=digits`: see --help.")
    if (named := file_and_name(words[0])) is not None:
        from vaekl.verbs.audit.probe.words import audit_file

        audit_file(*named, words[1:])
        return 0
    if "(" in words[0] and not words[0].partition("=")[0].isidentifier() and not Path(words[0]).exists():
        from vaekl.verbs.audit.probe.pasted import audit_pasted

        audit_pasted(words[0], words[1:])
        return 0
    if words[0].endswith(".py") and Path(words[0]).is_file():
        raise VaeklError(_without_a_name(words[0]))
    if _is_run(words[0]):
        if len(words) > 1:
            raise VaeklError(f"audit takes one run folder and nothing beside it, not {' '.join(words[1:])}.")
        from vaekl.verbs.audit.runs import run_card

        show(run_card(Path(words[0])))
        return 0
    if any(word.partition("=")[0].split(".")[0] == "dataset" for word in words):
        from vaekl.verbs.audit.collapse import forecast

        forecast(words)
        return 0
    from vaekl import __version__
    from vaekl.verbs.audit.card import loss_card
    from vaekl.verbs.audit.parse import read_loss

    show(f"vaekl {__version__}\n{loss_card(read_loss(words))}")
    return 0


def _without_a_name(file: str) -> str:
    """The sentence for a file of Python alone, with the names in it; nothing is imported."""
    import ast

    try:
        body = ast.parse(Path(file).read_bytes()).body
    except (SyntaxError, ValueError) as error:
        return f"{file} is no Python that can be read ({error}): check it, and name a loss in it, as FILE.py:LOSS."
    names = [each.name for each in body if isinstance(each, ast.FunctionDef | ast.ClassDef)]
    there = f"; it has {', '.join(names)}" if names else ""
    return f"{file} is a Python file: name a loss in it, as {file}:{names[0] if names else 'LOSS'}{there}."


def _is_run(word: str) -> bool:
    return not word.startswith("-") and ("=" not in word or Path(word).is_dir())
