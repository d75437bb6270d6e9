"""The corpus: every file of a run × every key × what a stranger, a broken disk or a clumsy hand may make of it."""

import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
import yaml
from corpus_keys import Key, changed, of_record, of_state, of_tree
from corpus_places import Case, Place, file_of
from corpus_values import (
    CELLS,
    CHECKPOINTS,
    CONTENTS,
    KINDS,
    MOVED,
    RAW,
    TEXTS,
    VALUES,
    YAML,
    Pairs,
    Raw,
    objects,
    saved,
    written,
)  # fmt: skip

from vaekl.store import checkpoint, evaluation_schema, metrics, schema, sweep_schema

#: changes of a key that are no value of it
_AROUND = ("left out", "twice", "under another name", "a stranger beside it")


#: the scenes that are a single run
RUNS = ("finished", "stopped")
#: of each scene the files that are there; a star stands for the first that fits
_RUN = ("config.yaml", "facts.json", "metrics.csv", "last.pt", "best.pt", "events.out.tfevents.*")
_FILES = {
    "finished": (
        *_RUN, "results.json", "eval.json", "prior_samples.png", "samples/prior_mean.png",
        "report/report.html",
    ),
    "stopped": (*_RUN, "previous.pt", ".progress.json"),
    "sweep": ("manifest.json", "multirun.yaml"),
    "search": ("search.json", "optimization_results.yaml", "manifest.json"),
}  # fmt: skip
#: folders, and locks, in which is nothing
_EMPTY = {
    "finished": ("samples", "report", "report/figures", ".lock", ".eval.lock"),
    "stopped": (".lock",),
    "sweep": ("logs", "seed=1*", ".lock", ".manifest.lock"),
    "search": (".lock", "optim*/.attempt.lock"),
}
#: what the verbs will write
_NEW = {
    "finished": (
        ".eval.json.partial", "samples/.prior_mean.png.partial", "report/.report.html.partial",
        "report/..writable.partial",
    ),
    "stopped": (
        "results.json", "eval.json", "prior_samples.png", "samples", "last.damaged.pt", ".last.pt.partial",
        ".previous.pt.partial", ".metrics.csv.partial", ".results.json.partial", ".prior_samples.png.partial",
        ".progress.json.partial",
    ),
    "sweep": (".manifest.json.partial", "report"),
    "search": (".search.json.partial",),
}  # fmt: skip
RECORDS: dict[str, dict[str, type[msgspec.Struct]]] = {
    "finished": {"facts.json": schema.Facts, "results.json": schema.Results, "eval.json": evaluation_schema.Evaluation},
    "stopped": {"facts.json": schema.Facts, ".progress.json": schema.Heartbeat},
    "sweep": {"manifest.json": sweep_schema.Manifest},
    "search": {"search.json": sweep_schema.Search, "manifest.json": sweep_schema.Manifest},
}
_YAMLS = {
    "sweep": {"multirun.yaml": [("hydra",), ("hydra", "overrides"), ("hydra", "overrides", "task"),
                                ("hydra", "overrides", "task", 0)]},
    "search": {"optimization_results.yaml": [("name",), ("best_params",), ("best_params", "*"), ("best_value",)]},
}  # fmt: skip
#: so many begin, which are of single runs: sweeps are dear
_FEW = 100
_CHECKPOINTS = (("finished", "last.pt"), ("finished", "best.pt"), ("stopped", "last.pt"))
_NAMES = {
    **{name: TEXTS[name] for name in ("ESC", "C1", "bidi", "a formula", "a format", "line ends")},
    "no UTF-8": b"a\xff".decode(errors="surrogateescape"), "spaces": " a b ", "markup": "<script>",
    "a quote": "a'b\"c;$(touch ran)", "200 letters": "x" * 200, "an equals sign": "seed=1",
    "a dash": "-rf", "a star": "*",
}  # fmt: skip


