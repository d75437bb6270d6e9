"""A sweep: how many runs at a time, and what became of each, in a `manifest.json` that all its processes share."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from vaekl.errors import StoppedError, sentence
from vaekl.files import replacing
from vaekl.machine import free_cores, free_memory

MANIFEST = "manifest.json"
#: a process that trains a small net: PyTorch, the data, TensorBoard
_BYTES_A_RUN = 1.5e9


@dataclass(frozen=True)
class Plan:
    """How a sweep uses the machine.

    Args:
        runs: how many there are.
        at_once: how many of them at a time, each in a process of its own; 1: one after the other, in this process.
        threads: of each.
        reason: what set the number.
    """

    runs: int
    at_once: int
    threads: int
    reason: str

    def text(self) -> str:
        """The plan as it is printed before the first run."""
        threads = f"{self.threads} thread" + ("s" if self.threads > 1 else "")
        return f"{self.runs} runs, {self.at_once} at a time with {threads} each ({self.reason})"


def plan(runs: int, gpu: bool) -> Plan:
    """As many runs at a time as there are free cores, fewer where memory or a single GPU says so."""
    cores = free_cores()
    if gpu:
        return Plan(runs, 1, cores, "they share one GPU")
    fit = max(1, int(free_memory() // _BYTES_A_RUN))
    at_once = min(runs, cores, fit)
    reason = f"{cores} cores" if at_once < fit or cores <= fit else f"{free_memory() / 1e9:.0f} GB of free memory"
    return Plan(runs, at_once, max(1, cores // at_once), reason)


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """What became of each run of a sweep so far, by the name of its folder."""
    file = folder / MANIFEST
    runs: dict[str, dict[str, Any]] = {}
    if file.exists():
        runs = json.loads(file.read_text(encoding="utf-8"))["runs"]
    return runs


@contextmanager
def recorded(path: Path, overrides: Sequence[str]) -> Iterator[None]:
    """Note in the sweep's manifest that a run is running, and then that it is finished, stopped or failed, and why."""
    note(path, status="running", overrides=list(overrides), reason=None, process=os.getpid(), started=time.time())
    try:
        yield
    except StoppedError as error:
        note(path, status="stopped", reason=str(error), ended=time.time())
        raise
    except BaseException as error:
        reason = sentence(error) if isinstance(error, Exception) else "interrupted"
        note(path, status="failed" if isinstance(error, Exception) else "stopped", reason=reason, ended=time.time())
        raise
    note(path, status="finished", ended=time.time())


def note(path: Path, **facts: Any) -> None:
    """Change what the manifest says of one run, whole or not at all, whoever else is writing."""
    sweep, name = path.parent, path.name
    sweep.mkdir(parents=True, exist_ok=True)
    with FileLock(sweep / ".manifest.lock"):
        runs = read(sweep)
        runs[name] = runs.get(name, {}) | facts
        with replacing(sweep / MANIFEST, "manifest") as partial:
            partial.write_text(json.dumps({"runs": runs}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def summary(runs: dict[str, dict[str, Any]]) -> str:
    """How many runs are finished, failed and stopped."""
    counts = Counter(run["status"] for run in runs.values())
    return ", ".join(f"{count} {status}" for status, count in counts.items())
