"""Whether this process was started by a sweep to train one of its runs."""

import os
import socket

#: environment variable by which a sweep tells its workers which process started them
PARENT = "VAEKL_SWEEP_PROCESS"


def in_worker() -> bool:
    """Whether this process trains one of several runs for the process that started the sweep."""
    return os.environ.get(PARENT, this_process()) != this_process()


def this_process() -> str:
    """The host's name and this process's number."""
    return f"{socket.gethostname()}:{os.getpid()}"
