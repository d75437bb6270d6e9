"""The processes of a sweep: each run in one of its own, and how all of them are stopped."""

import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from vaekl.store import RunFolder, manifest
from vaekl.sweep import forks, slurm
from vaekl.system.cores import memory_kills
from vaekl.system.errors import StoppedError, VaeklError
from vaekl.system.files import open_regular
from vaekl.system.workers import PARENT, end_with, this_process

#: a file in the sweep's folder that keeps workers from beginning another run
_STOP = ".stop"


def check_fork() -> None:
    """Refuse to fork runs for a GPU from a process that has used one, in which CUDA would not work.

    Raises:
        VaeklError: says so.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        raise VaeklError(
            "this process has used the GPU, which the processes that a sweep forks from it then cannot: start the "
            "sweep as a command of its own, or set hydra/launcher=basic."
        )


def is_stopping(folder: Path) -> bool:
    """Whether no further run of this sweep is to begin."""
    return (folder / _STOP).exists()


def leave_signals() -> None:
    """In a worker: leave Ctrl-C, which a terminal sends to every process, to the process that started the sweep.

    A worker ends when that process has ended.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number) if _is_orphan() else None)
    end_with(_parent())


def begin(threads: int) -> None:
    """In a worker that was forked from the process that started the sweep.

    Args:
        threads: of each of its runs.
    """
    leave_signals()
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)
    else:  # all runs are finished, and none needs torch unless somebody has touched its files
        os.environ["OMP_NUM_THREADS"] = str(threads)


def prepare() -> None:
    """In a process that trains one of several runs: SIGTERM stops the run, Ctrl-C is left to who started the sweep."""

    def stop(number: int, frame: object) -> None:
        # the same signal may come twice, and must not cut short what is written after the first
        signal.signal(number, signal.SIG_IGN)
        raise StoppedError("stopped outside of training: the same command goes on from the last checkpoint.")

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)


@contextmanager
def submitted() -> Iterator[None]:
    """Around a run in a job that submitit began, so that it saves its state before the job is put back into the queue.

    SIGUSR2 comes when the job's time is nearly up, or when a job of higher priority takes its place. Submitit's own
    handler would put the job back at once, in the middle of a step.
    """
    prepare()
    if slurm.job() is not None:  # a job may see cores of the machine that are not its own
        os.environ.setdefault("OMP_NUM_THREADS", os.environ.get("SLURM_CPUS_PER_TASK", "1"))
    put_back: Any = signal.getsignal(signal.SIGUSR2)
    signals: list[tuple[int, object]] = []

    def save_first(number: int, frame: object) -> None:
        signals.append((number, frame))
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGUSR2, save_first)
    yield
    signal.signal(signal.SIGUSR2, put_back)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all is saved
    if signals:
        put_back(*signals[0])


def alone(run: Callable[[], Any], *paths: Path) -> Any:
    """Do a run in a process of its own: its memory is free when it ends, and if it is killed the other runs go on.

    Args:
        run: what is done; must not raise.
        paths: the run's folder, by which the manifest knows it; or those of all that are trained together.

    Returns:
        What the run returned; None if its process was killed.
    """
    parent, kills_before = os.getpid(), memory_kills()

    def prepare_run() -> None:
        prepare()
        end_with(parent)

    (answer,) = forks.results([partial(_or_exit, run)], 1, prepare_run)
    if not isinstance(answer, forks.Died):
        return answer
    memory = ": the system was out of memory" if memory_kills() > kills_before else ""
    reason = "its process met an error that is none of the run's: please report it, with what it printed"
    if is_killed := answer.code is None or answer.code < 0:
        by = f" by {signal.Signals(-answer.code).name}" if answer.code is not None else ""
        reason = f"its process was killed{by}{memory}"
    before = manifest.read(paths[0].parent)
    for path in paths:
        # of several, some may have ended, and others not begun
        if len(paths) == 1 or (path.name in before and before[path.name].status in ("running", "killed")):
            manifest.note(path, status="killed" if is_killed else "failed", reason=reason)
    return None


def _or_exit(run: Callable[[], Any]) -> Any:
    """What a run returns; where it raises an error, which it must not, the process ends with that."""
    try:
        return run()
    except Exception:
        traceback.print_exc()
        sys.exit(1)


@contextmanager
def stoppable(folder: Path, session: str, threads: int | None, on_slurm: bool) -> Iterator[None]:
    """Around runs in other processes: a first signal stops them after their step, a second one kills them.

    Args:
        folder: the sweep's.
        session: of this command.
        threads: of each run, unless the user's environment says so; None where another machine decides.
        on_slurm: whether the runs are jobs of Slurm's.

    Raises:
        StoppedError: after a signal, when every run that had begun has saved its state.
    """
    before = {name: os.environ.get(name) for name in (PARENT, "OMP_NUM_THREADS")}
    os.environ[PARENT] = this_process()
    if threads is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    with suppress(OSError):
        (folder / _STOP).unlink()
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stopped = threading.Event()
    jobs_before = slurm.jobs(folder)

    def stop(number: int, frame: object) -> None:
        stopped.set()
        signal.signal(number, handlers[number])
        os.close(open_regular(folder / _STOP, os.O_WRONLY | os.O_CREAT))
        if on_slurm:
            slurm.stop(slurm.jobs(folder) - jobs_before)
        for run in manifest.of_session(folder, session).values():
            if run.status == "running" and run.host == socket.gethostname() and run.process:
                with suppress(OSError):
                    os.kill(run.process, signal.SIGTERM)

    try:
        for number in handlers:
            signal.signal(number, stop)
        yield
    except (Exception, KeyboardInterrupt):
        if not stopped.is_set():  # without a best run a search fails; Ctrl-C may interrupt a worker first
            raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        with suppress(OSError):
            (folder / _STOP).unlink()
    if stopped.is_set():
        raise StoppedError(f"the sweep was stopped, {_saved(folder, session)}: the same command goes on from there.")


def _saved(folder: Path, session: str) -> str:
    """What is there, in words, of the runs that a command began."""
    runs = manifest.of_session(folder, session)
    if unsaved := sum(run.status == "killed" for run in runs.values()):
        return f"{unsaved} runs before they could save"
    if any(RunFolder(folder / name).checkpoints() for name in runs):
        return "every run that had begun has saved its state"
    return "before a run of it had taken a step"


def _parent() -> int:
    return int(os.environ[PARENT].rpartition(":")[2])


def _is_orphan() -> bool:
    return os.getppid() != _parent()
