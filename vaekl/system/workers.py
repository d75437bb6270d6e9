"""Processes that work for this one, or for which this one works: whether there can be any, and how they end."""

import ctypes
import errno
import os
import signal
import socket
from contextlib import suppress

#: environment variable by which a sweep tells its workers which process started them
PARENT = "VAEKL_SWEEP_PROCESS"
#: why there are none, in words
NO_SEMAPHORES = "processes need semaphores, and /dev/shm, which holds them, is missing, full or read-only"
_PR_SET_PDEATHSIG = 1


def in_worker() -> bool:
    """Whether this process trains one of several runs for the process that started the sweep."""
    return os.environ.get(PARENT, this_process()) != this_process()


def this_process() -> str:
    """The host's name and this process's number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def can_start_several() -> bool:
    """Whether joblib can start processes: without semaphores it takes threads, which would share Hydra's state."""
    import joblib

    return bool(joblib.effective_n_jobs(2) > 1)


def no_processes(error: OSError) -> str:
    """The beginning of a sentence for an error where there is no room for another process, or for its semaphore."""
    cures = {errno.ENOSPC: "free some space in /dev/shm", errno.EMFILE: "let it have more files open by `ulimit -n`"}
    cure = cures.get(error.errno or 0, "end some others")
    return f"no processes could be started ({error.strerror}): {cure}"


def end_with(parent: int) -> None:
    """Get SIGTERM when the process that began this one is no more, however it ended."""
    with suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before prctl was called
        signal.raise_signal(signal.SIGTERM)
