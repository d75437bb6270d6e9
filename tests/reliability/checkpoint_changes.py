"""What a stranger may have made of a checkpoint: changes of its form, none of a finite number."""

import random
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from file_changes import FILES, saved
from tensor_changes import TENSORS
from torch import Tensor

from vaekl.store import checkpoint

_PLACE = tuple[Any, ...]
_NO_NUMBER = (True, False, -1, 2**63, 10**400, -(10**400), float("nan"), "", "5", "\x1b[2J", b"5", [], [5], {}, {5: 5},
              (5,), {5}, 5j, torch.tensor(5), torch.zeros(2, 2), torch.Size([5]), torch.float32,
              torch.device("cpu"), Counter("a"), OrderedDict())  # fmt: skip
#: for each place, what no run writes there; other numbers of its range would be those of another run
VALUES: dict[_PLACE, tuple[Any, ...]] = {
    ("step",): (*_NO_NUMBER, None, 3.0, float("inf"), 7),
    ("restores",): (*_NO_NUMBER, None, 0.0, float("inf"), 11),
    ("compiled",): (*_NO_NUMBER[2:], None, 0, True),
    ("threads",): (*_NO_NUMBER, None, 1.0, 0, 2**31 + 1),
    ("data",): (*_NO_NUMBER, None, 0),
    ("device",): (*_NO_NUMBER, None, 0, "meta", "cuda", "cuda:0", "mps", "xla"),
    ("best_elbo",): (*_NO_NUMBER, None, 0, float("inf")),
    ("stale_validations",): (*_NO_NUMBER, None, 0.0, float("inf"), 7),
    ("average",): (*_NO_NUMBER, None, 0),
    ("optimizer", "param_groups", 0, "lr"): (*_NO_NUMBER, None, 0, float("inf")),
    ("optimizer", "param_groups", 0, "weight_decay"): (*_NO_NUMBER, None, 1, float("inf")),
    ("optimizer", "param_groups", 0, "foreach"): (*_NO_NUMBER,),
    ("optimizer", "param_groups", 0, "capturable"): (*_NO_NUMBER[2:], True, None),
    ("optimizer", "param_groups", 0, "differentiable"): (*_NO_NUMBER[2:], True, None),
    ("optimizer", "param_groups", 0, "maximize"): (*_NO_NUMBER[2:], True, None),
    ("optimizer", "param_groups", 0, "fused"): (*_NO_NUMBER[2:], False, 1),
    ("optimizer", "param_groups", 0, "betas"): (*_NO_NUMBER, None, (0.9, 0.999), [0.9], [0.9, 2.0], ["a", "b"]),
    ("optimizer", "param_groups", 0, "params"): (*_NO_NUMBER, None, [0], [0, 0, 0, 0], [-1], list(range(100))),
}


def _deep(value: Any) -> Any:
    for _ in range(200):
        value = [value]
    return value


def _in_itself(value: Any) -> Any:
    value["itself"] = value
    return value


CONTAINERS: dict[str, Callable[[Any, random.Random], Any]] = {
    "a list of pairs": lambda v, _: [*v.items()] if isinstance(v, dict) else [*enumerate(v)],
    "a tuple": lambda v, _: tuple(v.items()) if isinstance(v, dict) else tuple(v),
    "a set of its keys": lambda v, _: {str(key) for key in v},
    "an ordered dict": lambda v, _: OrderedDict(v) if isinstance(v, dict) else v,
    "a counter": lambda v, _: Counter({str(key): 1 for key in v}),
    "in a list": lambda v, _: [v],
    "in a dict": lambda v, _: {"state": v},
    "very deep": lambda v, _: _deep(v),
    "in itself": lambda v, _: _in_itself(v) if isinstance(v, dict) else [*v, v],
    "emptied": lambda v, _: type(v)(),
    "None": lambda v, _: None,
    "text": lambda v, _: "state",
    "a number": lambda v, _: 10**400,
    "a tensor": lambda v, _: torch.zeros(3),
    "in another order": lambda v, _: dict(reversed(v.items())) if isinstance(v, dict) else v,
}
_KEYS = ("more", "", "x" * 100_000, "\x1b[2J\n", "__class__", 0, -1, 99, 10**400, True, 1.5, None, b"key", (1, 2), 1j,
         torch.float32, torch.Size([1]))  # fmt: skip


