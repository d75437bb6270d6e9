"""A verb in a fork with a limit on everything, and what is wrong with the way in which it ended."""

import atexit
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forks import live

#: without those in which it waits for a core that others have
SECONDS = 10
_PATIENCE = 6 * SECONDS
#: bytes more than the process had when it began
MEMORY = 1 << 30
#: more than that fails at once, so that a fault does not fill the machine
_ADDRESSES = 4 * MEMORY
_LARGEST_FILE = 2 * MEMORY
_LONGEST_SENTENCE = 2000
#: what a terminal obeys, and what turns the direction of writing; a line's end is none
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_BUGS = re.compile(r"Traceback|unexpected \w*(Error|Exception|Exit|Interrupt|Warning)\b")
_TEXTS = (".json", ".yaml", ".csv", ".md", ".html", ".svg", ".log", ".txt")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        code: its exit code, negative for a signal.
        out: stdout.
        err: stderr.
        seconds: that it took.
        memory: bytes that it had at most beyond those it began with.
    """

    code: int
    out: bytes
    err: bytes
    seconds: float
    memory: int


def ended(act: Callable[[], int], folder: Path, streams: Path, **environment: str) -> Ended:
    """Call a function in a fork of this process.

    Args:
        act: its return value is the exit code.
        folder: the fork's working directory.
        streams: a folder for what it writes.
        environment: variables beside those of this process.
    """
    files, start = [streams / name for name in ("out", "err")], time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    seen, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        atexit._clear()  # what this process does at its end is none of the fork's business
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        size = _pages(0) + _ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
        os.write(write_end, str(_pages(1)).encode())  # a fork has what its parent has written, not all that it has read
        os.close(write_end)
        os.close(seen)
        live(act, (), folder, files, os.environ | environment, True)
    os.close(write_end)
    with open(seen, "rb") as pipe:
        before = int(pipe.read())
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    waited = int(Path("/proc", str(pid), "schedstat").read_text().split()[1]) / 1e9
    seconds = time.monotonic() - start - waited
    _, status, usage = os.wait4(pid, 0)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    out, err = (file.read_bytes() if file.exists() else b"" for file in files)
    return Ended(os.waitstatus_to_exitcode(status), out, err, seconds, usage.ru_maxrss * 1024 - before)


def _pages(field: int) -> int:
    """Bytes of this process: 0 all that it may address, 1 what it has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[field]) * resource.getpagesize()


def faults(answer: Ended) -> list[str]:
    """What is wrong with a command, whatever it was to do."""
    wrong = []
    text = answer.err.decode(errors="replace")
    if answer.seconds > SECONDS:
        wrong.append(f"took {answer.seconds:.1f} s")
    if answer.code not in (0, 1):
        wrong.append(f"exit code {answer.code}")
    if answer.memory > MEMORY:
        wrong.append(f"took {answer.memory >> 20} MB")
    for name, stream in (("stdout", answer.out), ("stderr", answer.err)):
        try:
            if control := _CONTROL.search(stream.decode()):
                wrong.append(f"{control[0]!r} on {name}")
        except UnicodeDecodeError:
            wrong.append(f"bytes that are no text on {name}")
    if answer.code == 0 and text:
        wrong.append("noise on stderr")
    if answer.code == 1:
        sentence = text.removesuffix("\n")
        if not sentence.startswith("vaekl: ") or "\n" in sentence or not sentence.endswith("."):
            wrong.append("not one sentence")
        if len(sentence) > _LONGEST_SENTENCE:
            wrong.append(f"a sentence of {len(sentence):,} letters")
    for stream in (text, answer.out.decode(errors="replace")):
        wrong += [f"says {match[0]!r}" for match in _BUGS.finditer(stream)][:1]
    return [f"{fault}: {text[-600:]!r}" for fault in wrong]


#: of each path its mode, its size, when it was changed, and what it holds or leads to
Tree = dict[str, tuple[Any, ...]]


def tree(folder: Path) -> Tree:
    """Everything below a folder, and the folder itself."""
    return {str(path.relative_to(folder)): _state(path) for path in (folder, *_below(folder))}


def _below(folder: Path) -> list[Path]:
    paths = []
    for root, folders, files in os.walk(folder):
        paths += [Path(root, name) for name in (*folders, *files)]
    return sorted(paths)


def _state(path: Path) -> tuple[Any, ...]:
    state = path.lstat()
    content: Any = None
    if path.is_symlink():
        content = os.readlink(path)
    elif path.is_file() and state.st_blocks * 512 < 1 << 26:  # more is a hole
        content = path.read_bytes() if state.st_size < 1 << 26 else state.st_blocks
    return state.st_mode, state.st_size, state.st_mtime_ns, content


def differences(before: Tree, after: Tree) -> list[str]:
    """Names of what is new, gone or different."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def faults_of_folder(before: Tree, after: Tree, code: int) -> list[str]:
    """What is wrong with what a command left in the folder of a run."""
    wrong = []
    changed = differences(before, after)
    gone = {name for name in changed if name not in after and not name.endswith((".partial", "previous.pt"))}
    gone -= {name for name in gone if name.endswith(".progress.json")}
    if code == 1 and (lost := [n for n in gone if not (n.endswith("last.pt") and n[:-3] + ".damaged.pt" in changed)]):
        wrong.append(f"lost {lost}")
    if new := [name for name in changed if name.endswith(".partial") and name not in before]:
        wrong.append(f"half-written: {new}")
    for name in changed:
        content = after[name][3] if name in after else None
        if not name.endswith(_TEXTS) or not isinstance(content, bytes):
            continue
        text = content.decode(errors="replace").replace("\r\n", "\n")
        if control := _CONTROL.search(text):
            wrong.append(f"{control[0]!r} in {name}")
        if "<script>alert" in text and name.endswith((".html", ".svg", ".md")):
            wrong.append(f"markup in {name}")
    return wrong
