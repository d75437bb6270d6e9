"""Tasks in processes that are forked from this one, so that what it has imported is there in each of them at once."""

import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from math import inf
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, NamedTuple, NoReturn


class FailedTaskError(Exception):
    """What is known of an answer, or an error, that cannot be handed from one process to another."""


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
        Exception: the first that a task has raised, when all have ended, with the traceback of its process as a note.
        OSError: no process can be begun.
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
                late = time.monotonic() - patience
                _kill([child for child in children.values() if child.begun <= late])
            for reading in (pipe for pipe in [*children] if pipe in ready):
                child = children.pop(reading)
                with suppress(EOFError, OSError):  # it was killed
                    is_error, answer = pickle.loads(reading.recv_bytes())
                    errors += [answer] if is_error else []
                    answers[child.task] = None if is_error else answer
                reading.close()
                with suppress(ChildProcessError):  # of a program that lets the system forget its children
                    os.waitpid(child.process, 0)
    except BaseException:
        _kill(children.values(), signal.SIGTERM)
        raise
    if errors:
        raise errors[0]
    return answers


def _kill(children: Iterable[_Child], by: signal.Signals = signal.SIGKILL) -> None:
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child.process, by)


def _begun(task: Callable[[], Any], prepare: Callable[[], None]) -> tuple[Connection, int]:
    """A process that does a task, and the pipe that its answer comes through."""
    reading, writing = Pipe(duplex=False)
    # a signal between the fork and what comes next would be handled in both processes
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        process = os.fork()
        if process == 0:
            _work(task, prepare, writing, signals)
    except OSError:
        reading.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        writing.close()
    return reading, process


def _work(task: Callable[[], Any], prepare: Callable[[], None], writing: Connection, signals: set[Any]) -> NoReturn:
    """In the new process: do the task, hand its answer over, and end."""
    code = 1
    try:
        # a thread of the first process may have held the locks of its streams, which nobody would give back here
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", encoding="utf-8", closefd=False) for stream in (1, 2))
        prepare()
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        writing.send_bytes(_answer(task))
        code = 0
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _answer(task: Callable[[], Any]) -> bytes:
    """Whether it has raised an error, and what it has returned or raised."""
    try:
        answer = False, task()
    except Exception as error:
        error.add_note(traceback.format_exc())
        answer = True, error
    try:
        packed = pickle.dumps(answer)
        pickle.loads(packed)
    except Exception:
        kind = f"{type(answer[1]).__name__}: {answer[1]}" if answer[0] else f"a {type(answer[1]).__name__}"
        return pickle.dumps((True, FailedTaskError(f"{kind} cannot be handed to another process")))
    return packed
