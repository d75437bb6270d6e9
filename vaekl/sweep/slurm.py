"""Slurm: which of a sweep's jobs it still has, and how they are stopped, with or without accounting."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_EVERY = 2.0
_PATIENCE = 30
#: submitit's folder within the sweep's; one folder for each job, named by it
_JOBS = ".submitit"


class NoJobsLeftError(Exception):
    """Slurm has none of the jobs any more for whose answers the launcher waits."""


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Around submitit's launcher, which without accounting waits for ever for a job that was cancelled or killed.

    Args:
        folder: the sweep's.

    Raises:
        NoJobsLeftError: in the main thread, wherever it waits.
    """
    before, over = jobs(folder), threading.Event()
    main = threading.main_thread()

    def end(number: int, frame: object) -> None:
        if not over.is_set():
            raise NoJobsLeftError

    def watch() -> None:
        absent = 0
        while not over.wait(_LOOK_EVERY):
            mine, there = jobs(folder) - before, queued()
            gone = mine and there is not None and not mine & there
            # an answer may reach a shared file system after its job has left the queue
            absent = absent + 1 if gone and _lacks_an_answer(folder, mine) else 0
            if absent > 2 and not over.is_set() and main.ident is not None:
                signal.pthread_kill(main.ident, signal.SIGUSR1)
                return

    handler = signal.signal(signal.SIGUSR1, end)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        signal.signal(signal.SIGUSR1, handler)


def jobs(folder: Path) -> set[str]:
    """The jobs that a sweep has ever submitted, as Slurm names them: 12, or 12_3 in an array."""
    return {file.parent.name for file in (folder / _JOBS).glob("*/*_submitted.pkl")}


def queued() -> set[str] | None:
    """The jobs that are pending or running, anyone's; None if Slurm does not answer."""
    answer = _ask("squeue", "--noheader", "--array", "--format=%i")
    return None if answer is None else set(answer.split())


def job() -> str | None:
    """The job that this process is part of."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def stop(names: set[str]) -> None:
    """Take jobs out of the queue, and ask those that run to end."""
    if there := sorted(names & (queued() or set())):
        _ask("scancel", "--state=PENDING", *there)
        # to a job that is pending Slurm would wait to deliver it
        _ask("scancel", "--state=RUNNING", "--signal=TERM", *there)


def wait(names: set[str], local: bool) -> None:
    """Wait until none of these jobs is pending or running.

    Args:
        names: the jobs.
        local: whether they are submitit's processes on this machine, by their numbers, instead of Slurm's jobs.
    """
    while any(map(_is_running, names)) if local else names & (queued() or set()):
        time.sleep(_LOOK_EVERY)


def _is_running(process: str) -> bool:
    state = Path("/proc", process, "stat")
    try:
        return state.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def _lacks_an_answer(folder: Path, names: set[str]) -> bool:
    return any(not list((folder / _JOBS / name).glob("*_result.pkl")) for name in names)


def _ask(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
