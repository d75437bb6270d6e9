"""Checkpoints of another form than a run writes, sealed so that the checksum fits, and what `resume` makes of them.

`python tests/reliability/checkpoint_damage.py 17 42` makes cases 17 and 42 again; `0-1999` is a range.
"""

import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from checkpoint_changes import damaged  # noqa: E402
from cli_helpers import Answer, finished, results, rows, vaekl  # noqa: E402
from forks import Fork  # noqa: E402
from kills import same  # noqa: E402

from vaekl.store import checkpoint  # noqa: E402
from vaekl.training import trainer  # noqa: E402
from vaekl.training.callbacks import ProgressDisplay  # noqa: E402

#: runs whose states differ in their parts; the first is best at step 2
RUNS = {
    "early stopping": ("likelihood=gaussian", "weighting=learned_precision", "weighting.per=channel", "optim.lr=0.3",
                       "trainer.patience=9"),
    "averaged": ("optim=adamw", "+optim.amsgrad=true", "trainer.ema=0.9", "likelihood=laplace"),
    "momentum": ("optim=sgd", "optim.momentum=0.9", "optim.lr=1e-4", "model=conv", "model.width=2", "model.hidden=4"),
    "solved": ("optim=sgd", "optim._target_=torch.optim.RMSprop", "likelihood=gaussian",
               "weighting=optimal_precision"),
}  # fmt: skip
_SHORT = ("trainer.steps=6", "trainer.log_every=3", "trainer.valid_every=2", "trainer.batch_size=8", "model.latents=2",
          "trainer.compile=false", "valid=0.2", "dataset=npz")  # fmt: skip
#: what may leave other numbers of the right form
_ALTERS = "file: a bit flipped"


def make(folder: Path) -> None:
    """Each run stopped at step 4 of 6, and the same gone on with to its end: `stopped/NAME/run`, `whole/NAME/run`."""
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 256, (count, 3, 8, 8), np.uint8) for count in (40, 9)]
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "images.npz", x_train=images[0], x_test=images[1])
    for name, words in RUNS.items():
        place = folder / "stopped" / name
        place.mkdir(parents=True)
        hidden = () if "model=conv" in words else ("model.hidden=[8]",)
        data = f"dataset.path={folder / 'images.npz'}"
        with patch.object(ProgressDisplay, "validated", _stop_at_4):
            answer = vaekl(place, "train", "hydra.run.dir=run", *_SHORT, *hidden, data, *words)
        assert answer.code == 130, answer
        shutil.copytree(place, folder / "whole" / name)
        answer = vaekl(folder / "whole" / name, "resume", "run")
        assert answer.code == 0, answer


def _stop_at_4(_: ProgressDisplay, running: trainer.Trainer, *__: Any) -> None:
    running.stop_requested = running.step == 4


def outcome(number: int, made: Path, folder: Path) -> dict[str, str]:
    """What `resume` makes of one case; `fault` says what is wrong with it, and is empty where nothing is."""
    rng = random.Random(-number)
    name = rng.choice([*RUNS])
    run = shutil.copytree(made / "stopped" / name, folder / name) / "run"
    which = rng.choice(["last.pt", "last.pt", "last.pt", "best.pt"]) if name == "early stopping" else "last.pt"
    if which == "last.pt" and rng.random() < 0.5:
        (run / "previous.pt").unlink()
    case = {"case": str(number)}
    try:
        case["kind"], what = damaged(number, run / which)
        case["what"] = f"{which} of {name}: {what}"
        answer = vaekl(folder / name, "resume", "run")
    except (Exception, SystemExit) as error:
        return case | {"end": "raised", "fault": f"raised {type(error).__name__}: {error}"}
    if answer.code == 0:
        differences = _differs(run, made / "whole" / name / "run")
        return (
            case | {"end": "altered" if differences else "equal"} | {"fault": differences * (case["kind"] != _ALTERS)}
        )
    return case | {"end": "refused", "fault": _ill_said(answer), "said": answer.err[:400]}


def _differs(run: Path, whole: Path) -> str:
    """What distinguishes a run that has ended from the one that nobody disturbed."""
    speed, parts = {"images_per_second": ""}, ("model", "average", "optimizer", "generator", "step", "best_elbo")
    readers: dict[str, Callable[[Path], Any]] = {
        "results.json": results,
        "metrics.csv": lambda path: [row | speed for row in rows(path)],
    }
    for name in ("last.pt", "best.pt"):
        if (whole / name).exists():
            readers[name] = lambda path, name=name: [checkpoint.load(path / name)[part] for part in parts]
    return ", ".join(f"another {name}" for name, read in readers.items() if not same(read(run), read(whole)))


def _ill_said(answer: Answer) -> str:
    text = answer.err.removesuffix("\n")
    if answer.code != 1:
        return f"exit code {answer.code}: {text[:400]}"
    if not text.startswith("vaekl: ") or not text.isprintable() or not text.endswith("."):
        return f"not one sentence: {text[:400]!r}"
    return next((f"says {word}: {text[:400]}" for word in ("Traceback", "unexpected") if word in text), "")


def _work(numbers: list[int], made: Path, checked: bool) -> int:
    if not checked:
        trainer.check_state = lambda *_: None
    for number in numbers:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            print(json.dumps(outcome(number, made, Path(folder).absolute())), flush=True)
    return 0


def outcomes(numbers: list[int], made: Path, folder: Path, checked: bool = True) -> list[dict[str, str]]:
    """What became of each case, all in one fork; where that is ended by a signal, the others in another one.

    Args:
        numbers: of the cases.
        made: what `make` has made.
        folder: where it may write.
        checked: whether states are held against the run's; without it the judge is put to the test.
    """
    ended: list[dict[str, str]] = []
    while left := numbers[len(ended) :]:
        answer = finished(Fork(_work, left, made, checked, folder=folder), timeout=60 + 10 * len(left))
        ended += [json.loads(line) for line in answer.out.splitlines()]
        if len(ended) < len(numbers):
            number = str(numbers[len(ended)])
            ended.append({"case": number, "end": "killed", "fault": f"exit code {answer.code}: {answer.err[-400:]}"})
    return ended


def _main(words: list[str]) -> None:
    numbers = []
    for word in words:
        first, _, last = word.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    with tempfile.TemporaryDirectory() as place:
        make(Path(place))
        for number in numbers:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                print(json.dumps(outcome(number, Path(place), Path(folder)), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
