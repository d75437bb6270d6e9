"""What a setting may be; each check names its key."""

import sys
from typing import Any

import torch

from vaekl.system.errors import VaeklError

#: of float; a whole number may be larger
MAX = sys.float_info.max


def whole(value: Any, key: str, least: int) -> int:
    """A whole number from `least`.

    Raises:
        VaeklError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**63:
        raise VaeklError(f"{key} must be a whole number from {least}, not {value!r}.")
    return value


def number(value: Any, key: str, below: float) -> float | None:
    """A number between 0 and `below`, or None.

    Raises:
        VaeklError: it is neither.
    """
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < below or value > MAX:
        raise VaeklError(f"{key} must be null or a number between 0 and {below:g}, not {value!r}.")
    return float(value)


def true_false_or_auto(value: Any, key: str) -> bool | None:
    """True, False, or None for auto.

    Raises:
        VaeklError: it is none of the three.
    """
    if value != "auto" and not isinstance(value, bool):
        raise VaeklError(f"{key} must be true, false or auto, not {value!r}.")
    return None if value == "auto" else bool(value)


def one_of(value: Any, key: str, *choices: str) -> str:
    """One of some words.

    Raises:
        VaeklError: it is none of them.
    """
    if value not in choices:
        raise VaeklError(f"{key} must be {' or '.join(choices)}, not {value!r}.")
    return str(value)


def half_precision(name: str | None) -> torch.dtype | None:
    """The type of `trainer.autocast`; TF32 is a way to multiply float32, not a type.

    Raises:
        VaeklError: there is no such type.
    """
    names = {None: None, "bfloat16": torch.bfloat16, "bf16": torch.bfloat16, "tf32": None}
    if name not in names:
        raise VaeklError(f"trainer.autocast must be null, bfloat16 or tf32, not {name!r}.")
    return names[name]
