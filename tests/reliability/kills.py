"""Runs that are killed and gone on with again and again, and what may differ from one that never was: nothing."""

import contextlib
import json
import math
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import killed
import torch
from cli_helpers import Answer, finished, results, rows
from forks import Fork
from killed import PLACES
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

#: a place like the others: from outside, whenever it may be
OUTSIDE = "outside"
KILLED = -signal.SIGKILL
_SPEED = "images_per_second"
_KINDS = ("scalars", "images", "histograms")


def start(folder: Path, *words: str, **aim) -> Fork:
    """`vaekl WORDS` typed in a folder; `aim` is for `killed.typed`."""
    return Fork(partial(killed.typed, **aim), words, folder=folder)


def command(folder: Path, *words: str, after: float | None = None, **aim) -> Answer:
    """The whole command, which is killed after so many seconds."""
    fork = start(folder, *words, **aim)
    if after is None:
        return finished(fork)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return finished(fork, after)
    fork.kill()
    return finished(fork)


@dataclass
class Whole:
    """A run that nobody disturbed.

    Args:
        folder: where it was typed; the runs are below.
        words: the command's.
        steps: how many a run has.
        counts: how often it passed each place.
        seconds: how long it took.
    """

    folder: Path
    words: tuple[str, ...]
    steps: int
    counts: dict[str, int]
    seconds: float


def undisturbed(folder: Path, *words: str) -> Whole:
    """Train to the end, counting."""
    folder.mkdir(parents=True, exist_ok=True)
    counts, before = folder.parent / f"{folder.name} counts.json", time.monotonic()
    answer = command(folder, *words, counts=str(counts))
    assert answer.code == 0, answer
    seconds = time.monotonic() - before
    steps = max(results(run)["step"] for run in runs(folder))
    return Whole(folder, words, steps, json.loads(counts.read_text()), seconds)


def runs(folder: Path) -> list[Path]:
    """Every run below a folder."""
    return sorted(file.parent for file in folder.rglob("config.yaml"))


@dataclass
class Tally:
    """What was done: kills by place, and commands that went on."""

    kills: Counter[str] = field(default_factory=Counter)
    resumes: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """In one line."""
        kills = ", ".join(f"{place} {count}" for place, count in self.kills.most_common())
        resumes = ", ".join(f"{verb} {count}" for verb, count in self.resumes.items())
        return f"{self.kills.total()} kills ({kills}); gone on with {self.resumes.total()} times ({resumes})"


class Killer:
    """Kills a run at place after place, goes on each time, and lets it end."""

    def __init__(self, whole: Whole, folder: Path, draw: random.Random) -> None:
        self.whole, self.folder, self.draw = whole, folder, draw
        self.tally, self.fault = Tally(), {}
        folder.mkdir(parents=True, exist_ok=True)

    def die_at(self, places: list[str]) -> None:
        """Be killed at each, in this order; then end. A place that is not met is no kill."""
        for left, place in zip(range(len(places), 0, -1), places, strict=True):
            words = self.command()
            aim = {"after": self.draw.uniform(0, self.whole.seconds)} if place == OUTSIDE else self.aim(place, left)
            answer = command(self.folder, *words, **aim, **self.fault)
            self.noted(words, f"{place}, {aim}", answer)
            assert answer.code in (0, KILLED), answer
            self.tally.kills[place] += answer.code == KILLED
            if answer.code == 0:
                return
        self.end()

    def end(self) -> None:
        """Go on to the end."""
        words = self.command()
        answer = command(self.folder, *words, **self.fault)
        self.noted(words, "to the end", answer)
        assert answer.code == 0, answer

    def command(self) -> tuple[str, ...]:
        """What a user types: `resume` where there is a run, or the same command again."""
        begun = runs(self.folder)
        can_resume = "-m" not in self.whole.words and begun
        words = ("resume", str(begun[0])) if can_resume and self.draw.random() < 0.75 else self.whole.words
        if any(self.folder.iterdir()):
            self.tally.resumes[words[0]] += 1
        return words

    def aim(self, place: str, left: int) -> dict[str, object]:
        """A passing of the place that leaves something of the run for the kills to come."""
        rest = 1 - saved_step(self.folder) / self.whole.steps
        most = int(self.whole.counts.get(place, 0) * rest / left)
        return {"place": place, "number": self.draw.randint(1, max(1, most))}

    def noted(self, words: tuple[str, ...], how: str, answer: Answer) -> None:
        """Shown by pytest if the test fails."""
        step = saved_step(self.folder)
        print(f"{self.folder.name}: {words[0]} ({how}): exit code {answer.code}, saved step {step}; {answer.err}")


