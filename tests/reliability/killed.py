"""`vaekl` that dies, waits or loses its disk at the N-th passing of a place: in a fork, since it patches Python."""

import builtins
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mounts import own_mounts
from planted import FAULTS

#: places of training: what happens there, and to which file; first what only a start passes, last what ends a run
PLACES = {
    "manifest half written": ("write", "*manifest.json*"),
    "manifest synced": ("synced", ".manifest.json.partial"),
    "manifest renamed": ("renamed", "manifest.json"),
    "facts half written": ("write", "*facts.json*"),
    "facts renamed": ("renamed", "facts.json"),
    "config half written": ("write", "*config.yaml*"),
    "config synced": ("synced", ".config.yaml.partial"),
    "config renamed": ("renamed", "config.yaml"),
    "metrics.csv half cut": ("write", ".metrics.csv.partial"),
    "metrics.csv cut, synced": ("synced", ".metrics.csv.partial"),
    "metrics.csv cut, renamed": ("renamed", "metrics.csv"),
    "best half written": ("write", "*best.pt*"),
    "best synced": ("synced", ".best.pt.partial"),
    "best renamed": ("renamed", "best.pt"),
    "epoch": ("call", "epoch"),
    "step": ("call", "step"),
    "half a row": ("write", "metrics.csv"),
    "half an event": ("write", "events.out.tfevents.*[0-9]"),
    "validation": ("call", "validation"),
    "pictures": ("call", "pictures"),
    "checkpoint half written": ("write", "*last.pt*"),
    "checkpoint synced": ("synced", ".last.pt.partial"),
    "previous renamed": ("renamed", "previous.pt"),
    "checkpoint renamed": ("renamed", "last.pt"),
    "last evaluations": ("call", "last evaluations"),
    "half an event of the test": ("write", "events.out.tfevents.*.test"),
    "half a picture": ("write", "*.png*"),
    "results half written": ("write", "*results.json*"),
    "results synced": ("synced", ".results.json.partial"),
    "results renamed": ("renamed", "results.json"),
}
#: places of a run that diverges and goes back to its last checkpoint
BACK = {
    "diverged": ("call", "diverged"),
    "steps taken again": ("call", "steps taken again"),
    "going back": ("call", "going back"),
    "gone back": ("call", "gone back"),
}
#: places of the verbs that look at runs, and of data that are decoded before a run
OTHER = {
    "cache half written": ("write", "*.npy.partial"),
    "cache renamed": ("renamed", "*.npy"),
    "evaluation half written": ("write", "*eval.json*"),
    "evaluation synced": ("synced", ".eval.json.partial"),
    "evaluation renamed": ("renamed", "eval.json"),
    "figure half written": ("write", "*.svg*"),
    "figure renamed": ("renamed", "*.svg"),
    "table renamed": ("renamed", "runs.csv"),
    "page half written": ("write", "*report.html*"),
    "page renamed": ("renamed", "report.html"),
    "arrays half written": ("write", "*.npz*"),
    "arrays renamed": ("renamed", "*.npz"),
    "picture renamed": ("renamed", "*.png"),
}
_ALL = PLACES | BACK | OTHER
#: the run waits there for as long as this file exists
HUNG = "hung"