def _key_missing(parent: Any, key: Any, rng: random.Random) -> str:
    del parent[key]
    return "missing"


def _key_renamed(parent: Any, key: Any, rng: random.Random) -> str:
    name = rng.choice([*_KEYS, str(key), f"{key} ", f"module.{key}", str(key).upper() + "_"])
    value = parent.pop(key)
    parent[name] = value
    return f"renamed to {str(name)[:40]!r}" if not isinstance(name, int) or abs(name) < 2**63 else "renamed, huge"


def _key_unknown(parent: Any, key: Any, rng: random.Random) -> str:
    name = rng.choice([name for name in _KEYS if name not in parent])
    parent[name] = rng.choice([parent[key], None, 0, 10**400, torch.zeros(2), "x", {}])
    return f"{name!r:.40} beside it" if not isinstance(name, int) or abs(name) < 2**63 else "a huge key beside it"


KEYS: dict[str, Callable[[Any, Any, random.Random], str]] = {
    "missing": _key_missing,
    "renamed": _key_renamed,
    "unknown": _key_unknown,
}


def _tensors(node: Any, place: _PLACE = ()) -> list[_PLACE]:
    if isinstance(node, Tensor):
        return [place]
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [pair for key, child in items for pair in _tensors(child, (*place, key))]


def _containers(node: Any, place: _PLACE = ()) -> list[_PLACE]:
    if not isinstance(node, dict | list):
        return []
    items = node.items() if isinstance(node, dict) else enumerate(node)
    return [place, *(below for key, child in items for below in _containers(child, (*place, key)))]


def _at(state: Any, place: _PLACE) -> Any:
    for key in place:
        state = state[key]
    return state


def _put(state: Any, place: _PLACE, value: Any) -> None:
    _at(state, place[:-1])[place[-1]] = value


def _memory_of_another_form(state: Any, rng: random.Random) -> str:
    """What PyTorch's fused kernel would read and write as if it had its parameter's size."""
    places = [place for place in _tensors(state["optimizer"]["state"]) if place[-1] != "step"]
    place = ("optimizer", "state", *rng.choice(places))
    how = rng.choice(["one fewer", "half of its rows", "empty", "a single number", "expanded", "overlapping", "float64",
                      "float16", "the end of a larger one", "transposed", "meta"])  # fmt: skip
    _put(state, place, TENSORS[how](_at(state, place), rng))
    return f"{place}: {how}"


def _all_memory_of_another_form(state: Any, rng: random.Random) -> str:
    how = rng.choice(["one fewer", "expanded", "float64", "float16", "the end of a larger one"])
    for place in _tensors(state["optimizer"]["state"]):
        _put(state, ("optimizer", "state", *place), TENSORS[how](_at(state["optimizer"]["state"], place), rng))
    return f"all memory: {how}"


def _shared(state: Any, rng: random.Random) -> str:
    part = rng.choice([part for part in ("model", "average", "optimizer") if state[part]])
    places = _tensors(state[part])
    pairs = [
        (a, b) for a in places for b in places if a != b and _at(state[part], a).shape == _at(state[part], b).shape
    ]
    one, other = rng.choice([(a, b) for a, b in pairs if _at(state[part], a).numel() > 1])
    _put(state[part], one, _at(state[part], other))
    return f"{part}: {one} and {other} share their memory"


def _exchanged(state: Any, rng: random.Random) -> str:
    places = _tensors(state)
    one = rng.choice(places)
    form = _at(state, one).shape, _at(state, one).dtype
    other = rng.choice([place for place in places if (_at(state, place).shape, _at(state, place).dtype) != form])
    first, second = _at(state, one), _at(state, other)
    _put(state, one, second)
    _put(state, other, first)
    return f"{one} and {other} exchanged"


