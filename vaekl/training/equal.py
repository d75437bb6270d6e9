"""Whether two objects are surely equal."""

from collections import deque
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: an object may hold one that holds it
_DEEPEST = 6


def surely_equal(a: Any, b: Any, depth: int = 0) -> bool:
    """Whether two values are surely equal: what cannot be compared, such as a function, is so to itself alone."""
    if a is b:
        return True
    if type(a) is not type(b) or depth > _DEEPEST:
        return False
    if isinstance(a, Tensor | np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(surely_equal(a[key], b[key], depth + 1) for key in a)
    if isinstance(a, list | tuple | deque):
        return len(a) == len(b) and all(surely_equal(*pair, depth + 1) for pair in zip(a, b, strict=True))
    if isinstance(a, int | float | complex | str | bytes | set | frozenset | PurePath | torch.dtype | torch.device):
        return a == b or (a != a and b != b)
    # an object of a class that is written in Python is what its attributes are
    kind: Any = type(a)
    is_plain = kind.__new__ is object.__new__ and not any(getattr(base, "__slots__", ()) for base in kind.__mro__)
    return is_plain and surely_equal(vars(a), vars(b), depth + 1)