def die() -> None:
    """As by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def hang() -> None:
    """Wait until the file is taken away; signals are handled meanwhile."""
    file = Path(HUNG).absolute()
    file.touch()
    while file.exists():
        time.sleep(0.01)


def lose_disk() -> None:
    """As if the disk of the folder `run` were mounted read-only: what is open goes on, and nothing else is written."""
    for words in ("--bind run run", "-o remount,bind,ro run"):
        subprocess.run(["mount", *words.split()], check=True)


def break_disk() -> None:
    """Let the kernel note an error in the file system of this folder, which is an ext4 in a file."""
    folder = str(Path.cwd())
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    device = next(source for source, place, *_ in mounts if place == folder)
    loop = Path(device).name
    if not Path("/sys/fs/ext4", loop).exists():  # the mount may be named by its file
        listed = subprocess.run(["losetup", "-j", device], capture_output=True, text=True, check=True).stdout
        loop = Path(listed.partition(":")[0]).name
    Path("/sys/fs/ext4", loop, "trigger_fs_error").write_text("1")


#: what may happen at a place
ACTS = {"die": die, "hang": hang, "lose disk": lose_disk, "break disk": break_disk}


class Watch:
    """Counts how often each place is passed, and does something at one of them."""

    def __init__(self, place: str | None, number: int, act: Callable[[], None]) -> None:
        self.place, self.number, self.act = place, number, act
        self.counts: Counter[str] = Counter()

    def at(self, what: str, name: str) -> bool:
        """Whether this is the passing at which to act."""
        here = [place for place, (kind, pattern) in _ALL.items() if kind == what and fnmatch(name, pattern)]
        self.counts.update(here)
        return self.place in here and self.counts[self.place] == self.number

    def passed(self, what: str, name: str) -> None:
        """Act, if it is the passing."""
        if self.at(what, name):
            self.act()


class Watched:
    """A file that may be written by half."""

    def __init__(self, file: Any, name: str, watch: Watch) -> None:
        self.file, self.name_, self.watch = file, name, watch

    def write(self, content: Any) -> int:
        """All of it, or half of it and then the end."""
        if self.watch.at("write", self.name_):
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            self.watch.act()
            return self.file.write(content[len(content) // 2 :])
        return self.file.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "Watched":
        self.file.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.file.__exit__(*error)


def watch_files(watch: Watch) -> None:
    """Every file that is opened for writing, synced or moved."""
    opened, synced, replaced = io.open, os.fsync, os.replace
    patterns = [pattern for kind, pattern in _ALL.values() if kind == "write"]

    def open_(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        real = opened(file, mode, *more, **named)
        name = "" if isinstance(file, int) else os.path.basename(os.fsdecode(file))
        writes = set(mode) & set("wax+") and any(fnmatch(name, pattern) for pattern in patterns)
        return Watched(real, name, watch) if writes else real

    def fsync(number: int) -> None:
        synced(number)
        watch.passed("synced", os.path.basename(os.readlink(f"/proc/self/fd/{number}")))

    def replace(source: Any, target: Any, **named: Any) -> None:
        replaced(source, target, **named)
        watch.passed("renamed", os.path.basename(os.fspath(target)))

    io.open = builtins.open = open_  # type: ignore[assignment]
    os.fsync, os.replace = fsync, replace  # type: ignore[assignment]


def watch_calls(watch: Watch) -> None:
    """The parts of a run that write nothing."""
    from vaekl.data import batches
    from vaekl.run import execute, recovery, start
    from vaekl.training import judging, trainer
    from vaekl.training.callbacks import images

    for module, function, name in (
        (batches, "epoch_order", "epoch"),
        (trainer.Trainer, "train_step", "step"),
        (judging, "evaluate", "validation"),
        (execute, "evaluate", "last evaluations"),
        (images, "pictures", "pictures"),
        (start, "_explained", "diverged"),
        (recovery, "first_fault", "steps taken again"),
        (start, "_restored", "going back"),
        (recovery, "restore", "gone back"),
    ):
        setattr(module, function, _watched(getattr(module, function), name, watch))


def _watched(function: Callable[..., Any], name: str, watch: Watch) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        watch.passed("call", name)
        return function(*arguments, **named)

    return call


def typed(
    words: tuple[str, ...],
    place: str | None = None,
    number: int = 0,
    act: str = "die",
    mounts: tuple[str, ...] | None = None,
    fault: str | None = None,
    counts: str | None = None,
) -> int:
    """`vaekl WORDS`; returns the exit code.

    Args:
        words: what is typed.
        place: where something happens to it.
        number: at which passing of the place.
        act: what happens, one of `ACTS`.
        mounts: words of `mount` commands that are given before, for a process with mounts of its own.
        fault: one of `FAULTS`.
        counts: the file for how often each place was passed.
    """
    from vaekl import cli

    sys.argv = ["vaekl"]
    if fault:
        FAULTS[fault]()
    if mounts is not None:
        own_mounts(*mounts)
    watch = Watch(place, number, ACTS[act])
    watch_files(watch)
    watch_calls(watch)
    code = cli.main(words)
    if counts:
        Path(counts).write_text(json.dumps(watch.counts), encoding="ascii")
    return code
