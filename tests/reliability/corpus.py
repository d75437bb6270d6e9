"""Hostile run folders through every verb: each does its work or ends in one sentence, and touches nothing outside.

`python tests/reliability/corpus.py 17 42` tries cases 17 and 42 again, `0-999` a range, `"results.json: a pipe"` those
with that in their name; with `--one` each by one verb instead of all.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from cli_helpers import vaekl  # noqa: E402
from corpus_cases import RECORDS, RUNS, cases  # noqa: E402
from corpus_judge import Ended, differences, ended, faults, faults_of_folder, tree  # noqa: E402
from corpus_keys import completed  # noqa: E402
from corpus_places import Case, Place  # noqa: E402
from forks import command  # noqa: E402
from hydra.core.global_hydra import GlobalHydra  # noqa: E402

from vaekl.store import RunFolder  # noqa: E402
from vaekl.training.callbacks import ProgressDisplay  # noqa: E402
from vaekl.training.trainer import Trainer  # noqa: E402

_TRAIN = (
    "dataset=npz", "dataset.path=images.npz", "valid=8", "trainer.batch_size=16", "model.hidden=[4]",
    "model.latents=2", "trainer.steps=6", "trainer.log_every=2", "trainer.valid_every=2", "trainer.patience=9",
)  # fmt: skip
_SWEEP = ("-m", "hydra/launcher=basic", *_TRAIN)
#: what was typed for each scene, in the order in which they are made
SCENES = {
    "finished": ("train", "hydra.run.dir=run", *_TRAIN),
    "stopped": ("train", "hydra.run.dir=run", *_TRAIN),
    "sweep": ("train", "hydra.sweep.dir=sweep", "seed=0,1", *_SWEEP),
    "search": (
        "train", "hydra.sweep.dir=sweep", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2",
        "optim.lr=interval(0.001,0.01)", *_SWEEP,
    ),
}  # fmt: skip
VERBS = ("resume", "audit", "train", "eval", "sample", "report")
#: whose turn it is where a case has but one; a report draws for a second
_TURNS = VERBS[:5] * 3 + ("resume", "audit", "resume", "report")


@dataclass
class Figures:
    """What was tried, and what it took."""

    cases: int = 0
    verbs: int = 0
    failed: int = 0
    done: int = 0
    seconds: float = 0.0
    longest: tuple[float, str] = (0.0, "")
    largest: tuple[int, str] = (0, "")
    begun: float = field(default_factory=time.monotonic)

    def add(self, words: str, answer: Ended) -> None:
        """Count a verb."""
        self.verbs += 1
        self.done += answer.code == 0
        self.seconds += answer.seconds
        self.longest = max(self.longest, (answer.seconds, words))
        self.largest = max(self.largest, (answer.memory, words))

    def __str__(self) -> str:
        return (
            f"{self.cases} cases, {self.failed} of them wrong; {self.verbs} verbs, {self.done} did their work, in "
            f"{time.monotonic() - self.begun:.0f} s; the longest took {self.longest[0]:.1f} s ({self.longest[1]}), "
            f"the largest {self.largest[0] >> 20} MB ({self.largest[1]})"
        )


def make(whole: Path, scenes: Iterable[str]) -> None:
    """Scenes, each in a folder, with every key of every record set; what they import stays imported."""
    for scene in scenes:
        root = whole / scene
        root.mkdir(parents=True)
        pictures = np.random.default_rng(0).integers(0, 256, (52, 8, 8)).astype(np.uint8)
        np.savez(root / "images.npz", x_train=pictures[:40], x_test=pictures[40:])
        with patch.object(ProgressDisplay, "validated", _stop_at_4) if scene == "stopped" else nullcontext():
            answer = vaekl(root, *SCENES[scene])
        assert answer.code == (130 if scene == "stopped" else 0), answer.err
        place = _place(root)
        if scene == "stopped":
            RunFolder(root / place.run).beat(4, 6, -1.0)
        if scene == "finished":
            for verb in ("eval", "sample", "report"):
                answer = vaekl(root, *_words(verb, scene, place))
                assert answer.code == 0, answer.err
        if scene == "sweep":
            (root / "sweep" / "logs").mkdir()
            (root / "sweep" / "logs" / "0.log").write_text("a line\n")
        for name, kind in RECORDS[scene].items():
            file = root / place.sweep / name
            content = completed(msgspec.json.decode(file.read_bytes()), msgspec.inspect.type_info(kind))
            file.write_bytes(msgspec.json.format(msgspec.json.encode(msgspec.convert(content, kind))))
        _canary(place.canary)


def _stop_at_4(_: ProgressDisplay, trainer: Trainer, *__: Any) -> None:
    trainer.stop_requested = trainer.step == 4


def _place(root: Path) -> Place:
    if (root / "run").is_dir():
        return Place(root, "run", "run")
    return Place(root, f"sweep/{min(file.parent.name for file in root.glob('sweep/*/config.yaml'))}", "sweep")


def _canary(folder: Path) -> None:
    """Files of the user's, of every kind, and a home."""
    for name in ("folder", "home", "data", "temporary"):
        (folder / name).mkdir(parents=True)
    for name in ("kept.txt", "folder/kept.txt", "read_only.txt", "program.sh", "home/.bashrc"):
        (folder / name).write_text(f"the user's {name}\n")
    (folder / "read_only.txt").chmod(0o400)
    (folder / "program.sh").chmod(0o751)
    (folder / "empty").touch()
    (folder / "link").symlink_to("kept.txt")


