"""A run taken up at its last checkpoint: to go on from there, or to see what happened since in one that diverged."""

from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vaekl.model.vae import LEDGER
from vaekl.run import same_images
from vaekl.store import LAST, PREVIOUS, RunFolder, checkpoint
from vaekl.store.match import MisfitError, shown
from vaekl.store.read import AFRESH
from vaekl.system.console import Console
from vaekl.system.devices import keep_threads
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import printable
from vaekl.training.divergence import Fault
from vaekl.training.trainer import Trainer


class Saved(NamedTuple):
    """What a checkpoint holds, on the CPU, and the file it was read from."""

    file: Path
    state: dict[str, Any]


def saved_state(trainer: Trainer, path: Path, console: Console) -> Saved | None:
    """The last checkpoint that can be read; None before the first one.

    Where the last one is damaged it is set aside, and the one before it taken.

    Raises:
        VaeklError: neither can be read, or they are missing though there were some.
    """
    folder = RunFolder(path)
    last, previous, there = folder.last, folder.previous, folder.checkpoints()
    if LAST not in there and PREVIOUS not in there:
        _check_never_saved(trainer, path)
        return None
    try:
        return Saved(last, checkpoint.load(last))
    except checkpoint.DamagedError as error:
        if PREVIOUS not in there:
            raise
        try:
            state = checkpoint.load(previous)
        except checkpoint.DamagedError as another:
            raise VaeklError(
                f"neither {last} nor {previous.name} beside it can be read: copy one of them again, or {AFRESH}."
            ) from another
        if LAST in there:
            # else the next checkpoint would make it the previous one
            last.replace(folder.damaged)
        console.print(printable(f"  {error.what}: going on from {previous.name}, step {shown(state.get('step'))}."))
        return Saved(previous, state)


def restore(trainer: Trainer, path: Path, saved: Saved | None, console: Console) -> None:
    """Give a trainer the state of its run's checkpoint; without one it stays at its first step.

    Raises:
        VaeklError: the state is another run's or another data set's.
    """
    same_images.check(RunFolder(path), trainer.data, "train afresh in another folder")
    if saved is None:
        return
    load(trainer, saved)
    threads = saved.state["threads"]
    if not keep_threads(threads):
        now = torch.get_num_threads()
        console.print(f"  threads: {threads} before the stop, {now} now: the last digits will differ.")


def load(trainer: Trainer, saved: Saved) -> None:
    """Give a trainer a state that one of this run saved.

    Raises:
        MisfitError: it cannot have; the trainer stays as it was.
        VaeklError: an optimiser of somebody's own does not take it.
    """
    try:
        trainer.load_state_dict(saved.state)
    except MisfitError as error:
        raise MisfitError(error.place, error.what, saved.file) from error
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise VaeklError(
            f"the checkpoint {saved.file} does not fit the run of {saved.file.parent}: restore the two as they were, "
            f"or {AFRESH}."
        ) from error


def first_fault(trainer: Trainer, until: int) -> Fault | None:
    """Take the steps again that led to a divergence, and look after each at the ledger, the gradient and the weights.

    Args:
        trainer: as it was at the last checkpoint, without callbacks.
        until: the step that is known to be bad.

    Returns:
        What was the first to be not finite; None where all stays finite this time.
    """
    trainer.model.train()
    trainer.recorder = None  # a recorded step shows no gradients
    # names of gradients in the order in which they are computed, before a norm that may be NaN clips them all
    broken: list[str] = []
    for name, parameter in trainer.model.named_parameters():
        parameter.register_post_accumulate_grad_hook(
            # the norm and Adam need the squares
            lambda p, name=name: None if p.grad.square().sum().isfinite() else broken.append(name)
        )
    with closing(trainer.data.train.stream(trainer.batches_to_come())) as batches:
        for stored in batches:
            trainer.compiler.decide(trainer.plan.total_steps - trainer.step)
            trainer.train_step(stored)
            row = trainer.rows[(trainer.step - 1) % trainer.plan.log_every].isfinite().tolist()
            if not all(row):
                return Fault(trainer.step, LEDGER[row.index(False)])
            if broken:
                return Fault(trainer.step, f"the gradient of {broken[0]}, with every part of the ELBO still finite")
            for name, parameter in trainer.model.named_parameters():
                if not parameter.isfinite().all():
                    return Fault(trainer.step, f"{name}, with the ELBO and the gradient still finite")
            if trainer.step >= until:
                break
    return None


def _check_never_saved(trainer: Trainer, path: Path) -> None:
    """Refuse to start a run again, and to replace its figures, where a checkpoint was and is no more."""
    step = max((row.step for row in RunFolder(path).metrics()), default=0)
    if step > trainer.plan.valid_every:  # the first checkpoint belongs to the first validation
        raise VaeklError(
            f"{RunFolder(path).last} is missing though the run went on to step {step}: put the checkpoint back, or "
            f"{AFRESH}."
        )
