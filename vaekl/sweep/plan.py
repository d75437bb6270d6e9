"""How a sweep uses the machine, said before its first run: how many runs at a time, with how many threads, how long."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from vaekl.system.cores import allowed_cores, free_memory
from vaekl.system.workers import NO_SEMAPHORES, can_start_several

#: assumed of a run that could not be tried: PyTorch, the data, TensorBoard
_BYTES_A_RUN = 1.5e9
_SHARE_OF_MEMORY = 0.9
#: how many of the runs are tried, and for how long at most
_TRIED, _PATIENCE = 6, 120


@dataclass(frozen=True)
class Trial:
    """What a few steps of some of the runs have shown.

    Args:
        seconds: for a whole run, with its validations, on average; None if none of them had room to be timed.
        start: seconds until a process can begin its first run.
        bytes: of memory, of the largest.
        parameters: of the largest.
        device: cpu or cuda.
    """

    seconds: float | None
    start: float
    bytes: float
    parameters: int
    device: str


@dataclass(frozen=True)
class Plan:
    """How a sweep uses the machine.

    Args:
        runs: how many there are.
        finished: how many of them were finished before.
        at_once: how many at a time, each in a process of its own.
        threads: of each.
        reason: what set the number.
        trial: what a few steps of some runs have shown, or None.
    """

    runs: int
    finished: int
    at_once: int
    threads: int
    reason: str
    trial: Trial | None = None

    def text(self) -> str:
        """The plan as it is printed before the first run."""
        if self.finished == self.runs:
            return f"{self.runs} runs, all finished before"
        finished = f" ({self.finished} of them finished before)" if self.finished else ""
        threads = f"{self.threads} thread" + ("s" if self.threads > 1 else "")
        line = f"{self.runs} runs{finished}, {self.at_once} at a time with {threads} each ({self.reason})"
        if self.trial is None:
            return line
        sizes = f"up to {self.trial.parameters:,} parameters and {self.trial.bytes / 1e9:.1f} GB each"
        line += f"\n  on {self.trial.device}, {sizes}"
        if self.trial.seconds is not None:
            rounds = ceil((self.runs - self.finished) / self.at_once)
            line += f"; about {duration(self.trial.start + self.trial.seconds * rounds)}"
        return line


def plan(runs: int, finished: int, gpu: bool, trial: Trial | None) -> Plan:
    """As many runs at a time as there are free cores, fewer where memory or a single GPU says so.

    One run with four threads is slower than four runs with one, so threads are what is left over.
    """
    cores, left = allowed_cores(), max(1, runs - finished)
    if gpu:
        return Plan(runs, finished, 1, _threads(cores), "they share one GPU", trial)
    if not can_start_several():
        return Plan(runs, finished, 1, _threads(cores), NO_SEMAPHORES, trial)
    fit = max(1, int(_SHARE_OF_MEMORY * free_memory() // (trial.bytes if trial else _BYTES_A_RUN)))
    at_once = min(left, cores, fit)
    # by all runs, not by those that are left: a run that goes on has the threads that it began with
    threads = _threads(max(1, cores // min(runs, cores, fit)))
    reason = f"{cores} cores" if at_once < fit or cores <= fit else f"{free_memory() / 1e9:.0f} GB of free memory"
    return Plan(runs, finished, at_once, threads, reason, trial)


def one_by_one(runs: int, finished: int) -> Plan:
    """What `hydra/launcher=basic` asks for."""
    return Plan(runs, finished, 1, _threads(allowed_cores()), "hydra/launcher=basic")


def _threads(cores: int) -> int:
    """As many as there are cores for, unless the user's environment knows better."""
    wish = os.environ.get("OMP_NUM_THREADS", "")
    return int(wish) if wish.isdecimal() and int(wish) > 0 else cores


def tried(runs: Sequence[Sequence[str]], directories: Sequence[Path], at_once: int, threads: int) -> Trial | None:
    """Some of the runs for a few steps each, beside each other as they will be; None where none of them can be.

    Args:
        runs: the overrides of each.
        directories: the user's own config folders.
        at_once: how many processes.
        threads: of each.
    """
    # seeds cost the same; of the rest, some from the whole range, and each process has something to do
    kinds = list({tuple(w for w in run if not w.startswith(("seed=", "split_seed="))): run for run in runs}.values())
    some = [list(kinds[i * len(kinds) // min(_TRIED, len(kinds))]) for i in range(min(_TRIED, len(kinds)))]
    some = [some[i % len(some)] for i in range(max(len(some), at_once))]
    room = _SHARE_OF_MEMORY * free_memory() / at_once
    with ThreadPoolExecutor(at_once) as pool:
        parts = pool.map(lambda place: _tried(some[place::at_once], directories, threads, room), range(at_once))
    answers = [answer for part in parts for answer in part]
    if not answers:
        return None
    seconds = [answer["seconds"] for answer in answers if answer["seconds"] is not None]
    return Trial(
        sum(seconds) / len(seconds) if seconds else None,
        max(answer["start"] for answer in answers),
        max(answer["bytes"] for answer in answers),
        max(answer["parameters"] for answer in answers),
        answers[0]["device"],
    )


def _tried(runs: list[list[str]], directories: Sequence[Path], threads: int, room: float) -> list[dict[str, Any]]:
    request = json.dumps(
        {"runs": runs, "directories": [str(directory.absolute()) for directory in directories], "room": room}
    )
    command = [sys.executable, "-m", "vaekl.sweep.trial"]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    try:
        done = subprocess.run(
            command, input=request, capture_output=True, text=True, timeout=_PATIENCE, env=environment, check=True
        )
        answers: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):  # what is wrong with a run, the run says
        return []
    return answers


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(45), duration(200), duration(9000)
    ('45 s', '3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
