"""Some runs of a sweep for a few steps each, in processes beside each other as they will be."""

import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from vaekl.sweep import forks
from vaekl.sweep.plan import FREE, SHARE_OF_MEMORY, Trial
from vaekl.system.cores import free_memory
from vaekl.system.workers import end_with

#: how many of the runs are tried, and for how long at most
_TRIED, _PATIENCE = 6, 120


def tried(
    runs: Sequence[Sequence[str]],
    directories: Sequence[Path],
    at_once: int,
    threads: int,
    stack: Sequence[Sequence[str]] = (),
    size: int = 1,
    report: bool = False,
    start: float = 0.0,
) -> Trial | None:
    """Some of the runs for a few steps each, beside each other as they will be; None where none of them can be.

    Args:
        runs: the overrides of each.
        directories: the user's own config folders.
        at_once: how many processes.
        threads: of each.
        stack: those of some runs that are tried together, in each process, after that.
        size: how many a stack has, where memory suffices.
        report: whether it is tried too how long `vaekl eval` takes.
        start: seconds in which this process has imported what the runs need.
    """
    # other seeds and other numbers of the loss cost the same; of the rest, some from the whole range, and each process
    # has something to do
    kinds = list({tuple(word for word in run if not _is_number(word)): run for run in runs}.values())
    some = [list(kinds[i * len(kinds) // min(_TRIED, len(kinds))]) for i in range(min(_TRIED, len(kinds)))]
    some = [some[i % len(some)] for i in range(max(len(some), at_once))]
    room = SHARE_OF_MEMORY * free_memory() / at_once
    request = {
        "directories": [str(directory.absolute()) for directory in directories],
        "room": room,
        "stack": [list(run) for run in stack],
        "size": size,
        "report": report,
    }
    parts = _tried([partial(_costs, request, some[place::at_once]) for place in range(at_once)], threads)
    answers = [answer for part in parts for answer in part["runs"]]
    if not answers:
        return None
    timed = [answer for answer in answers if answer["seconds"] is not None]
    steps = [answer["step"] for answer in timed]
    together = [part["stack"]["step"] for part in parts if part["stack"]]
    reasons = {part["stack"]["reason"] for part in parts if part["stack"]}
    return Trial(
        sum(answer["seconds"] for answer in timed) / len(timed) if timed else None,
        start,
        max(answer["bytes"] for answer in answers),
        max(answer["parameters"] for answer in answers),
        answers[0]["device"],
        sum(answer["step"] * answer["steps"] for answer in timed) / len(timed) if timed else 0.0,
        median(together) / median(steps) if together and steps else None,
        min((part["stack"]["size"] for part in parts if part["stack"]), default=1),
        max((part["stack"]["bytes"] for part in parts if part["stack"]), default=0.0),
        "\n".join(sorted(filter(None, reasons))),
        sum(answer["evaluation"] for answer in timed) / len(timed) if timed and report else None,
    )


def _is_number(word: str) -> bool:
    """Whether a word is a seed, or a number in which the runs of a stack may differ."""
    key, _, value = word.partition("=")
    try:
        float(value)
    except ValueError:
        return False
    return key == "split_seed" or key.lstrip("+").startswith(FREE)


def _tried(tasks: Sequence[Callable[[], dict[str, Any]]], threads: int) -> list[dict[str, Any]]:
    """What they return, in processes beside each other; nothing for one that was killed."""
    parent = os.getpid()

    def prepare() -> None:
        import torch

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        end_with(parent)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # else a run would count the cores that are free
        torch.set_num_threads(threads)

    try:
        answers = forks.results(tasks, len(tasks), prepare, _PATIENCE)
    except OSError:  # no process could be begun: the runs will say so
        answers = [forks.Died(None)] * len(tasks)
    nothing: dict[str, Any] = {"runs": [], "stack": {}}
    return [nothing if isinstance(answer, forks.Died) else answer for answer in answers]


def _costs(request: dict[str, Any], runs: list[list[str]]) -> dict[str, Any]:
    from vaekl.sweep import trial  # imports torch

    return trial.costs(request, runs)
