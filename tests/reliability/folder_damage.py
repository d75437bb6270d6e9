"""Run folders that a clumsy hand, a broken disk or a stranger has changed, one change each.

`python tests/reliability/folder_damage.py 17 42` makes changes 17 and 42 again; `0-999` is a range.
"""

import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from cli_helpers import SMALL, Answer, vaekl  # noqa: E402
from fuzz import TooSlowError, typed  # noqa: E402

from vaekl.store import checkpoint  # noqa: E402
from vaekl.training.callbacks import ProgressDisplay  # noqa: E402
from vaekl.training.trainer import Trainer  # noqa: E402

VERBS = {
    "audit": (),
    "resume": (),
    "eval": ("eval.k=1",),
    "sample": ("sample.count=2",),
    "report": ("report.pictures=1",),
}
_WHOLE: dict[str, Callable[[Path], Any]] = {
    "emptied": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "not UTF-8": lambda file: file.write_bytes(b"\xff\xfe\x00garbage\n" * 9),
    "words": lambda file: file.write_text("step,split\nfoo,bar,baz\n"),
    "a list": lambda file: file.write_text("[]"),
    "a number": lambda file: file.write_text("1"),
    "null": lambda file: file.write_text("null"),
    "empty braces": lambda file: file.write_text("{}"),
    "deep brackets": lambda file: file.write_text("[" * 3000),
    "missing": lambda file: file.unlink(),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}
_VALUES = (
    None, True, 0, 1, -1, 2**31, 2**70, 10**400, 0.5, -1e-9, 1e308, float("inf"), float("nan"), "", "x", "1",
    "x" * 5000, "../../x", "a\nb", "<script>", [], {}, [[1]], {"a": 1}, ["x"], b"\0", (1, 2),
)  # fmt: skip


def make(folder: Path) -> None:
    """`finished`, measured; and `stopped` at step 4 of 6, with a checkpoint at step 2 before it."""
    for name, code in (("finished", 0), ("stopped", 130)):
        (folder / name).mkdir(parents=True)
        words = ("train", "hydra.run.dir=run", *SMALL, "trainer.steps=6", "trainer.patience=9")
        with patch.object(ProgressDisplay, "validated", _stop_at_4) if code else nullcontext():
            answer = vaekl(folder / name, *words)
        assert answer.code == code, answer.err
    answer = vaekl(folder, "eval", "finished/run", "eval.k=1")
    assert answer.code == 0, answer.err


def _stop_at_4(_: ProgressDisplay, trainer: Trainer, *__: Any) -> None:
    trainer.stop_requested = trainer.step == 4


def damaged(number: int, run: Path) -> str:
    """Change a run folder; the change in words."""
    rng = random.Random(number)
    files = sorted(file for file in run.iterdir() if file.is_file() and file.suffix != ".png" and file.name != ".lock")
    # most of what a run says of itself stands in three of them
    many = [file for file in files if file.name in ("config.yaml", "last.pt", "results.json")]
    file = rng.choice([*files, *many, *many])
    if rng.random() < 0.2 or not (change := _changer(file)):
        how = rng.choice([*_WHOLE])
        _WHOLE[how](file)
        return f"{file.name}: {how}"
    return f"{file.name}: {change(file, rng)}"


def _changer(file: Path) -> Callable[[Path, random.Random], str] | None:
    return {".yaml": _in_yaml, ".json": _in_json, ".csv": _in_rows, ".pt": _in_checkpoint}.get(file.suffix)


def _in_yaml(file: Path, rng: random.Random) -> str:
    content, said = _mutated(yaml.safe_load(file.read_text()), rng)
    file.write_text(yaml.dump(content, Dumper=_NoAliases))
    return said


def _in_json(file: Path, rng: random.Random) -> str:
    content, said = _mutated(json.loads(file.read_text()), rng)
    file.write_text(json.dumps(content, default=str))
    return said


def _in_rows(file: Path, rng: random.Random) -> str:
    lines = [line.split(",") for line in file.read_text().splitlines()]
    row = rng.randrange(len(lines))
    column, value = rng.randrange(len(lines[row])), rng.choice(_VALUES)
    lines[row][column] = str(value)
    file.write_text("".join(",".join(line) + "\n" for line in lines))
    return f"row {row}, column {column} = {value!r}"


def _in_checkpoint(file: Path, rng: random.Random) -> str:
    """Sealed again: a checksum keeps out accidents, not hands."""
    state, said = _mutated(checkpoint.load(file), rng)
    checkpoint.save(file, state)
    return said


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_NoAliases.add_representer(tuple, yaml.SafeDumper.represent_list)


def _mutated(content: Any, rng: random.Random) -> tuple[Any, str]:
    """One value taken away or another in its place, at any depth."""
    path: tuple[Any, ...] = ()
    node = content
    while (keys := _keys(node)) and (not path or rng.random() < 0.7):
        key = rng.choice(keys)
        path, node = (*path, key), node[key]
    node = content
    for key in path[:-1]:
        node = node[key]
    if rng.random() < 0.2:
        del node[path[-1]]
        return content, f"without {path}"
    value = rng.choice(_VALUES)
    if isinstance(node[path[-1]], torch.Tensor):
        old = node[path[-1]]
        value = rng.choice([value, old.flatten()[:0], old[None], old.double(), torch.full_like(old, 0) / 0])
    node[path[-1]] = value
    return content, f"{path} = {str(value)[:60]!r}"


def _keys(node: Any) -> list[Any]:
    return [*node] if isinstance(node, dict) else [*range(len(node))] if isinstance(node, list) else []


def faults(number: int, whole: Path, folder: Path) -> list[str]:
    """What is wrong with the ways in which the verbs take the change."""
    rng = random.Random(-number)
    found = []
    name = rng.choice(["finished", "stopped"])
    shutil.copytree(whole / name, folder / name)
    said = damaged(number, folder / name / "run")
    for verb, words in VERBS.items():
        place = folder / verb / name
        shutil.copytree(folder / name, place)
        try:
            answer = typed(place, verb, "." if verb == "report" else "run", *words)
        except TooSlowError:
            found.append(f"{verb}: too slow")
        except (Exception, SystemExit) as error:
            found.append(f"{verb}: raised {type(error).__name__}: {error}")
        else:
            found += [f"{verb}: {fault}" for fault in _faults(verb, answer)]
    return [f"change {number} of a {name} run: {said}", *found] if found else []


def _faults(verb: str, answer: Answer) -> list[str]:
    text = answer.err.removesuffix("\n")
    if answer.code == 0:
        return [f"noise: {text[:600]}"] if text and verb != "report" else []
    found = [f"exit code {answer.code}"] if answer.code != 1 else []
    if not text.startswith("vaekl: ") or "\n" in text.strip() or not text.endswith("."):
        found.append("not one sentence")
    found += [f"says {word!r}" for word in ("Traceback", "unexpected") if word in text]
    return [f"{fault}: {text[:600]}" for fault in found]


def _main(words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "whole")
        for word in words:
            first, _, last = word.partition("-")
            for number in range(int(first), int(last or first) + 1):
                place = Path(folder) / str(number)
                if said := faults(number, Path(folder) / "whole", place):
                    print("\n  ".join(said), flush=True)
                shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