def cases(whole: Path) -> list[Case]:
    """All of them; the first two thousand have every whole file, and every key once, with changes that take turns.

    Args:
        whole: the scenes, of which the config and the checkpoints name their keys.
    """
    rounds: dict[int, list[Case]] = {}
    for group_number, group in enumerate(_groups(whole)):
        for key_number, changes in enumerate(group):
            for number, case in enumerate(changes):
                # each key's first case has another change than its neighbour's, and than its own in another scene
                turn = (number - 7 * key_number - 13 * group_number) % len(changes)
                rounds.setdefault(turn if len(group) > 1 else 0, []).append(case)
    ordered = []
    for number in sorted(rounds):
        random.Random(number).shuffle(rounds[number])
        ordered += rounds[number]
    first = [case for case in ordered if case.scene in RUNS][:_FEW]
    few = set(first)
    return first + [case for case in ordered if case not in few]


def _groups(whole: Path) -> Iterator[list[list[Case]]]:
    """For each file the cases of each of its keys; a group of one is of whole files, and each of its cases counts."""
    for scene in _FILES:
        yield [_of_whole(scene)]
        yield [[_named(scene, name) for name in _NAMES] if scene != "search" else []]
        for file, kind in RECORDS[scene].items():
            yield [_of_text(scene, file, key, VALUES | RAW) for key in of_record(kind)]
        for file, paths in _YAMLS.get(scene, {}).items():
            yield [_of_text(scene, file, key, VALUES | RAW | YAML) for key in paths]
    for scene in RUNS:
        content = yaml.safe_load((whole / scene / "run" / "config.yaml").read_text(encoding="utf-8"))
        yield [_of_text(scene, "config.yaml", key, VALUES | RAW | YAML) for key in of_tree(content)]
        yield [_of_cell(scene, row, column) for column in range(len(metrics.FIELDS)) for row in (0, 1, -1)]
        yield [_of_row(scene)]
    for scene, name in _CHECKPOINTS:
        state = checkpoint.load(whole / scene / "run" / name)
        yield [_of_state(scene, name, key, old) for key, old in of_state(state)]
        yield [[Case(scene, f"{name}: {how}", partial(_whole_checkpoint, name, how)) for how in CHECKPOINTS]]
    yield [[Case(scene, "nothing", lambda place: None) for scene in _FILES]]


def _of_whole(scene: str) -> list[Case]:
    changes = [(file, how) for file in _FILES[scene] for how in (*CONTENTS, *KINDS, MOVED)]
    changes += [(file, how) for file in _EMPTY[scene] for how in (*KINDS, MOVED)]
    changes += [(file, how) for file in _NEW[scene] for how in KINDS if how != "missing"]
    return [Case(scene, f"{file}: {how}", partial(_whole, file, how)) for file, how in changes]


def _whole(file: str, how: str, place: Place) -> None:
    target = file_of(place, file)
    if how in CONTENTS:
        CONTENTS[how](target)
        return
    if how == MOVED:
        target.rename(place.canary / "moved")
        target.symlink_to(place.canary / "moved")
        return
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    target.parent.mkdir(exist_ok=True)
    KINDS[how](target, place.canary)


def _whole_checkpoint(file: str, how: str, place: Place) -> None:
    CHECKPOINTS[how](file_of(place, file))


def _named(scene: str, name: str) -> Case:
    """The run's folder, or a second run's in a sweep, under another name."""

    def change(place: Place) -> Place:
        old, new = place.root / place.run, _NAMES[name]
        if scene == "sweep":
            shutil.copytree(old, old.with_name(new))
            return place._replace(run=f"{place.sweep}/{new}")
        old.rename(old.with_name(new))
        return place._replace(run=new, sweep=new)

    return Case(scene, f"a folder's name: {name}", change)


def _of_text(scene: str, file: str, key: Key, values: dict[str, str]) -> list[Case]:
    name = ".".join(map(str, key))
    return [Case(scene, f"{file}: {name}: {how}", partial(_text, file, key, how)) for how in [*values, *_AROUND]]


