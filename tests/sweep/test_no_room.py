"""A sweep where the system has no room for another process."""

import errno
import os
import threading
from functools import partial

import pytest
from cli_helpers import SMALL, finished, refused
from forks import Fork, command

from vaekl.sweep import trying
from vaekl.system.workers import no_processes


@pytest.mark.parametrize(
    ("number", "cure"),
    [(errno.EAGAIN, "end some others"), (errno.ENOSPC, "/dev/shm"), (errno.EMFILE, "ulimit -n")],
)
def test_where_no_process_can_be_begun_the_cure_is_of_what_is_full(number, cure):
    assert cure in no_processes(OSError(number, os.strerror(number)))


def full_table(words, places):
    """`vaekl WORDS` where the system has no room for another process, or for another thread either."""
    trying.tried = lambda *_, **__: None
    parent, fork = os.getpid(), os.fork

    def no_room(*_):
        if (os.getpid() == parent) == ("of runs" not in places):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()

    def no_thread(*_):
        raise RuntimeError("can't start new thread")

    os.fork = no_room
    if "threads" in places:
        threading.Thread.start = no_thread
    return command(words)


@pytest.mark.parametrize("places", ["of workers", "of runs", "of workers and threads"])
def test_a_full_process_table_is_one_sentence(places, tmp_path):
    words = ("train", "-m", "seed=0,1", *SMALL)
    answer = finished(Fork(partial(full_table, places=places), words, folder=tmp_path))
    refused(answer, "no processes could be started", "end some others, or set hydra/launcher=basic")
