"""Type a fuzz's command in a folder of its own and judge what it left behind: a run, or one sentence and nothing else.

`python tests/reliability/fuzz.py 17 42` types trials 17 and 42 again; `0-1999` is a range.
"""

import contextlib
import io
import logging
import os
import re
import resource
import shlex
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import yaml
from PIL import Image

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from cli_helpers import Answer, results, vaekl  # noqa: E402
from fuzz_words import Trial, trial  # noqa: E402

_SECONDS = 60
_MEMORY = 8 << 30
#: flags that show something and train nothing
_SHOWS = ("--cfg", "--info", "--help", "--hydra-help", "--version", "--shell-completion")
#: a run that went wrong by itself: any setting may be why
_DIVERGED = "vaekl: training diverged"
#: what the machine does at its worst is told to nobody
_SILENT = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class TooSlowError(BaseException):
    """A command took too long; no `except Exception` may catch it."""


def prepare(folder: Path) -> None:
    """Small data sets of every kind."""
    rng = np.random.default_rng(0)
    grey, labels = rng.uniform(size=(24, 8, 8)).astype("float32"), np.arange(24) % 3
    for name, images in {
        "grey": grey,
        "bytes": (255 * grey).astype("uint8"),
        "binary": grey > 0.5,
        "real": 8 * grey - 4,
    }.items():
        np.savez(folder / f"{name}.npz", x_train=images, x_test=images[:6], y_train=labels, y_test=labels[:6])
    (folder / "arrays").mkdir()
    np.save(folder / "arrays" / "x_train.npy", grey)
    (folder / "pictures").mkdir()
    for number, image in enumerate((255 * grey[:12]).astype("uint8")):
        Image.fromarray(image).save(folder / "pictures" / f"{number}.png")


def judged(tried: Trial, folder: Path) -> list[str]:
    """What is wrong with the way in which a command ended; empty if nothing is."""
    if not (folder / "grey.npz").exists():
        prepare(folder)
    before = _paths(folder)
    try:
        answer = typed(folder, "train", *tried.words)
    except TooSlowError:
        return [f"took more than {_SECONDS} s"]
    except (Exception, SystemExit) as error:
        return [f"raised {type(error).__name__}: {error}"]
    new = sorted(_paths(folder) - before)
    if answer.code == 0:
        return _faults_of_run(tried, folder, answer, new)
    return [*_faults_of_sentence(tried, answer), *_faults_of_refusal(folder, answer, new)]


def typed(folder: Path, *words: str, **environment: str) -> Answer:
    """`vaekl WORDS` with everything that a terminal would show of it, and no network."""
    heard: list[str] = []
    with _limited(), _loud(heard), tempfile.TemporaryFile() as noise:
        descriptor, threads = os.dup(2), torch.get_num_threads()
        os.dup2(noise.fileno(), 2)
        try:
            answer = vaekl(folder, *words, VAEKL_DATA_DIR=str(folder / "cache"), **environment)
        finally:
            os.dup2(descriptor, 2)
            os.close(descriptor)
            torch.set_num_threads(threads)
        noise.seek(0)
        text = answer.err + "".join(heard) + noise.read().decode(errors="replace")
    return Answer(answer.code, answer.out, text)


def _faults_of_run(tried: Trial, folder: Path, answer: Answer, new: list[str]) -> list[str]:
    faults = [f"noise on stderr: {answer.err}"] if answer.err else []
    if any(word.partition("=")[0] in _SHOWS for word in tried.words):
        return [*faults, *([f"trained nothing and left {new}"] if new else [])]
    runs = [Path(name).parent for name in new if Path(name).name == "results.json"]
    if len(runs) != 1:
        return [*faults, f"exit code 0 with {len(runs)} results.json: {answer.out}"]
    options = yaml.safe_load((folder / runs[0] / "config.yaml").read_text(encoding="utf-8"))["trainer"]
    steps = results(folder / runs[0])["step"]
    if options.get("steps") is not None and steps != options["steps"]:
        faults.append(f"trained {steps} steps, not {options['steps']}")
    return faults


def _faults_of_sentence(tried: Trial, answer: Answer) -> list[str]:
    text = answer.err.removesuffix("\n")
    faults = [f"exit code {answer.code}"] if answer.code != 1 else []
    if not text.startswith("vaekl: ") or text.strip().count("\n") or "\\n" in text or not text.endswith("."):
        faults.append("not one sentence")
    faults += [f"says {word!r}" for word in ("Traceback", "unexpected") if word in text]
    if tried.fault is not None and not names(text, tried.fault) and not text.startswith(_DIVERGED):
        faults.append("does not name what is at fault")
    return [f"{fault}: {text[:600]}" for fault in faults]


def names(text: str, fault: str) -> bool:
    """Whether a sentence names the word's key: as it was typed, or each part of it, or the whole word."""
    key, _, value = fault.lstrip("+~").partition("=")
    parts = [part for part in re.split(r"[./@]", key.strip()) if part]
    whole = [fault, repr(fault)[1:-1], *([value] if len(value) > 3 else [])]
    return any(word in text for word in whole) or all(part in text for part in parts)


def _faults_of_refusal(folder: Path, answer: Answer, new: list[str]) -> list[str]:
    if answer.err.startswith(_DIVERGED):  # which keeps what it has
        new = [name for name in new if name.endswith((".partial", "results.json"))]
    return [f"left {new} behind: {answer.err}"] if new else []


def _paths(folder: Path) -> set[str]:
    """All that lies in a folder but the cache of decoded images."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {name for name in names if Path(name).parts[0] != "cache"}


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """A few more gigabytes, a minute, and no network; a system that lends memory it lacks would kill the tests."""

    def too_slow(*_: object) -> None:
        raise TooSlowError

    def offline(*_: object) -> None:
        raise OSError("no network in a fuzz")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, too_slow)
    if sys.platform == "linux":
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY, hard))
    signal.alarm(_SECONDS)
    try:
        with patch.object(socket.socket, "connect", offline):
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def _loud(heard: list[str]) -> Iterator[None]:
    """Warnings and logs as in a process of its own, though pytest would keep them to itself."""

    def shown(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        heard.append(f"{category.__name__}: {message}\n")

    with warnings.catch_warnings(), patch.object(logging.getLogger(), "handlers", []):
        warnings.resetwarnings()
        warnings.simplefilter("always")
        for category in _SILENT:
            warnings.simplefilter("ignore", category)
        with patch.object(warnings, "showwarning", shown):
            yield


def failure(tried: Trial, faults: list[str]) -> str:
    """A trial's number, its command and what is wrong."""
    command = shlex.join(["vaekl", "train", *tried.words])
    return "\n".join([f"trial {tried.number}: {command if len(command) < 3000 else command[:3000]}", *faults])


def report(numbers: Iterable[int], folder: Path) -> list[str]:
    """Type trials, each in a folder of its own; what is wrong with each that failed."""
    failures = []
    for number in numbers:
        place = folder / str(number)
        place.mkdir(parents=True)
        tried = trial(number)
        if faults := judged(tried, place):
            failures.append(failure(tried, faults))
    return failures


def _main(words: list[str]) -> None:
    for word in words:
        first, _, last = word.partition("-")
        for number in range(int(first), int(last or first) + 1):
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
                text = report([number], Path(folder))
            print(text[0] if text else f"trial {number}: fine", flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
