"""Tasks in processes that are forked from this one, so that what it has imported is there in each of them at once."""

import errno
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import inf
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, NamedTuple, NoReturn


class FailedTaskError(Exception):
    """What is known of an answer, or an error, that cannot be handed from one process to another."""


class Died(NamedTuple):
    """In the place of an answer: how a process ended that has handed none over.

    Args:
        code: its exit code, or less than 0 the number of a signal; None where the system has not kept it.
    """

    code: int | None


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
        at_once: how many processes there are at most; there are fewer where the system has no room for so many.
        prepare: called first in each process.
        patience: seconds after which a process is killed.

    Returns:
        What each task has returned; `Died` where its process has ended before.

    Raises:
        Exception: the first that a task has raised, when all have ended, with the traceback of its process as a note.
        OSError: no process can be begun, and none is left that could make room.
    """
    answers: list[Any] = [None] * len(tasks)
    errors: list[Exception] = []
    waiting, children = list(range(len(tasks)))[::-1], dict[Connection, _Child]()
    # OpenMP's threads belong to the thread that has computed with them. A fork of that one would wait forever for those
    # that it has not got; a fork of a new thread begins its own
    with ThreadPoolExecutor(1) as thread:
        try:
            while waiting or children:
                while waiting and len(children) < at_once:
                    try:
                        _begin(waiting[-1], tasks[waiting[-1]], prepare, thread, children)
                    except OSError:
                        if not children:
                            raise
                        break  # there may be room for it when one of them has ended
                    waiting.pop()
                left = patience - time.monotonic() + min(child.begun for child in children.values())
                ready = wait([*children], None if left == inf else max(0.0, left))
                if not ready:
                    late = time.monotonic() - patience
                    _kill(child for child in children.values() if child.begun <= late)
                for reading in (pipe for pipe in [*children] if pipe in ready):
                    child = children.pop(reading)
                    try:
                        is_error, answer = pickle.loads(reading.recv_bytes())
                    except (EOFError, OSError):
                        is_error, answer = False, Died(_ended(child))
                    else:
                        _ended(child)
                    reading.close()
                    answers[child.task] = answer
                    errors += [answer] if is_error else []
        except BaseException:
            thread.shutdown()  # which may be about to fork
            _kill(children.values())
            for reading, child in children.items():
                _ended(child)
                reading.close()
            raise
    if errors:
        raise errors[0]
    return answers


def _kill(children: Iterable[_Child]) -> None:
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child.process, signal.SIGKILL)


def _ended(child: _Child) -> int | None:
    """Wait for the end of a process; returns its code, None in a program that lets the system forget its children."""
    with suppress(ChildProcessError):
        return os.waitstatus_to_exitcode(os.waitpid(child.process, 0)[1])
    return None


def _begin(
    number: int,
    task: Callable[[], Any],
    prepare: Callable[[], None],
    thread: ThreadPoolExecutor,
    children: dict[Connection, _Child],
) -> None:
    """Let a thread fork a process that does a task, which then is among the children with the pipe of its answer."""
    reading, writing = Pipe(duplex=False)

    def fork() -> None:
        process = os.fork()
        if process == 0:
            _work(task, prepare, writing, signals)
        children[reading] = _Child(number, process, time.monotonic())

    # a signal between the fork and what comes next would be handled in both processes
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        thread.submit(fork).result()
    except (OSError, RuntimeError) as error:
        reading.close()
        if isinstance(error, RuntimeError):  # where there is no room for another thread there is none for a process
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        writing.close()


def _work(task: Callable[[], Any], prepare: Callable[[], None], writing: Connection, signals: set[Any]) -> NoReturn:
    """In the new process: do the task, hand its answer over, and end."""

    def whole() -> Any:
        prepare()
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        return task()

    code = 1
    try:
        # a thread of the first process may have held the locks of its streams, which nobody would give back here
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", encoding="utf-8", closefd=False) for stream in (1, 2))
        writing.send_bytes(_answer(whole))
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
