"""A run read back from its folder: its data, and its model with the weights of a checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from vaekl.config import trust
from vaekl.config.other_data import changed
from vaekl.data import Data, Split
from vaekl.model.vae import VAE
from vaekl.run.start import build_data, build_likelihood, build_model
from vaekl.store import BEST, LAST, RunFolder, checkpoint
from vaekl.system.devices import pick_device, prepare
from vaekl.system.errors import VaeklError


@dataclass(frozen=True)
class Loaded:
    """A trained model and its data, on one device.

    Args:
        path: the run folder.
        choices: the option that was chosen in each config group.
        config: resolved, with the changes that were asked for.
        weights: the name of the checkpoint.
        step: at which it was written.
        results: `results.json` of a finished run, else None.
        data: of every split, on the model's device.
        model: in evaluation mode.
    """

    path: Path
    choices: dict[str, str]
    config: dict[str, Any]
    weights: str
    step: int
    results: dict[str, Any] | None
    data: Data
    model: VAE

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def split(self, name: str, images: int | None = None) -> Split:
        """One part of the data: test, valid or train; the first `images` of it.

        Raises:
            VaeklError: if the run has no such images.
        """
        split: Split | None = getattr(self.data, name)
        if split is None:
            raise VaeklError(f"{self.path} holds out no validation images: choose test or train.")
        return split if images is None else split.first(images)


def find(path: Path) -> list[Path]:
    """The runs that a path means: a checkpoint, a run folder, or a folder of run folders.

    Raises:
        VaeklError: if there is none.
    """
    if path.is_file() or RunFolder(path).config_file.is_file():
        return [path]
    name = RunFolder(path).config_file.name
    inside = sorted({file.parent for pattern in ("*", "*/*") for file in path.glob(f"{pattern}/{name}")})
    if not inside:
        RunFolder(path).config()  # says what is missing
    return inside


def load(
    path: Path, device: str = "auto", which: str | None = None, changes: tuple[str, ...] = (), verb: str = "eval"
) -> Loaded:
    """Build the run's data and model and give it its weights; nothing is written.

    Args:
        path: a run folder, or a checkpoint in one.
        device: auto, cpu or cuda.
        which: last or best; None takes the checkpoint that the run tested. A path to a checkpoint decides by itself.
        changes: Hydra overrides of dataset, transform and data_dir.
        verb: whose `device` it is.

    Raises:
        VaeklError: the folder holds no run, its checkpoint cannot be read, or the data do not fit the model.
    """
    run = path.parent if path.is_file() else path
    content = trust.config(run)
    folder = RunFolder(run)
    results = folder.results()
    if path.is_file():
        name = path.name
    else:
        tested = (results or {}).get("weights", LAST)
        if tested not in (LAST, BEST):
            raise VaeklError(f"{folder.results_file} names no checkpoint of a run: restore it, or take it away.")
        name = {"last": LAST, "best": BEST, None: tested}[which]
    if name == BEST and not (run / name).exists():
        raise VaeklError(f"{run} kept no best weights, since it had no trainer.patience: take checkpoint=last.")
    place = pick_device(device, f"{verb}.device")
    prepare(place)
    state = checkpoint.load(run / name, place)
    cfg = DictConfig(OmegaConf.create(changed(content, changes)))
    with trust.as_written(run):
        likelihood = build_likelihood(cfg)
        data = build_data(cfg, likelihood)
        model = build_model(cfg, likelihood, data)
    try:
        model.load_state_dict(_weights(state))
        step = int(state["step"])
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        shape = "×".join(map(str, data.spec.shape))
        data_words = f"{data.spec.name}, images of {shape}" + (
            f", {data.spec.levels} levels" if data.spec.levels else ""
        )
        raise VaeklError(
            f"the checkpoint {run / name} does not fit the model for {data_words}: give data of the shape that the run "
            "was trained on, or the config and the checkpoint as the run wrote them."
        ) from error
    choices = {str(group): str(option or "none") for group, option in cfg.choices.items()}
    resolved: dict[str, Any] = OmegaConf.to_container(cfg)  # type: ignore[assignment]
    model.eval()
    return Loaded(run, choices, resolved, name, step, results, data.to(place), model.to(place))


def _weights(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """What the run judges: the moving average if it keeps one."""
    average = state.get("average")
    if average is None:
        weights: dict[str, torch.Tensor] = state["model"]
        return weights
    return {key.removeprefix("module."): value for key, value in average.items() if key.startswith("module.")}
