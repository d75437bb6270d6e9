"""A run read back from its folder: its data, and its model with the weights of a checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vaekl.config import trust
from vaekl.config.other_data import changed
from vaekl.data import Data, Split
from vaekl.data.inventory import some_of
from vaekl.data.spec import Scaling
from vaekl.data.standardize import Standardized
from vaekl.model.vae import VAE
from vaekl.run import same_images
from vaekl.run.build import build_likelihood_and_data, build_model
from vaekl.run.config import RunConfig
from vaekl.run.lost import lost_weights
from vaekl.store import BEST, LAST, RunFolder, check_file, checkpoint
from vaekl.store.match import MisfitError
from vaekl.store.schema import Results
from vaekl.system.devices import pick_device, prepare
from vaekl.system.errors import VaeklError, first_line
from vaekl.system.terminal import command, printable, setting
from vaekl.training.saved_state import check_weights, with_versions_of

#: the parts of a run's data, and all of them together
SPLITS = ("test", "valid", "train", "all")


@dataclass(frozen=True)
class TrainedRun:
    """A trained model and its data, on one device: what `vaekl.load` returns.

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


def load(
    path: Path | str,
    device: str = "auto",
    which: str | None = None,
    changes: tuple[str, ...] = (),
    verb: str = "eval",
    trusted: Sequence[str] = (),
    whole: bool = False,
) -> TrainedRun:
    """Read a run back: build its data and its model, and give the model its weights; nothing is written.

        run = vaekl.load("outputs/my_run")
        x = run.data.test.batch(slice(0, 8))
        z = run.model.encode(x)[0]

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
    path = Path(path)
    trust.vouch([f"--trust={module}" for module in trusted])
    check_file(path)
    folder = RunFolder(path.parent if path.is_file() else path)
    content = trust.config(folder.path)
    results = folder.results()
    file = path if path.is_file() else folder.path / checkpoint_of(folder, results, which)
    place = pick_device(device, f"{verb}.device")
    prepare(place)
    state = checkpoint.load(file)
    cfg = RunConfig.of(changed(content, changes, whole), folder.config_file)
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
    try:
        check_weights(state, model, cfg.training.ema is not None)
        model.load_state_dict(with_versions_of(model.state_dict(), _weights(state)))
    except (MisfitError, RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        # a module of somebody's own may refuse what it saved beside its tensors
        reason = error.reason if isinstance(error, MisfitError) else first_line(error)
        shape = "×".join(map(str, data.spec.shape))
        data_words = f"{data.spec.name}, {data.spec.example}s of {shape}" + (
            f", {data.spec.levels} levels" if data.spec.levels else ""
        )
        cure = "give data of the shape that the run was trained on, or config and checkpoint as the run wrote them"
        if has_other_data and (kinds := _other_kinds(folder, data)):
            cure = kinds
        raise VaeklError(
            f"the checkpoint {file} does not fit the model for {data_words} ({reason}): {cure}."
        ) from error
    model.eval()
    if (scaling := data.spec.scaling) is not None:
        # of the images that the run was trained on, also where others are looked at
        center, spread = model.get_buffer("center"), model.get_buffer("spread")
        data = data.standardized(Standardized(Scaling(center, spread, scaling.per, scaling.mixed)))
        model.report_as(data.spec)
    if data.spec.mean_total is not None:
        data = data.by_total(model.get_buffer("mean_total").item())
        model.report_as(data.spec)
    content, step = dict(cfg.content), state["step"]
    return TrainedRun(
        folder, cfg.choices, content, file.name, step, results, data.to(place), model.to(place), has_other_data
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
