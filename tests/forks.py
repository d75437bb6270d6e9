"""Processes that need not load PyTorch: each is a fork of one that has loaded it.

That one is multiprocessing's fork server: one for each process of pytest, begun when it is first needed.
"""

import atexit
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from multiprocessing import forkserver, get_context
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

_SERVER = get_context("forkserver")
_SERVER.set_forkserver_preload(["fork_server"])


class Fork:
    """A function called in a process of its own, with those methods of `subprocess.Popen` that the tests use.

    Args:
        function: its return value is the exit code.
        arguments: its arguments, which are pickled.
        folder: its working directory.
        group: whether it is the head of a process group of its own.
        environment: variables beside those of the tests.
    """

    def __init__(
        self, function: Callable[..., int], *arguments: Any, folder: Path, group: bool = False, **environment: str
    ) -> None:
        self._written = tempfile.TemporaryDirectory(prefix="fork.")
        self._streams = [Path(self._written.name, name) for name in ("out", "err")]
        for stream in self._streams:
            stream.touch()  # the fork may be killed before it opens them
        self._process = _SERVER.Process(
            target=live, args=(function, arguments, folder, self._streams, os.environ | environment, group)
        )
        with patch.dict(os.environ, {"PYTHONPATH": _path()}):  # where the server finds what it loads
            forkserver.ensure_running()
        # multiprocessing would import pytest's main module in every fork
        with patch.dict(sys.modules, {"__main__": ModuleType("__main__")}):
            self._process.start()
        _running.add(self)

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, None if it has not."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same, as `Popen` has it."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it, unless the process has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """As by `kill -9`."""
        self.send_signal(signal.SIGKILL)

    def written(self) -> str:
        """What it has written so far, to stdout and then to stderr."""
        return "".join(stream.read_text(encoding="utf-8") for stream in self._streams)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; returns what it wrote to stdout and stderr."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        _running.discard(self)
        out, err = (stream.read_text(encoding="utf-8") for stream in self._streams)
        self._written.cleanup()
        return out, err


def _path() -> str:
    return os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])


_running: set[Fork] = set()


@atexit.register  # called before multiprocessing's own function, which waits for them
def _end_all() -> None:
    for fork in _running:
        fork.kill()


def live(
    function: Callable[..., int],
    arguments: tuple[Any, ...],
    folder: Path,
    streams: list[Path],
    environment: dict[str, str],
    group: bool,
) -> None:
    """A fork's whole life: made like a fresh process, then the function, then what Python does at its end."""
    if group:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.modules["__main__"] = ModuleType("__main__")
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    for stream, name in zip((sys.stdout, sys.stderr), streams, strict=True):
        with open(name, "wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    take_two_cores()
    code = 1
    try:
        code = function(*arguments)
    except BaseException:
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def take_two_cores() -> None:
    """Tests beside each other shall not each start as many workers as the machine has cores."""
    if hasattr(os, "sched_getaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 2:
        os.sched_setaffinity(0, random.sample(cores, 2))


def command(words: tuple[str, ...], threads: int = 1, here: bool = True) -> int:
    """`python -m vaekl WORDS`; or `vaekl WORDS`, for which Python does not look for modules here."""
    import torch

    from vaekl import cli

    if here:
        sys.path.insert(0, os.getcwd())
    sys.argv = ["vaekl", *words]
    torch.set_num_threads(threads)
    return cli.main()
