"""Tasks in processes that are forked from this one, so that what it has imported is there in each of them at once."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, NamedTuple


class _Child(NamedTuple):
    task: int
    process: int
    begun: float


def results(
    tasks: Sequence[Callable[[], Any]], at_once: int, prepare: Callable[[], None], patience: float = inf
) -> list[Any]:
    """Do each task in a process of its own, some of them at the same time.

    Args:
        tasks: what each returns must be picklable.
        at_once: how many processes there are at most.
        prepare: called first in each process.
        patience: seconds after which a process is killed.

    Returns:
        What each task has returned; None where its process was killed.

    Raises:
        Exception: the first that a task has raised, when all have ended.
    """
    answers: list[Any] = [None] * len(tasks)
    errors: list[Exception] = []
    waiting, children = list(range(len(tasks)))[::-1], dict[Connection, _Child]()
    try:
        while waiting or children:
            while waiting and len(children) < at_once:
                number = waiting.pop()
                reading, process = _begun(tasks[number], prepare)
                children[reading] = _Child(number, process, time.monotonic())
            left = patience - time.monotonic() + min(child.begun for child in children.values())
            ready = wait([*children], None if left == inf else max(0.0, left))
            if not ready:
                _kill(children)
            for reading in (pipe for pipe in [*children] if pipe in ready):
                child = children.pop(reading)
                with suppress(EOFError, OSError):  # it was killed
                    answer = reading.recv()
                    errors += [answer] if isinstance(answer, Exception) else []
                    answers[child.task] = answer
                reading.close()
                os.waitpid(child.process, 0)
    except BaseException:
        _kill(children, signal.SIGTERM)
        raise
    if errors:
        raise errors[0]
    return answers


def _kill(children: dict[Connection, _Child], by: signal.Signals = signal.SIGKILL) -> None:
    for child in children.values():
        with suppress(ProcessLookupError):
            os.kill(child.process, by)


def _begun(task: Callable[[], Any], prepare: Callable[[], None]) -> tuple[Connection, int]:
    """A process that does a task, and the pipe that its answer comes through."""
    reading, writing = Pipe(duplex=False)
    process = os.fork()
    if process:
        writing.close()
        return reading, process
    code = 1
    try:
        # a thread of the first process may have held the locks of its streams, which nobody would give back here
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", encoding="utf-8", closefd=False) for stream in (1, 2))
        prepare()
        try:
            answer = task()
        except Exception as error:
            answer = error
        writing.send(answer)
        code = 0
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
