"""A run from its first step to its results: train, test, and write `results.json` last."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from vaekl.data import generator
from vaekl.measures.elbo import Evaluation, evaluate, noise_of_test
from vaekl.run import recovery, summary
from vaekl.store import BEST, LAST, RunFolder, checkpoint
from vaekl.system import distributed
from vaekl.system.console import Console
from vaekl.system.errors import StoppedError, VaeklError, first_line
from vaekl.system.files import unwritable
from vaekl.system.terminal import silence
from vaekl.system.workers import in_worker
from vaekl.training import stack
from vaekl.training.trainer import Trainer


@dataclass
class Run:
    """A run that is built: a trainer and what belongs around it.

    Args:
        trainer: with its callbacks.
        choices: the name of what stands in each config group.
        path: the run folder, which the first process holds.
        console: where it speaks.
        init: whose weights its networks began with, in words; None for their own.
        notes: which of its settings another one, or the data, has overruled.
    """

    trainer: Trainer
    choices: Mapping[str, str]
    path: Path
    console: Console
    init: str | None = None
    notes: Sequence[str] = ()


def execute(run: Run) -> float | None:
    """Train, test, and write `results.json`, whose presence means that the run is finished.

    Returns:
        The validation ELBO in nats, or None without validation images.

    Raises:
        StoppedError: a signal, or an output that takes no more text, has ended the run after a step, and its state is
            saved.
        VaeklError: it diverged, or its folder cannot be written.
    """
    with run.console.output.noting_loss(run.trainer.request_stop):
        return _trained_and_tested(run)


def _trained_and_tested(run: Run) -> float | None:
    trainer, console, output = run.trainer, run.console, run.console.output
    console.print(summary.start(trainer, run.choices, run.path, run.init, run.notes))
    try:
        with stops_at_signals(trainer) as received, stack.joined(trainer):
            trainer.fit()
        if not trainer.finished:
            stopped = f"stopped at step {trainer.step}: `{RunFolder(run.path).command('resume')}` goes on from there."
            raise output.lost.followed_by(stopped) if output.lost else StoppedError.by(received, stopped)
        weights = _take_best(run)
        data, schedule = trainer.data, trainer.schedule(trainer.step - 1)
        valid = None
        if data.valid is not None:
            stream = generator("valid", trainer.seed, trainer.device)
            valid = evaluate(trainer.judged, data.valid, stream, schedule)
        test = evaluate(trainer.judged, data.test, noise_of_test(trainer.judged, trainer.seed), schedule)
        trainer.tell(lambda callback: callback.tested(trainer, test))
        distributed.on_first(lambda: RunFolder(run.path).finish(_results(run, weights, valid, test)))
    except OSError as error:
        raise VaeklError(unwritable(run.path, "run folder", error)) from error
    except Exception as error:
        if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
            full = os.strerror(errno.ENOSPC) in str(error)
            # the compiler takes TMPDIR, even where Python sees that it is full and takes another
            place = os.environ.get("TMPDIR") or gettempdir()
            cure = f"free some space in {place}" if full else "install a C++ compiler such as g++"
            reason = "the disk is full" if full else first_line(error)
            raise VaeklError(f"torch.compile failed ({reason}): {cure}, or set trainer.compile=false.") from error
        raise
    console.print(summary.end(trainer, test))
    if (dispersions := summary.dispersions(test)) is not None:
        console.print(dispersions)
    console.print(summary.closing(trainer, run.choices, test, run.path))
    if output.lost and not in_worker():
        raise output.lost.followed_by(f"the run is finished, in {run.path}.")
    return valid.elbo if valid is not None else None


#: the runs that are trained in this process now, and the signals that came for each
_trained: list[tuple[Trainer, list[int]]] = []


@contextmanager
def stops_at_signals(trainer: Trainer) -> Iterator[list[int]]:
    """SIGINT, SIGTERM and a closed terminal end the step; yields a list of those that came.

    A second one stops at once, unless several programs may have sent one each. Of the runs of a stack the first to be
    trained looks for signals, and a signal is for all of them.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # signals are handled in the main thread alone
        yield received
        return
    if _trained and (before := _trained[-1][1]):
        received.extend(before)
        trainer.request_stop()
    _trained.append((trainer, received))
    if len(_trained) == 1:
        _handlers.update(_watched_signals())
    try:
        yield received
    finally:
        _trained.remove((trainer, received))
        # a worker may get the signal twice, and the second must not cut short what it writes about the first
        over = trainer.stop_requested and in_worker()
        for number in [] if _trained else list(_handlers):
            handler = _handlers.pop(number)
            signal.signal(number, signal.SIG_IGN if over else handler)


_handlers: dict[int, Any] = {}


def _watched_signals() -> dict[int, Any]:
    """Stop all runs at the signals that are for this process; returns the handlers that these had."""
    # Ctrl-C in a sweep is for the process that started it, which then sends SIGTERM to its workers
    numbers = [signal.SIGTERM] if in_worker() else [signal.SIGINT, signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # not on Windows
    if hang_up is not None and not in_worker() and signal.getsignal(hang_up) == signal.SIG_DFL:  # nohup has it ignored
        numbers.append(hang_up)
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}

    def stop(number: int, frame: object) -> None:
        for trainer, received in _trained:
            received.append(number)
            trainer.request_stop()
        if number == hang_up:  # to write to a terminal that was closed would fail
            silence(sys.stdout, sys.stderr)
        if distributed.size() == 1 and not in_worker():
            signal.signal(number, handlers[number])

    for number in handlers:
        signal.signal(number, stop)
    return handlers


def _take_best(run: Run) -> str:
    """Put the weights back that early stopping found best; returns the name of the checkpoint that is tested."""
    trainer, last = run.trainer, run.trainer.step
    if trainer.plan.patience is None:
        return LAST
    folder, file = RunFolder(run.path), RunFolder(run.path).best
    best = distributed.on_first(lambda: checkpoint.load(file) if BEST in folder.checkpoints() else None)
    if best is None:
        return LAST
    restores = trainer.restores
    recovery.load(trainer, recovery.Saved(file, best))
    trainer.restores = restores  # how often the run has gone back, not how often it had when the best were saved
    run.console.print(f"  the best validation ELBO was at step {trainer.step} of {last}")
    return BEST


def _results(run: Run, weights: str, valid: Evaluation | None, test: Evaluation) -> dict[str, Any]:
    trainer = run.trainer
    return {
        "choices": dict(run.choices),
        "weighting": trainer.model.weighting.name,
        "protocol": {"data": trainer.data.spec.figures_protocol, "likelihood": trainer.model.likelihood.full_protocol},
        "seed": trainer.seed,
        "weights": weights,
        "step": trainer.step,
        "restores": trainer.restores,
        "digests": trainer.data.digests,
        "images": {"train": len(trainer.data.train), "valid": valid.images if valid else 0, "test": test.images},
        **({"valid": valid.record()} if valid else {}),
        "test": test.record(),
    }
