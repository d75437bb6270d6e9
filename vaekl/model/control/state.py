"""What a control remembers: tensors that checkpoints hold, and attributes that none does."""

from collections import deque
from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor, nn

#: what every control has, beside what its class gives it
_OF_EVERY_CONTROL = {*vars(nn.Module()), "likelihood", "spec", "images"}
#: an object may hold one that holds it
_DEEPEST = 6


def tensors_of(control: nn.Module) -> dict[str, Tensor]:
    """Copies of what a checkpoint holds of a control."""
    return {name: value.detach().clone() for name, value in control.state_dict().items()}


def attributes_of(control: nn.Module) -> dict[str, Any]:
    """Copies of what no checkpoint holds of a control and of the modules in it, by their dotted names."""
    copies: dict[str, Any] = {}
    for path, part in control.named_modules():
        unsaved = {name: part._buffers[name] for name in part._non_persistent_buffers_set}
        for name, value in (vars(part) | unsaved).items():
            if name not in _OF_EVERY_CONTROL and not isinstance(getattr(type(part), name, None), cached_property):
                copies[f"{path}.{name}" if path else name] = _copied(value)
    return copies


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names whose values differ, or that are new."""
    return [name for name, value in after.items() if name not in before or not same(before[name], value)]


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    try:
        return deepcopy(value)
    except Exception:  # what cannot be copied, such as an open file, is itself
        return value


def same(a: Any, b: Any, depth: int = 0) -> bool:
    """Whether two values are equal, a NaN to another one too; what lies deep in objects of other classes counts not."""
    if a is b or type(a) is not type(b) or depth > _DEEPEST:
        return a is b or depth > _DEEPEST
    if isinstance(a, Tensor | np.ndarray):
        return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], depth + 1) for key in a)
    if isinstance(a, list | tuple | deque):
        return len(a) == len(b) and all(same(*pair, depth + 1) for pair in zip(a, b, strict=True))
    if isinstance(a, int | float | complex | str | bytes | set | frozenset):
        return a == b or (a != a and b != b)
    return same(vars(a), vars(b), depth + 1) if hasattr(a, "__dict__") else True
