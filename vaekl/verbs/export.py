"""`vaekl export`: a run without its training, to be shared: weights as safetensors, config, facts and a card."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaekl.config import verb_options
from vaekl.run.alone import load
from vaekl.run.trained import TrainedVAE
from vaekl.store import RunFolder, exported
from vaekl.store.read import read_bytes
from vaekl.system.checks import one_of, optional, text
from vaekl.system.errors import VaeklError
from vaekl.system.files import refuse_link, unwritable
from vaekl.system.terminal import printable, show

#: bytes of a file that is copied
_MOST = 1 << 25


def main(words: verb_options.Words) -> int:
    """Write the folder and say where; returns the exit code."""
    one_of(words.options["to"], "export.to", ("safetensors",))
    out = optional(text, words.options["out"], "export.out")
    checkpoint = optional(one_of, words.options["checkpoint"], "export.checkpoint", ("last", "best"))
    if len(words.runs) != 1 or words.changes:
        raise VaeklError("export takes one run and nothing of other data: `vaekl export outputs/<run>`.")
    run = load(words.runs[0], "cpu", checkpoint)
    folder = RunFolder(run.path)
    place = run.path / "export" if out is None else Path(out)
    with _whole(place) as partial:
        exported.save(partial / exported.EXPORTED, run.model.state_dict(), run.step)
        files = [folder.config_file, folder.facts_file, *([folder.results_file] if folder.is_finished() else [])]
        for file in files:
            (partial / file.name).write_bytes(read_bytes(file, _MOST, "restore it"))
        (partial / "README.md").write_text(_card(run, folder), encoding="utf-8")
    show(printable(f"{place}: {run.weights} at step {run.step:,} as safetensors, which vaekl.load reads"))
    return 0


@contextmanager
def _whole(place: Path) -> Iterator[Path]:
    """A folder that is there with all its files, or not at all.

    Raises:
        VaeklError: something is there already, or it cannot be written.
    """
    refuse_link(place)
    if place.exists():
        raise VaeklError(f"{printable(str(place))} is there already: take it away, or set export.out.")
    partial = place.with_name(f".{place.name}.partial")
    try:
        refuse_link(partial)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        partial.rename(place)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise VaeklError(unwritable(place, "folder", error)) from error
        raise


def _card(run: TrainedVAE, folder: RunFolder) -> str:
    """What the model is, in Markdown; words of the run's files stand as code, and begin nothing of Markdown's."""
    facts, results = folder.facts(), run.results
    versions = [_code(facts.packages.get(name, "")) for name in ("vaekl", "torch")]
    data, shape = facts.data, "×".join(map(str, facts.data.shape))
    lines = [
        "# A variational autoencoder of vaekl",
        "",
        f"- data: {_code(data.name)}, {data.example}s of {shape}; {_code(data.protocol)}",
        f"- likelihood: {_code(facts.likelihood.name)}, E = {_code(facts.likelihood.energy)}, "
        f"ln C = {_code(facts.likelihood.log_norm_const)}",
        f"- loss: {_code(facts.weighting.loss)}, weighting {_code(facts.weighting.name)}",
        f"- {run.latents} latents, {facts.parameters:,} parameters, {_code(run.weights)} at step {run.step:,}",
        f"- trained by vaekl {versions[0]}, PyTorch {versions[1]}",
    ]
    if results is not None:
        test, images = results.test, results.images.test
        bits = "" if test.bits_per_dim is None else f", {test.bits_per_dim:.4f} bits/dim from the ELBO"
        lines += [
            "",
            f"On {images:,} test {data.example}s: ELBO {test.elbo_nats:,.3f} nats (KL {test.kl_nats:,.3f} nats){bits}.",
        ]
    lines += ["", "```python", "import vaekl", 'model = vaekl.load("FOLDER")', "z = model.encode(x).mean", "```", ""]
    return "\n".join(lines)


def _code(words: str) -> str:
    return f"`{printable(words).replace('`', chr(39))}`"
