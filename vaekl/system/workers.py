"""Whether this process is one of several that another one started, each for a run of its own."""

import os
import socket

#: names the process that started a sweep, in the environment of its workers
PARENT = "VAEKL_SWEEP_PROCESS"


def in_worker() -> bool:
    """Whether this process trains one of several runs that another one started."""
    return os.environ.get(PARENT, this_process()) != this_process()


def this_process() -> str:
    """The host's name and this process's number."""
    return f"{socket.gethostname()}:{os.getpid()}"
