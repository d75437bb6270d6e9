"""Images per second of every contender, in turns, as shares of the limit.

The limit has a turn before and one after each of the others', so that a machine whose speed drifts moves both.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.contender import Contender, Failed
from benchmarks.environment import SCRATCH, peers
from benchmarks.tables import summary

LIMIT = "limit"
#: each contender's turns: images, seconds, and the limit's images/s around it
Turns = dict[str, list[dict[str, Any]]]
#: name -> module, its arguments, and whether it needs the peers' environment
CONTENDERS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    LIMIT: ("limit", (), False),
    "limit, compiled": ("limit", ("compiled",), False),
    "limit, channels last": ("limit", ("channels_last",), False),
    "limit, CUDA graph": ("limit", ("graph",), False),
    "vaekl": ("vaekl", ("whole",), False),
    "vaekl, compiled": ("vaekl", ("whole", "trainer.compile=true"), False),
    "vaekl, graph": ("vaekl", ("whole", "trainer.compile=graph"), False),
    "vaekl, bfloat16": ("vaekl", ("whole", "trainer.autocast=bfloat16"), False),
    "vaekl, loop alone": ("vaekl", ("bare",), False),
    "PyTorch loop, tensors": ("plain", ("tensors",), False),
    "PyTorch loop, torchvision": ("plain", ("torchvision",), False),
    "Lightning, tensors": ("lightning", ("tensors",), True),
    "Lightning, torchvision": ("lightning", ("torchvision",), True),
    "pythae": ("pythae", (), True),
}
#: which `benchmarks.gpu` compares: a CUDA graph takes a GPU, and on a CPU half precision is slow
_ONLY_GPU = ("limit, CUDA graph", "vaekl, bfloat16")
_ONLY_CONV = ("limit, channels last",)
_ONLY_MLP = ("PyTorch loop, torchvision", "Lightning, torchvision")


def names(workload: str) -> list[str]:
    """Who takes part: torchvision has no CIFAR-10 without a download, and digits of two levels need no scaling."""
    other = _ONLY_MLP if workload == "conv" else _ONLY_CONV
    return [name for name in CONTENDERS if name not in other + _ONLY_GPU]


def measure(workload: str, rounds: int, seconds: float, smoke: bool = False) -> list[dict[str, Any]]:
    """Let all contenders train in turns.

    Args:
        workload: mlp or conv.
        rounds: how many turns each has, after one to warm up; the order rotates.
        seconds: how long a turn is, at least.
        smoke: validate so often that a turn is short.

    Returns:
        A row for each contender: `name`, `threads`, `images_per_second` and `ratio` with their quartiles, or `failed`.
    """
    scratch = SCRATCH / workload
    shutil.rmtree(scratch, ignore_errors=True)
    folder, _ = data.prepare(SCRATCH)
    python, missing = peers()
    running: list[Contender] = []
    # a compiler takes a minute, and one network shows whether it works
    taking_part = [name for name in names(workload) if not (smoke and workload == "conv" and "compiled" in name)]
    for number, name in enumerate(taking_part):
        used = str(python) if CONTENDERS[name][2] else sys.executable
        running.append(contender(name, workload, folder, scratch / str(number), "cpu", used, smoke))
    try:
        # one after another: vaekl looks how many cores are idle
        for one in running:
            _say(f"{workload}: {one.name} warms up")
            warm_up(one, seconds)
        taken: Turns = {one.name: [] for one in running}
        for number in range(rounds):
            _say(f"round {number + 1} of {rounds}")
            take_turns(running, number, seconds, taken)
        return rows_of(running, taken, missing)
    finally:
        for one in running:
            one.stop()


def contender(
    name: str, workload: str, folder: Path, scratch: Path, device: str, python: str, smoke: bool
) -> Contender:
    """One of `CONTENDERS`.

    Args:
        name: there.
        workload: mlp or conv.
        folder: of the data.
        scratch: a folder of its own.
        device: cpu or cuda.
        python: what runs it.
        smoke: validate so often that a turn is short.
    """
    module, words, _ = CONTENDERS[name]
    cadence = ["trainer.valid_every=50"] if smoke and words[:1] == ("whole",) else []
    command = [python, "-m", f"benchmarks.contenders.{module}", workload, str(folder), str(scratch), device]
    return Contender(name, [*command, *words, *cadence], scratch)


def warm_up(one: Contender, seconds: float) -> None:
    """Start a contender and let it have a turn that does not count."""
    _try(one, lambda started: (started.start(), started.turn(seconds)))


def take_turns(running: list[Contender], number: int, seconds: float, taken: Turns) -> None:
    """A turn of each contender, with the limit's rate around it: the mean of half a turn before and half after.

    Args:
        running: the limit first.
        number: of the round, by which the order rotates.
        seconds: how long a turn is, at least.
        taken: each contender's turns, to which this round's are added.
    """
    limit, others = running[0], running[1:]
    shift = number % len(others)
    before = limit.turn(seconds / 2)
    for one in (*others[shift:], *others[:shift]):
        answer = _try(one, lambda other: other.turn(seconds)) if one.failed is None else None
        after = limit.turn(seconds / 2)
        around = (_rate(before) + _rate(after)) / 2
        taken[LIMIT].append({**after, "limit": around})
        if answer:
            taken[one.name].append({**answer, "limit": around})
        before = after


def _try(contender: Contender, what: Callable[[Contender], Any]) -> Any:
    try:
        return what(contender)
    except Failed as error:
        contender.failed = str(error)
        _say(f"{contender.name} failed: {error}")
        contender.stop()
        return None


def rows_of(running: list[Contender], taken: Turns, missing: str | None) -> list[dict[str, Any]]:
    """The table's rows.

    Args:
        running: the contenders.
        taken: their turns.
        missing: why some library could not be installed, or None.
    """
    rows: list[dict[str, Any]] = []
    for contender in running:
        name = contender.name
        row: dict[str, Any] = {"name": name, **{k: v for k, v in contender.facts.items() if k != "ready"}}
        if contender.failed is not None:
            row["failed"] = "; ".join(part for part in (contender.failed, missing) if part)
        if turns := taken[name]:
            row["images_per_second"] = summary([_rate(turn) for turn in turns])
            # what only vaekl says of itself: the share of validation, pictures and checkpoints
            for part in ("around", "pictures"):
                if part in turns[0]:
                    # over all turns: pictures are in few of them, and a median would not see them
                    row[f"share_{part}"] = sum(turn[part] for turn in turns) / sum(turn["seconds"] for turn in turns)
            row["ratio"] = summary([_rate(turn) / turn["limit"] for turn in turns])
        rows.append(row)
    return rows


def _rate(turn: dict[str, Any]) -> float:
    return float(turn["images"] / turn["seconds"])


def real_data() -> bool:
    """Whether the data directory has what is needed."""
    return data.prepare(SCRATCH)[1]


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
