"""A run's folder, opened to be read back: its config, its checkpoint, and the device that it goes to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path
from threading import get_ident
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from vaekl.config import trust
from vaekl.data import DataSpec
from vaekl.model.vae import VAE
from vaekl.run.lost import lost_weights
from vaekl.store import BEST, LAST, RunFolder, check_file, checkpoint, exported
from vaekl.store.exported import EXPORTED, NETWORKS
from vaekl.store.match import MisfitError
from vaekl.store.schema import Results
from vaekl.system.devices import pick_device, prepare
from vaekl.system.errors import VaeklError, first_line
from vaekl.training.saved_state import check_weights, with_versions_of

_CURE = "give data of the shape that the run was trained on, or config and checkpoint as the run wrote them"


@dataclass(frozen=True)
class Opened:
    """A run before its model is built.

    Args:
        folder: its files.
        content: its resolved config, in which every name to be called may be called.
        results: the figures of a finished run's test, else None.
        file: the checkpoint.
        state: what that holds.
        device: where the model goes.
    """

    folder: RunFolder
    content: dict[str, Any]
    results: Results | None
    file: Path
    state: dict[str, Any]
    device: torch.device

    @property
    def is_exported(self) -> bool:
        """Whether these are the judged weights alone, of `vaekl export`."""
        return self.file.name == EXPORTED

    @contextmanager
    def no_larger_tensors(self, spec: DataSpec) -> Iterator[None]:
        """Refuse a model, while it is made inside, as soon as a parameter has more bytes than the checkpoint itself.

        PyTorch calls the hook between reserving a parameter's memory and filling it.

        Args:
            spec: of the data that it is made for.

        Raises:
            VaeklError: names how many values it has.
        """
        size, thread = self.file.stat().st_size, get_ident()

        def check(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
            if get_ident() != thread or is_lazy(parameter) or parameter.nbytes <= size:
                return
            raise self._misfit(f"a tensor of {parameter.numel():,} values would be larger than the file", spec)

        hook = register_module_parameter_registration_hook(check)
        try:
            yield
        finally:
            hook.remove()

    def put_weights(self, model: VAE, is_averaged: bool, spec: DataSpec, cure: str = "") -> None:
        """Give a model that the config has made the weights of the checkpoint, and set it to evaluation.

        Args:
            model: with fresh weights.
            is_averaged: whether the run keeps a moving average of its weights, which is what it judges.
            spec: of the data that it was built for.
            cure: what to do where the weights do not fit; a usual one if empty.

        Raises:
            VaeklError: the weights are not of this form.
        """
        try:
            check_weights(self.state, model, is_averaged and not self.is_exported)
            model.load_state_dict(with_versions_of(model.state_dict(), _weights(self.state)))
        except (MisfitError, RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            # a module of somebody's own may refuse what it saved beside its tensors
            reason = error.reason if isinstance(error, MisfitError) else first_line(error)
            raise self._misfit(reason, spec, cure) from error
        model.eval()

    def _misfit(self, reason: str, spec: DataSpec, cure: str = "") -> VaeklError:
        shape = "×".join(map(str, spec.shape))
        data = f"{spec.name}, {spec.example}s of {shape}" + (f", {spec.levels} levels" if spec.levels else "")
        return VaeklError(f"the checkpoint {self.file} does not fit the model for {data} ({reason}): {cure or _CURE}.")


def open_run(
    path: Path | str, device: str = "auto", which: str | None = None, verb: str = "eval", trusted: Sequence[str] = ()
) -> Opened:
    """Read a run's config and its checkpoint.

    Args:
        path: a run folder, or a checkpoint in one.
        device: auto, cpu or cuda.
        which: last or best; None takes the checkpoint that the run tested. A path to a checkpoint decides by itself.
        verb: the command whose `device` it is, for the sentence of a mistake.
        trusted: modules of the user's own, such as "package.module", whose classes the config may call from here on.

    Raises:
        VaeklError: the folder holds no run, or its checkpoint cannot be read.
    """
    path = Path(path)
    trust.vouch([f"--trust={module}" for module in trusted])
    check_file(path)
    folder = RunFolder(path.parent if path.is_file() else path)
    for to, ending in NETWORKS.items():
        if lexists(folder.path / f"encoder{ending}") and not folder.checkpoints():
            raise VaeklError(
                f"{folder.path} holds networks for programs without vaekl (--to {to}), as its README.md shows: load "
                "the run itself, or what `vaekl export --to safetensors` writes of it."
            )
    content = trust.config(folder.path)
    results = folder.results()
    if not folder.checkpoints() and lexists(folder.path / EXPORTED):
        file = folder.path / EXPORTED
    else:
        file = path if path.is_file() else folder.path / checkpoint_of(folder, results, which)
    place = pick_device(device, f"{verb}.device")
    prepare(place)
    state = exported.load(file) if file.name == EXPORTED else checkpoint.load(file)
    return Opened(folder, content, results, file, state, place)


def checkpoint_of(folder: RunFolder, results: Results | None, which: str | None) -> str:
    """The name of the checkpoint to take.

    Raises:
        VaeklError: it is not there.
    """
    tested = results.weights if results is not None else LAST
    names = {"last": LAST, "best": BEST, None: tested}
    if which not in names:
        raise VaeklError(f"the checkpoint must be last or best, not {which!r}.")
    name, there = names[which], folder.checkpoints()
    if name in there:
        return name
    if results is not None and (sentence := lost_weights(folder, results)):
        raise VaeklError(sentence)
    others = [other.removesuffix(".pt") for other in (LAST, BEST) if other in there]
    if name == BEST:
        raise VaeklError(
            f"{folder.path} kept no best weights, which a run does with trainer.patience, once a validation has "
            f"improved: take checkpoint={others[0] if others else 'last'}."
        )
    if results is not None:
        raise VaeklError(f"{folder.path} has no {name}: take checkpoint={others[0]}, which is there.")
    raise VaeklError(f"{folder.path} has no {name} yet: go on with it by `{folder.command('resume')}`.")


def _weights(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """What the run judges: the moving average if it keeps one."""
    average = state["average"]
    if average is None:
        weights: dict[str, torch.Tensor] = state["model"]
        return weights
    return {key.removeprefix("module."): value for key, value in average.items() if key.startswith("module.")}
