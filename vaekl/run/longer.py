"""More steps for a run that is finished or was stopped: its config with them, and what must hold before it goes on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaekl.run.build import build_plan, build_schedules
from vaekl.run.config import RunConfig
from vaekl.store import LAST, RunFolder, checkpoint
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import setting
from vaekl.training.trainer import Trainer

#: of the steps that were taken so many are compared
_COMPARED = 10_000


def with_length(content: Mapping[str, Any], key: str, value: int, path: Path) -> dict[str, Any]:
    """The config of a run with another length.

    Args:
        content: its config.
        key: trainer.steps or trainer.epochs.
        value: of it.
        path: its folder.

    Raises:
        VaeklError: its length is given by the other key.
    """
    trainer = dict(content["trainer"])
    steps = trainer.get("steps")
    if key == "trainer.epochs" and steps is not None:
        raise VaeklError(f"the length of {path} is trainer.steps={steps}, beside which epochs mean nothing: give more.")
    return {**content, "trainer": trainer | {key.removeprefix("trainer."): value}}


def check_no_other_length(folder: RunFolder, content: Mapping[str, Any]) -> None:
    """Say so where a folder holds the run that is to be trained, but of another length.

    Args:
        folder: of the new run.
        content: its config.

    Raises:
        VaeklError: names both lengths.
    """
    if not folder.holds_run():
        return
    kept = folder.config().get("trainer")
    if not isinstance(kept, Mapping) or not isinstance(content.get("trainer"), Mapping):
        return
    lengths = {key: kept[key] for key in ("steps", "epochs") if key in kept}
    if lengths and folder.is_run_of({**content, "trainer": {**content["trainer"], **lengths}}):
        key = "steps" if kept.get("steps") is not None else "epochs"
        raise VaeklError(
            f"{folder.path} holds this run with trainer.{key}={kept.get(key)}, not {content['trainer'].get(key)}: give "
            "it that length too, or choose another folder."
        )


def check_length(trainer: Trainer, former: RunConfig, path: Path) -> None:
    """Refuse a length that is no greater than before.

    Args:
        trainer: of the longer run, at its first step.
        former: the config of the run as it was.
        path: its folder.

    Raises:
        VaeklError: it is not.
    """
    before, steps = build_plan(former.training, trainer.data).total_steps, trainer.plan.total_steps
    if steps <= before:
        raise VaeklError(
            f"{path} is a run of {before:,} steps, and would have {steps:,}: give more, or go on with it as it is by "
            f"`{RunFolder(path).command('resume')}`."
        )


def check(trainer: Trainer, former: RunConfig, cfg: RunConfig, path: Path, is_finished: bool) -> None:
    """Refuse more steps with which the run would not be the one that has them from the start.

    Args:
        trainer: of the longer run, at the step where the former one is.
        former: the config of the run as it was.
        cfg: of the longer run.
        path: its folder.
        is_finished: whether it has results.

    Raises:
        VaeklError: says why, and what to do instead.
    """
    plan, steps = build_plan(former.training, trainer.data), trainer.plan.total_steps
    if is_finished and trainer.step == 0:
        raise VaeklError(f"{path} is finished, but its {LAST} is gone, from which it would go on: put the file back.")
    ways = (
        f"train one from its first step by `vaekl train ... trainer.steps={steps}`, or from the weights of this one by "
        f"adding {setting('init', path.absolute())}."
    )
    if trainer.out_of_patience:
        raise VaeklError(
            f"{path} was ended at step {trainer.step:,} by trainer.patience={plan.patience}, as one of more "
            f"steps is: {ways}"
        )
    if trainer.step == plan.total_steps and trainer.step % plan.valid_every:
        # what a run does at its end alone, the longer one would not have done
        kept = RunFolder(path).best
        if plan.patience is not None and kept.exists() and checkpoint.load(kept)["step"] == trainer.step:
            what = f"the validation at its end was its best, and one of more steps has none at step {trainer.step:,}"
            raise VaeklError(f"{path} cannot go on to {steps:,} steps: {what}: {ways}")
        if former.training.on_nan == "restore":
            what = f"one of more steps has no checkpoint at step {trainer.step:,} to go back to"
            raise VaeklError(f"{path} cannot go on to {steps:,} steps with trainer.on_nan=restore: {what}: {ways}")
    compared = {*range(0, trainer.step, max(1, trainer.step // _COMPARED)), max(0, trainer.step - 1)}
    shorter, longer = build_schedules(former.training, plan), (trainer.schedule, trainer.lr_schedule)
    for group, before, after in zip(("schedule", "lr_schedule"), shorter, longer, strict=True):
        if any(before(step) != after(step) for step in compared):
            raise VaeklError(
                f"{path} cannot go on to {steps:,} steps: {group}={cfg.choices[group]} depends on the length of a run, "
                f"so that the steps before would have been others: {ways}"
            )
