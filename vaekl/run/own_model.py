"""A model that was trained elsewhere, `FILE.py:NAME`, on data of vaekl: what `vaekl eval` measures of it.

The object is anything with

    latents                   Z
    likelihood                a vaekl.Likelihood: p(x|z) with its constant
    encode(x)                 -> mean and log standard deviation of q(z|x), each [B, Z], of x [B, *S]: levels as
                              k/(levels − 1), real values standardized, counts as they are, missing values 0
    decode(z)                 -> η, what the likelihood takes, [B, P, *S]
    dispersion                φ, a number or a tensor that broadcasts to S; 1 where it has none

or a function without arguments that returns one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vaekl.config.job import single
from vaekl.config.own_file import cannot_import, file_and_name, import_file
from vaekl.data.spec import Shape
from vaekl.model.likelihoods import Likelihood
from vaekl.model.likelihoods.density_check import check_density
from vaekl.model.nets import Nets
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedDispersion
from vaekl.run.build_data import build_data, is_vaekls
from vaekl.run.config import RunConfig
from vaekl.run.load import TrainedRun
from vaekl.store import RunFolder
from vaekl.system.checks import whole
from vaekl.system.devices import pick_device, prepare
from vaekl.system.errors import VaeklError, first_line


@dataclass(frozen=True)
class OwnModel(TrainedRun):
    """A model of somebody's own, its data, and the folder in which its figures are written.

    Args:
        word: the file and the name in it, as typed.
    """

    word: str = ""

    @property
    def title(self) -> str:
        return self.word

    @property
    def is_finished(self) -> bool:
        return True


def is_own_model(path: Path) -> bool:
    """Whether a word names a model in a file of Python, and no run."""
    return file_and_name(str(path)) is not None


def own_model(path: Path, device: str, changes: tuple[str, ...]) -> OwnModel:
    """The model, and the data that the words name.

    Args:
        path: FILE.py:NAME.
        device: auto, cpu or cuda.
        changes: words that choose the data, such as dataset=mnist.

    Raises:
        VaeklError: the file cannot be imported, has no such name, or what it names lacks a part.
    """
    thing = _named(path)
    for part in ("latents", "likelihood", "encode", "decode"):
        if not hasattr(thing, part):
            raise VaeklError(f"{path} has no {part}: give it latents, likelihood, encode(x) and decode(z).")
    likelihood, place = thing.likelihood, pick_device(device, "eval.device")
    if not isinstance(likelihood, Likelihood):
        raise VaeklError(
            f"{path}.likelihood is a {type(likelihood).__name__}: give one of vaekl's, or your own subclass."
        )
    prepare(place)
    job = single(list(changes))
    cfg = RunConfig.of(job.content)
    with _naming(path, f"likelihood={likelihood.name}"):
        data = build_data(cfg.data, likelihood, to_train=False)
    phi = _dispersion(getattr(thing, "dispersion", 1.0), data.spec.shape, path)
    with _naming(path):
        for value in set(phi.flatten().tolist()):
            likelihood.check_dispersion(value)
        if not is_vaekls(likelihood):
            check_density(likelihood, (phi.flatten()[0].item(),), data.spec.shape)
    nets = Nets(_Part(thing, "encode"), _Part(thing, "decode"))
    weighting = FixedDispersion(likelihood, data.spec.shape)
    weighting.phi, weighting.tempered = phi, bool((phi != 1).any())
    model = _OwnVAE(data.spec, nets, likelihood, weighting, whole(thing.latents, f"{path}.latents", 1)).to(place).eval()
    choices = cfg.choices | {"likelihood": likelihood.name, "weighting": "fixed_dispersion", "model": path.stem}
    run = OwnModel(
        RunFolder(Path.cwd()), choices, dict(cfg.content), "as imported", 0, None, data.to(place), model, word=str(path)
    )
    _check_shapes(run)
    return run


@contextmanager
def _naming(path: Path, about: str = "") -> Iterator[None]:
    """Put the file's name before a sentence, where that is about these words."""
    try:
        yield
    except VaeklError as error:
        if about not in str(error):
            raise
        raise VaeklError(f"{path}: {error}") from error


class _OwnVAE(VAE):
    """One whose encoder sees counts as they are, and not their logarithms, which it may take by itself."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.encoder(self.spec.to_unit(x).float().nan_to_num(nan=0.0))
        return mean.float(), log_std.float()


def _dispersion(value: Any, shape: Shape, path: Path) -> Tensor:
    """φ with as many axes as S, all of length 1 or S itself."""
    try:
        phi = torch.as_tensor(value, dtype=torch.float32).detach().cpu()
        phi = phi.view((1,) * len(shape)) if phi.numel() == 1 else phi.broadcast_to(shape).clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise VaeklError(
            f"{path}.dispersion does not fit ({first_line(error)}): give a number, or one that broadcasts to {shape}."
        ) from error
    if not (phi > 0).all() or not phi.isfinite().all():
        raise VaeklError(f"{path}.dispersion must be positive and finite: mend it.")
    return phi


class _Part(nn.Module):
    """One method of the object; the object's own weights are moved and set to evaluation with it, if it is a module."""

    def __init__(self, thing: Any, method: str) -> None:
        super().__init__()
        self.method = method
        if isinstance(thing, nn.Module):
            self.thing = thing
        else:
            self.__dict__["thing"] = thing
            # so that the model has a device
            self.register_parameter("none", nn.Parameter(torch.zeros(0), requires_grad=False))

    def forward(self, x: Tensor) -> Any:
        return getattr(self.thing, self.method)(x)


def _named(path: Path) -> Any:
    file, name = file_and_name(str(path)) or ("", "")
    module = import_file(file, str(path))
    try:
        if not hasattr(module, name):
            raise VaeklError(f"{file} has no {name}: name an object in it, or a function that returns one.")
        thing = getattr(module, name)
        is_maker = isinstance(thing, type) or (callable(thing) and not hasattr(thing, "encode"))
        return thing() if is_maker else thing
    except VaeklError:
        raise
    except Exception as error:  # whatever its function does
        raise cannot_import(str(path), error) from error


def _check_shapes(run: OwnModel) -> None:
    """Refuse a model whose parts do not have the shapes that they must have."""
    split = run.data.test if len(run.data.test) else run.data.train
    x = split.batch(slice(0, 2), torch.Generator(run.device).manual_seed(0))
    example, latents = f"two {run.data.spec.example}s", run.model.latents

    def parts_of(method: str, *values: Tensor) -> Any:
        try:
            with torch.no_grad():
                return getattr(run.model, method)(*values)
        except Exception as error:  # whatever the user's methods do
            raise VaeklError(
                f"{method} of {run.word} failed on {example} ({type(error).__name__}: {first_line(error)}): it returns "
                f"{'mean and log_std of q(z|x)' if method == 'encode' else 'η of p(x|z)'}; --debug shows more."
            ) from error

    def check(method: str, part: Tensor, shape: tuple[int, ...]) -> None:
        if tuple(part.shape) != shape:
            raise VaeklError(f"{method} of {run.word} returns the shape {tuple(part.shape)}, not {shape}: mend it.")

    mean, log_std = parts_of("encode", x)
    for part in (mean, log_std):
        check("encode", part, (len(x), latents))
    check("decode", parts_of("decode", mean), (len(x), run.model.likelihood.outputs, *run.data.spec.shape))