def _generator(state: Any, rng: random.Random) -> str:
    """How many of the Mersenne Twister's words are left, and which is the next; a pair that fits is another run's."""
    left = rng.choice([0, -1, 1, 2, 300, 624, 625, 626, 2**31 - 1, -(2**31)])
    following = rng.choice([n for n in (0, 1, 5, 623, 624, 625, 2**31, 2**32 + 1, 2**63) if (left, n) != (1, 0)])
    if left + following == 625 and left >= 1:
        following += 1
    numbers = state["generator"].numpy()
    numbers[8:12].view("<i4")[:] = left
    numbers[16:24].view("<u8")[:] = following
    return f"generator: {left} left, {following} next"


def _steps(state: Any, rng: random.Random) -> str:
    steps = [place for place in _tensors(state["optimizer"]) if place[-1] == "step"]
    if not steps:
        return "nothing"
    value = rng.choice([-1.0, 0.5, 5.0, 1e30, float("inf"), float("nan")])
    place = rng.choice(steps)
    _at(state["optimizer"], place).fill_(value)
    return f"{place} = {value}"


def _without_memory(state: Any, rng: random.Random) -> str:
    memory = state["optimizer"]["state"]
    number = rng.choice([*memory])
    how = rng.choice(["missing", "emptied", "list", "all missing"])
    if how == "missing":
        del memory[number]
    elif how == "all missing":
        memory.clear()
    else:
        memory[number] = {} if how == "emptied" else [*memory[number].values()]
    return f"memory of parameter {number}: {how}"


def _all_of_another_type(state: Any, rng: random.Random) -> str:
    kind = rng.choice([torch.float64, torch.float16, torch.bfloat16])
    for place in _tensors(state):
        if _at(state, place).is_floating_point():
            _put(state, place, _at(state, place).to(kind))
    return f"all {kind}"


def _another_run(state: Any, rng: random.Random) -> str:
    part = rng.choice(["model", "average", "optimizer", "rows", "generator"])
    state[part] = rng.choice([{}, None, [state[part]], {"state": {}, "param_groups": []}, torch.zeros(4, 5)])
    return f"{part} of none"


PARTS: dict[str, Callable[[Any, random.Random], str]] = {
    "memory": _memory_of_another_form,
    "all memory": _all_memory_of_another_form,
    "shared": _shared,
    "exchanged": _exchanged,
    "generator": _generator,
    "steps": _steps,
    "without memory": _without_memory,
    "all of another type": _all_of_another_type,
    "another run": _another_run,
}


def damaged(number: int, file: Path) -> tuple[str, str]:
    """Change a checkpoint and seal it; the kind of the change, and the change in words."""
    rng = random.Random(number)
    state = checkpoint.load(file)
    families: list[tuple[str, dict[str, Any]]] = [
        ("tensor", TENSORS), ("value", VALUES), ("container", CONTAINERS), ("key", KEYS), ("parts", PARTS),
        ("file", FILES),
    ]  # fmt: skip
    family, kinds = rng.choices(families, weights=[8, 4, 3, 3, 6, 2])[0]
    kind = rng.choice([*kinds])
    what = str(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tensors that PyTorch has for the rare case
        if family == "tensor":
            place = rng.choice(_tensors(state))
            _put(state, place, TENSORS[kind](_at(state, place), rng))
            what = f"{place}: {kind}"
        elif family == "value":
            try:
                _at(state, kind)
            except KeyError:  # another optimiser's
                kind = ("step",)
            value = rng.choice(VALUES[kind])
            _put(state, kind, value)
            huge = isinstance(value, int) and abs(value) > 2**63
            what = f"{kind} = {'huge' if huge else repr(value)[:60]}"
        elif family == "container":
            place = rng.choice(_containers(state))
            change = CONTAINERS[kind](_at(state, place), rng)
            if place:
                _put(state, place, change)
            else:
                state = change
            what = f"{place}: {kind}"
        elif family == "key":
            place = rng.choice([place for place in _containers(state) if isinstance(_at(state, place), dict)])
            parent = _at(state, place)
            if parent:
                key = rng.choice([*parent])
                what = f"{(*place, key)}: {KEYS[kind](parent, key, rng)}"
        elif family == "parts":
            what = PARTS[kind](state, rng)
    content = saved({"format": checkpoint.FORMAT, "state": state})
    if family == "file":
        content = FILES[kind](content, state, rng)
    file.write_bytes(content + checkpoint._seal(content))
    return f"{family}: {kind}", what