def saved_step(folder: Path) -> int:
    """The step of the checkpoint that is furthest, 0 before the first."""
    files = [run / name for run in runs(folder) for name in ("last.pt", "previous.pt")]
    return max((torch.load(file, weights_only=True)["state"]["step"] for file in files if file.exists()), default=0)


def possible(whole: Whole) -> list[str]:
    """The places that a run passes, in the order of its life."""
    return [place for place in PLACES if whole.counts.get(place)]


def in_order(places: list[str]) -> list[str]:
    """Sorted as a run meets them, so that none ends it before the next."""
    return sorted(places, key=list(PLACES).index)


def differences(folder: Path, whole: Path) -> list[str]:
    """What distinguishes the runs below two folders, but for wall-clock figures; empty if nothing does."""
    left, expected = runs(folder), runs(whole)
    names = [run.relative_to(folder) for run in left], [run.relative_to(whole) for run in expected]
    if names[0] != names[1] or not names[0]:
        return [f"runs {names[0]}, not {names[1]}"]
    differing = [f"{run.name}: {one}" for run, other in zip(left, expected, strict=True) for one in _differ(run, other)]
    manifests = [sorted(folder.rglob("manifest.json")) for folder in (folder, whole)]
    return differing + ["manifest.json"] * (_statuses(manifests[0]) != _statuses(manifests[1]))


def _statuses(manifests: list[Path]) -> list[dict[str, str]]:
    entries = [json.loads(file.read_text())["runs"] for file in manifests]
    return [{name: run["status"] for name, run in one.items()} for one in entries]


def _differ(run: Path, whole: Path) -> list[str]:
    parts = {
        "last.pt": lambda path: torch.load(path / "last.pt", weights_only=True),
        "results.json": results,
        "config.yaml": lambda path: (path / "config.yaml").read_text(),
        "metrics.csv": lambda path: [row | {_SPEED: ""} for row in rows(path)],
        "pictures": lambda path: {file.name: file.read_bytes() for file in path.glob("*.png")},
    }
    differing = [f"{name} left over or missing" for name in sorted(_files(run) ^ _files(whole))]
    differing += [name for name, read in parts.items() if not same(read(run), read(whole))]
    return differing + _events_differ(events(run), events(whole))


def _files(run: Path) -> set[str]:
    return {file.name for file in run.iterdir() if not file.name.startswith("events.")}


def same(a: object, b: object) -> bool:
    """Whether two nested values agree in every bit; NaN is itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(_bits(a), _bits(b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def events(run: Path) -> dict[str, list[tuple[int, object]]]:
    """Step and value of all that TensorBoard shows, by tag."""
    shown = EventAccumulator(str(run), size_guidance=dict.fromkeys(_KINDS, 0), purge_orphaned_data=True).Reload()
    # texts and layouts, which the other never purges
    stored = plugin_event_accumulator.EventAccumulator(str(run), {"tensors": 0}).Reload()
    read = {
        "scalars": lambda tag: [(one.step, one.value) for one in shown.Scalars(tag)],
        "images": lambda tag: [(one.step, one.encoded_image_string) for one in shown.Images(tag)],
        "histograms": lambda tag: [(one.step, one.histogram_value) for one in shown.Histograms(tag)],
        "tensors": lambda tag: [(one.step, one.tensor_proto.SerializeToString()) for one in stored.Tensors(tag)],
    }
    tags = [(kind, tag) for kind in _KINDS for tag in shown.Tags()[kind]]
    tags += [("tensors", tag) for tag in stored.Tags()["tensors"]]
    return {f"{kind} {tag}": read[kind](tag) for kind, tag in tags if not tag.endswith(_SPEED)}


def _events_differ(events: dict[str, list], expected: dict[str, list]) -> list[str]:
    differing = [f"tag {tag}" for tag in sorted(events.keys() ^ expected.keys())]
    for tag in sorted(events.keys() & expected.keys()):
        if [step for step, _ in events[tag]] != [step for step, _ in expected[tag]]:
            differing.append(f"steps of {tag}")
        elif not same(events[tag], expected[tag]):
            differing.append(f"values of {tag}")
    return differing
