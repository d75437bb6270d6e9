"""What the value of a setting may be: each check returns the value, or raises one sentence that names the key.

`also` is what else the key takes, for the sentence: `whole(0, "trainer.threads", 1, also="auto or ")` says
"trainer.threads must be auto or a whole number from 1, not 0."
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from vaekl.system.errors import VaeklError, did_you_mean

T = TypeVar("T")

#: the largest whole number of a setting; a count up to it can be rounded up or doubled within torch's int64
MOST = 2**62
#: the smallest and largest positive numbers that float32 holds with all its digits
FLOAT32 = (2.0**-126, (2 - 2.0**-23) * 2.0**127)


def is_number(value: object) -> bool:
    """Whether the value is an int or a float; a bool is none, nor is an int that is too large for a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) <= sys.float_info.max


def whole(value: Any, key: str, least: int = 0, most: int = MOST, also: str = "") -> int:
    """A whole number from `least` to `most`.

    Raises:
        VaeklError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        too_large = isinstance(value, int) and value > most
        end = f" to {most:,}" if most != MOST or too_large else ""
        raise VaeklError(f"{key} must be {also}a whole number from {least}{end}, not {value!r}.")
    return value


def positive(value: Any, key: str, also: str = "") -> float:
    """A positive number that float32 holds.

    Raises:
        VaeklError: it is none.
    """
    smallest, largest = FLOAT32
    if not is_number(value) or not smallest <= value <= largest:
        in_float32 = " that float32 holds" if is_number(value) and value > 0 else ""
        raise VaeklError(f"{key} must be {also}a positive number{in_float32}, not {value!r}.")
    return float(value)


def number(value: Any, key: str, low: float, high: float, also: str = "") -> float:
    """A number between `low` and `high`, neither of them included.

    Raises:
        VaeklError: it is none.
    """
    if not is_number(value) or not low < value < high:
        raise VaeklError(f"{key} must be {also}a number between {low:g} and {high:g}, not {value!r}.")
    return float(value)


def one_of(value: Any, key: str, choices: Sequence[str], also: str = "") -> str:
    """One of some words.

    Raises:
        VaeklError: it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        words = " or ".join(part for part in (", ".join(choices[:-1]), choices[-1]) if part)
        close = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise VaeklError(f"{key} must be {also}{words}, not {value!r}{close}.")
    return value


def text(value: Any, key: str, also: str = "") -> str:
    """A word or several.

    Raises:
        VaeklError: it is none.
    """
    if not isinstance(value, str) or not value:
        raise VaeklError(f"{key} must be {also}a word, not {value!r}.")
    return value


def flag(value: Any, key: str, also: str = "") -> bool:
    """True or false.

    Raises:
        VaeklError: it is neither.
    """
    if not isinstance(value, bool):
        raise VaeklError(f"{key} must be {also}true or false, not {value!r}.")
    return value


def optional(check: Callable[..., T], value: Any, key: str, *limits: Any) -> T | None:
    """None, or a value that passes the check: `optional(whole, cfg.patience, "trainer.patience", 1)`.

    Raises:
        VaeklError: it is neither.
    """
    return None if value is None else check(value, key, *limits, also="null or ")
