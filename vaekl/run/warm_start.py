"""A run whose networks begin with the weights of another one; φ, a control and the optimiser begin anew."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaekl.config import trust
from vaekl.run.config import RunConfig
from vaekl.run.opened import checkpoint_of
from vaekl.store import RunFolder, checkpoint
from vaekl.store.match import MisfitError
from vaekl.system.errors import VaeklError, first_line
from vaekl.system.terminal import printable
from vaekl.training.saved_state import networks_of, with_versions_of
from vaekl.training.trainer import Trainer


def begin(trainer: Trainer, cfg: RunConfig) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Give the networks of a new run the weights that another run tested; of an unfinished one the last.

    Args:
        trainer: at its first step.
        cfg: of the new run.

    Returns:
        `init` of facts.json, and what `init.pt` holds; None where the run begins with weights of its own.

    Raises:
        VaeklError: there is no such run, or its networks are others.
    """
    if cfg.init is None:
        return None
    folder = RunFolder(Path(cfg.init))
    other = RunConfig.of(trust.config(folder.path, dict(cfg.content)), folder.config_file)
    name = checkpoint_of(folder, folder.results(), None)
    state = checkpoint.load(folder.path / name)
    try:
        weights = networks_of(state, trainer.model, other.training.ema is not None)
        _take(trainer, weights)
    except (MisfitError, RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        # a module of somebody's own may refuse what it saved beside its tensors
        reason = error.reason if isinstance(error, MisfitError) else first_line(error)
        raise VaeklError(
            f"the networks of init={folder.path} do not fit this run ({reason}): give the data, the likelihood and the "
            "model of that run, or leave init away."
        ) from error
    facts = {"run": str(folder.path), "weights": name, "step": state["step"]}
    return facts, {"step": state["step"], "model": weights}


def begin_again(trainer: Trainer, folder: RunFolder) -> None:
    """The same at a resume, from the run's own copy of those weights.

    Without the copy a run that has a checkpoint goes on from that all the same.

    Raises:
        VaeklError: the copy is missing and there is no checkpoint, or it is not what was written.
    """
    if not folder.initial.exists() and folder.checkpoints():
        return
    state = checkpoint.load(folder.initial)
    try:
        _take(trainer, networks_of(state, trainer.model, is_averaged=False))
    except MisfitError as error:
        raise MisfitError(error.place, error.what, folder.initial) from error


def words(folder: RunFolder) -> str | None:
    """Whose weights a run began with, for its head; None for its own."""
    init = folder.facts().init
    return None if init is None else printable(f"{init.run}, {init.weights} at step {init.step:,}")


def _take(trainer: Trainer, weights: Mapping[str, Any]) -> None:
    """Put the weights into the networks, and into their moving average if there is one."""
    for model in {trainer.model, trainer.judged}:
        own = model.state_dict()
        model.load_state_dict(with_versions_of(own, {**own, **weights}))