def _words(verb: str, scene: str, place: Place) -> tuple[str, ...]:
    return {
        "train": SCENES[scene],
        "resume": ("resume", place.run),
        "eval": ("eval", place.sweep, "eval.k=1", "eval.jobs=1"),
        "sample": ("sample", place.run, "sample.count=2"),
        "report": ("report", place.sweep, "report.pictures=1", "report.jobs=1"),
        "audit": ("audit", place.run),
    }[verb]


def tried(case: Case, verb: str, whole: Path, folder: Path) -> tuple[Ended, list[str]]:
    """How a verb takes a case, and what is wrong with that.

    Args:
        case: what is changed.
        verb: what is typed.
        whole: the scenes.
        folder: for the changed one, empty.
    """
    shutil.copytree(whole / case.scene, folder / "place", symlinks=True)
    place = _place(folder / "place")
    place = case.change(place) or place
    before, canary = tree(place.root), tree(place.canary)
    home = {name: str(place.canary / "home") for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    act = partial(_typed, _words(verb, case.scene, place))
    answer = ended(
        act,
        place.root,
        folder,
        VAEKL_DATA_DIR=str(place.canary / "data"),
        TMPDIR=str(place.canary / "temporary"),
        **home,
    )
    wrong = faults(answer)
    if touched := differences(canary, tree(place.canary)):
        wrong.append(f"touched outside of the folder: {touched}")
    after = tree(place.root)
    top = {name.partition("/")[0] for name in differences(before, after)} - {".", "canary", "run", "sweep", place.run}
    if top:
        wrong.append(f"made {sorted(top)} beside the folder")
    wrong += faults_of_folder(before, after, answer.code)
    if answer.code == 0:
        wrong += _left_undone(verb, case.scene, place, answer)
    return answer, wrong


def _typed(words: tuple[str, ...]) -> int:
    GlobalHydra.instance().clear()
    return command(words, here=False)


def _left_undone(verb: str, scene: str, place: Place, answer: Ended) -> list[str]:
    """What a verb that says that all is well has not left."""
    run, sweep = place.root / place.run, place.root / place.sweep
    if verb == "train" and scene in ("finished", "stopped"):
        run = place.root / "run"
    expected = {
        "train": run / "results.json",
        "resume": run / "results.json",
        "eval": run / "eval.json",
        "sample": run / "samples" / "prior_mean.png",
        "report": sweep / "report" / "report.html",
    }
    wrong = [] if answer.out else ["did nothing"]
    if verb in expected and (expected[verb].is_symlink() or not expected[verb].is_file()):
        wrong.append(f"left no {expected[verb].name}")
    return wrong


def report(words: Iterable[str], one: bool, whole: Path) -> Iterator[str]:
    """Try cases; what is wrong with each that failed, and the figures at last.

    Args:
        words: numbers of cases, ranges of them such as 0-99, or words that are in their names.
        one: whether each is seen by one verb, whose turn it is, or by all.
        whole: the folder of the scenes, which is made.
    """
    make(whole, RUNS)
    every, figures = cases(whole), Figures()
    chosen = {number: every[number] for word in words for number in _numbers(word, every)}
    make(whole, {case.scene for case in chosen.values()}.difference(RUNS))
    for number, case in chosen.items():
        figures.cases += 1
        wrong = []
        for verb in (_TURNS[number % len(_TURNS)],) if one else VERBS:
            with tempfile.TemporaryDirectory(prefix="case.") as folder:
                answer, faults_of_verb = tried(case, verb, whole, Path(folder))
            figures.add(f"{verb}, {case}", answer)
            wrong += [f"  {verb}: {fault}" for fault in faults_of_verb]
        if wrong:
            figures.failed += 1
            yield "\n".join([f"case {number}, {case}", *wrong])
    yield str(figures)


def _numbers(word: str, every: list[Case]) -> Iterable[int]:
    first, _, last = word.partition("-")
    if first.isdecimal():
        return range(int(first), int(last or first) + 1)
    return [number for number, case in enumerate(every) if word in str(case)]


def main(words: list[str]) -> int:
    """What is typed after the file's name; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="corpus.") as folder:
        failed = 0
        for text in report([word for word in words if word != "--one"], "--one" in words, Path(folder)):
            print(text, flush=True)
            failed += text.startswith("case")
    if failed:
        print("Try one again: python tests/reliability/corpus.py NUMBER")
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