def _text(file: str, key: Key, how: str, place: Place) -> None:
    target = file_of(place, file)
    content = changed(yaml.safe_load(target.read_text(encoding="utf-8")), key, partial(_around, how))
    target.write_text(written(content), encoding="utf-8")


def _around(how: str, holder: Any, last: Any) -> Any:
    """What holds a key, after a change of its value or of what stands beside it."""
    if how not in _AROUND:
        holder[last] = Raw((VALUES | RAW | YAML)[how])
        return holder
    if isinstance(holder, list):
        stranger = [*holder, "\x1b[2J"]
        return dict(zip(_AROUND, ([], holder * 2, [holder], stranger), strict=True))[how]
    pairs = holder.items()
    return Pairs(
        {
            "left out": [pair for pair in pairs if pair[0] != last],
            "twice": [*pairs, (last, Raw("[]"))],
            "under another name": [(f"{key}\x1b[2J" if key == last else key, value) for key, value in pairs],
            "a stranger beside it": [*pairs, ("\x1b[2J\u202e", Raw("{}"))],
        }[how]
    )


def _of_cell(scene: str, row: int, column: int) -> list[Case]:
    name = f"metrics.csv: {('names', 'first row', 'last row')[row]}, {metrics.FIELDS[column]}"
    return [Case(scene, f"{name}: {how}", partial(_cell, row, column, how)) for how in [*CELLS, "left out"]]


def _cell(row: int, column: int, how: str, place: Place) -> None:
    target = file_of(place, "metrics.csv")
    lines = [line.split(",") for line in target.read_text(encoding="utf-8").splitlines()]
    lines[row][column : column + 1] = [CELLS[how]] if how in CELLS else []
    text = "".join(",".join(line) + "\n" for line in lines)
    target.write_bytes(text.encode("utf-8", errors="surrogatepass"))


_ROWS: dict[str, Callable[[list[str]], list[str]]] = {
    "no names": lambda lines: lines[1:],
    "only names": lambda lines: lines[:1],
    "names twice": lambda lines: [*lines[:1], *lines],
    "backwards": lambda lines: [lines[0], *lines[:0:-1]],
    "every row twice": lambda lines: [lines[0], *lines[1:], *lines[1:]],
    "an empty row": lambda lines: [*lines, ""],
    "an open row": lambda lines: [*lines, lines[-1][:20]],
    "no last line end": lambda lines: lines,
    "100,000 rows": lambda lines: [lines[0], *lines[1:2] * 100_000],
    "a row of another run": lambda lines: [*lines, f"900{lines[-1]}"],
}


def _of_row(scene: str) -> list[Case]:
    return [Case(scene, f"metrics.csv: {how}", partial(_row, how)) for how in _ROWS]


def _row(how: str, place: Place) -> None:
    target = file_of(place, "metrics.csv")
    text = "\n".join(_ROWS[how](target.read_text(encoding="utf-8").splitlines()))
    target.write_text(text if how == "no last line end" else text + "\n", encoding="utf-8")


def _of_state(scene: str, file: str, key: Key, old: Any) -> list[Case]:
    name = ".".join(map(str, key))
    hows = [*objects(old), *(_AROUND if not isinstance(key[-1], int) else ())]
    return [Case(scene, f"{file}: {name}: {how}", partial(_state, file, key, how)) for how in hows if how != "twice"]


def _state(file: str, key: Key, how: str, place: Place) -> None:
    def change(holder: Any, last: Any) -> Any:
        if how == "left out":
            del holder[last]
        elif how == "under another name":
            holder["\x1b[2J"] = holder.pop(last)
        elif how == "a stranger beside it":
            holder["\x1b[2J\u202e"] = torch.zeros(1)
        else:
            holder = [*holder] if isinstance(holder, tuple) else holder
            holder[last] = objects(holder[last])[how]()
        return holder

    target = file_of(place, file)
    saved(target, {"format": checkpoint.FORMAT, "state": changed(checkpoint.load(target), key, change)})
