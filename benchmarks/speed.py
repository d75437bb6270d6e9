"""Images per second of every contender, in turns, as shares of the limit.

The limit has a turn before and one after each of the others', so that a machine whose speed drifts moves both.
"""

import shutil
import sys
from collections.abc import Callable
from typing import Any

from benchmarks import data
from benchmarks.contender import Contender, Failed
from benchmarks.environment import SCRATCH, peers
from benchmarks.tables import summary

LIMIT = "limit"
#: name -> module, its arguments, and whether it needs the peers' environment
CONTENDERS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    LIMIT: ("limit", (), False),
    "limit, compiled": ("limit", ("compiled",), False),
    "limit, channels last": ("limit", ("channels_last",), False),
    "vaekl": ("vaekl", ("whole",), False),
    "vaekl, compiled": ("vaekl", ("whole", "trainer.compile=true"), False),
    "vaekl, loop alone": ("vaekl", ("bare",), False),
    "PyTorch loop, tensors": ("plain", ("tensors",), False),
    "PyTorch loop, torchvision": ("plain", ("torchvision",), False),
    "Lightning, tensors": ("lightning", ("tensors",), True),
    "Lightning, torchvision": ("lightning", ("torchvision",), True),
    "pythae": ("pythae", (), True),
}
_ONLY_CONV = ("limit, channels last",)
_ONLY_MLP = ("PyTorch loop, torchvision", "Lightning, torchvision")


def names(workload: str) -> list[str]:
    """Who takes part: torchvision has no CIFAR-10 without a download, and digits of two levels need no scaling."""
    other = _ONLY_MLP if workload == "conv" else _ONLY_CONV
    return [name for name in CONTENDERS if name not in other]


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
        module, words, peer = CONTENDERS[name]
        own = scratch / str(number)
        cadence = ["trainer.valid_every=50"] if smoke and words[:1] == ("whole",) else []
        command = [str(python) if peer else sys.executable, "-m", f"benchmarks.contenders.{module}"]
        running.append(Contender(name, [*command, workload, str(folder), str(own), *words, *cadence], own))
    try:
        # one after another: vaekl looks how many cores are idle
        for contender in running:
            _say(f"{workload}: {contender.name} warms up")
            _try(contender, lambda one: (one.start(), one.turn(seconds)))
        return _rows(running, _take_turns(running, rounds, seconds), missing)
    finally:
        for contender in running:
            contender.stop()


def _take_turns(running: list[Contender], rounds: int, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """Each contender's turns, with the limit's rate around each: the mean of half a turn before and half after."""
    limit, others = running[0], running[1:]
    taken: dict[str, list[dict[str, Any]]] = {contender.name: [] for contender in running}
    for number in range(rounds):
        shift = number % len(others)
        _say(f"round {number + 1} of {rounds}")
        before = limit.turn(seconds / 2)
        for contender in (*others[shift:], *others[:shift]):
            answer = _try(contender, lambda one: one.turn(seconds)) if contender.failed is None else None
            after = limit.turn(seconds / 2)
            around = (_rate(before) + _rate(after)) / 2
            taken[LIMIT].append({**after, "limit": around})
            if answer:
                taken[contender.name].append({**answer, "limit": around})
            before = after
    return taken


def _try(contender: Contender, what: Callable[[Contender], Any]) -> Any:
    try:
        return what(contender)
    except Failed as error:
        contender.failed = str(error)
        _say(f"{contender.name} failed: {error}")
        contender.stop()
        return None


def _rows(
    running: list[Contender], taken: dict[str, list[dict[str, Any]]], missing: str | None
) -> list[dict[str, Any]]:
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
