"""A run read back from its folder: its data, and its model with the weights of a checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vaekl.config.other_data import changed
from vaekl.data import Data, Split
from vaekl.data.inventory import some_of
from vaekl.data.scaling import Scaling
from vaekl.data.standardize import Standardized
from vaekl.model.vae import VAE
from vaekl.run import same_images
from vaekl.run.build import build_model
from vaekl.run.build_data import build_likelihood_and_data
from vaekl.run.config import RunConfig
from vaekl.run.opened import open_run
from vaekl.store import RunFolder
from vaekl.store.schema import Results
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import command, printable, setting

#: the parts of a run's data, and all of them together
SPLITS = ("test", "valid", "train", "all")


@dataclass(frozen=True)
class TrainedRun:
    """A trained model and its data, on one device: what the verbs work with.

    Args:
        folder: the run's files.
        choices: the option that was chosen in each config group, such as {"likelihood": "cb"}.
        config: the resolved config, with the changes that were named.
        weights: the name of the checkpoint that the weights are from, such as last.pt.
        step: at which it was written.
        results: the figures of a finished run's test, else None.
        data: train, valid (or None) and test, on the model's device.
        model: in evaluation mode; the moving average of the weights where the run kept one.
        has_other_data: whether these are not the data that it was trained on.
    """

    folder: RunFolder
    choices: dict[str, str]
    config: dict[str, Any]
    weights: str
    step: int
    results: Results | None
    data: Data
    model: VAE
    has_other_data: bool = False

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def title(self) -> str:
        """How figures of it name it."""
        return str(self.path)

    @property
    def is_finished(self) -> bool:
        """Whether it was trained to its end."""
        return self.results is not None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def looks_at(self) -> str:
        """The file, folder or data set that it looks at, where it was not trained on it; else empty."""
        return (self.data.inventory.place or self.data.stored.name) if self.has_other_data else ""

    def split(self, name: str, images: int | None = None) -> Split:
        """One part of the data.

        Args:
            name: test, valid, train, or all of them in the order of their file.
            images: only so many, the first ones.

        Raises:
            VaeklError: if the run has no such images.
        """
        if name not in SPLITS:
            raise VaeklError(f"a split is test, valid, train or all, not {name!r}.")
        split: Split | None = self.data.all() if name == "all" else getattr(self.data, name)
        if split is None:
            raise VaeklError(
                f"{self.path} holds out no validation {self.data.spec.example}s: choose test, train or all."
            )
        if not len(split):
            raise VaeklError(
                f"{self.data.inventory.place} holds no {self.data.spec.example}s to train on: choose test or all."
            )
        return split if images is None else split.first(images)


def load_run(
    path: Path | str,
    device: str = "auto",
    which: str | None = None,
    changes: tuple[str, ...] = (),
    verb: str = "eval",
    trusted: Sequence[str] = (),
    whole: bool = False,
) -> TrainedRun:
    """Read a run back with its data: build both and the model, and give the model its weights; nothing is written.

    Args:
        path: a run folder, or a checkpoint in one.
        device: auto, cpu or cuda.
        which: last or best; None takes the checkpoint that the run tested. A path to a checkpoint decides by itself.
        changes: overrides of dataset, transform and data_dir, such as ("dataset=kmnist",), to look at other data.
        verb: the command whose `device` it is, for the sentence of a mistake.
        trusted: modules of your own, such as "package.module", whose classes the run's config may have called; from
            here on, in this process. Without it only what vaekl's own options name is called.
        whole: with other data than the run's, all images of a file that has no test images are its test images.

    Raises:
        VaeklError: the folder holds no run, its checkpoint cannot be read, or the data do not fit the model.
    """
    opened = open_run(path, device, which, verb, trusted)
    folder = opened.folder
    cfg = RunConfig.of(changed(opened.content, changes, whole), folder.config_file)
    likelihood, data = build_likelihood_and_data(cfg, to_train=False)
    if likelihood.name != (own := folder.facts().likelihood.name):
        raise VaeklError(
            f"likelihood=auto takes {likelihood.name} for these data, and {folder.path} has {own}: give data "
            "of the kind that the run was trained on."
        )
    has_other_data = any(change.startswith("dataset") for change in changes)
    if has_other_data:
        data = _on_levels_of(folder, data, cfg, changes)
    else:
        where = cfg.data.dataset.get("path")
        word = setting("dataset.path", where) if where else f"dataset={cfg.choices['dataset']}"
        same_images.check(folder, data, f"add {command(word)} to look at these as other data")
    if has_other_data and data.spec.columns and data.spec.facts()["columns"] != folder.facts().data.columns:
        names = some_of(printable(name) for name in data.spec.columns)
        raise VaeklError(
            f"the columns are not those that {folder.path} was trained on, in their order: {names}; name, order and "
            "code them as there, as its config.yaml and the head of its training say."
        )
    try:
        model = build_model(replace(cfg.model, begin_at_data=False), likelihood, data)
    except VaeklError as error:
        if cfg.choices.get("weighting") != "fixed_beta" or not likelihood.needs_constant:
            raise
        raise VaeklError(
            f"the loss of {folder.path} is one that is refused today, and its weights say nothing, so train it again: "
            f"{error}"
        ) from error
    cure = _other_kinds(folder, data) if has_other_data else ""
    opened.put_weights(model, cfg.training.ema is not None, data.spec, cure)
    if (scaling := data.spec.scaling) is not None:
        # of the images that the run was trained on, also where others are looked at
        center, spread = model.get_buffer("center"), model.get_buffer("spread")
        data = data.standardized(Standardized(Scaling(center, spread, scaling.per, scaling.mixed)))
        model.report_as(data.spec)
    if data.spec.mean_total is not None:
        data = data.by_total(model.get_buffer("mean_total").item())
        model.report_as(data.spec)
    return TrainedRun(
        folder,
        cfg.choices,
        dict(cfg.content),
        opened.file.name,
        opened.state["step"],
        opened.results,
        data.to(opened.device),
        model.to(opened.device),
        has_other_data,
    )


def _on_levels_of(folder: RunFolder, data: Data, cfg: RunConfig, changes: Sequence[str]) -> Data:
    """Other data of grey levels on the levels of a run, of which white and black are the same values.

    Args:
        folder: of the run.
        data: with as many levels as they need by themselves.
        cfg: how they were built.
        changes: a number of levels among them is taken as it is.

    Raises:
        VaeklError: it is not plain which levels theirs are, or values lie beyond the run's.
    """
    own, levels, settings = folder.facts().data.levels, data.stored.levels, cfg.data.dataset
    typed = any(change.startswith("dataset.levels=") for change in changes)
    if typed or "levels" not in settings or own == levels or own in (None, 2) or levels in (None, 2):
        return data
    if max(own, levels) <= 256:  # white is white in 8 bits or fewer
        return data
    name, words = data.inventory.place or data.spec.name, f"the run was trained on {own:,} levels"
    if levels == 256:
        raise VaeklError(
            f"{name} has values up to 255, and {words}: add dataset.levels={own} if they are on the run's scale, or "
            "dataset.levels=256 if 255 is white."
        )
    if 256 < levels < own:
        raise VaeklError(
            f"{name} has values up to {levels - 1:,}, and {words}: add dataset.levels={own} if they are on the run's "
            f"scale, or dataset.levels={levels} if {levels - 1:,} is white."
        )
    if levels > own:
        raise VaeklError(
            f"{name} has values beyond those of the run, 0 to {own - 1:,} ({words}): give values on its scale, or add "
            f"dataset.levels={levels} if {levels - 1:,} is white."
        )
    on_own = replace(cfg, data=replace(cfg.data, dataset={**settings, "levels": own}))
    return build_likelihood_and_data(on_own, to_train=False)[1]


def _other_kinds(folder: RunFolder, data: Data) -> str:
    """What to do about data of the run's shape that were taken for another kind of numbers; nothing otherwise."""
    own, seen = folder.facts().data, data.spec
    if tuple(own.shape) != seen.shape or "real" not in (own.support, seen.support) or own.support == seen.support:
        return ""
    if own.support == "real":
        return "the run was trained on real numbers, so add dataset.kind=real to take these as such too"
    return "the run was trained on values with two ends, and these are real numbers without: give values of its kind"
