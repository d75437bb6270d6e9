"""How a table's columns become numbers: a run keeps it, so that other rows are coded as those that it saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vaekl.system.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]
Kind = Literal["numeric", "count", "binary", "categorical"]
#: the most letters of a category in the name of its number
_MOST_LETTERS = 40


@dataclass(frozen=True)
class Code:
    """What one column is in a row.

    Args:
        name: in the table's head.
        kind: numeric, count, binary or categorical.
        categories: the different values of a binary or categorical column, in their order.
    """

    name: str
    kind: Kind
    categories: tuple[Any, ...] = ()

    @property
    def names(self) -> list[str]:
        """What its numbers are called: one, or one for each category."""
        if self.kind in ("numeric", "count"):
            return [self.name]
        words = [word_of(category) for category in self.categories]
        words = words if len(set(words)) == len(words) else list(self.words)
        return [f"{self.name}={word}" for word in words[self.kind == "binary" :]]

    @property
    def words(self) -> tuple[str, ...]:
        """The categories as text, with all of their digits and letters; () of numbers."""
        return tuple(
            repr(category).removesuffix(".0") if isinstance(category, float) else str(category)
            for category in self.categories
        )

    def numbers(self, values: Array) -> dict[str, Array]:
        """The column's numbers by name: itself, a 0 or 1, or a 0 or 1 for each category; float64 [N] each.

        Args:
            values: float64 [N] with NaN where one is missing, or words, objects [N] with None there; a missing value
                is NaN in the numbers too.
        """
        if self.kind in ("numeric", "count"):
            return {self.name: values}
        missing = missing_values(values)
        return {
            name: np.where(missing, np.nan, values == category)
            for name, category in zip(self.names, self.categories[self.kind == "binary" :], strict=True)
        }


def missing_values(values: Array) -> Array:
    """Which values of a column are missing, bool [N]."""
    if values.dtype == object:
        return np.array([value is None for value in values], bool)
    return np.isnan(values)


def no_counts(numbers: Array) -> Array:
    """Those of some numbers, [N], that are below 0 or not whole."""
    others: Array = numbers[(numbers < 0) | (numbers != np.round(numbers))]
    return others


def word_of(category: Any) -> str:
    """A category as text, whole numbers without a point, and cut off where it is long."""
    text = f"{category:g}" if isinstance(category, float) else str(category)
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"


def coded(columns: Mapping[str, Array | str], codes: Sequence[Code], place: str) -> Array:
    """The rows of a table under codes of its columns, float64 [N, D]; other columns are not looked at.

    Args:
        columns: values of each column as `Code.numbers` takes them, or why it cannot be used.
        codes: those that the rows must have.
        place: how a sentence names the table.

    Raises:
        InputError: a column is missing, or holds what its code has no number for.
    """
    numbers: list[Array] = []
    for code in codes:
        values = columns.get(code.name, "there is none of that name")
        if isinstance(values, str):
            raise InputError(f"{place} lacks the column {code.name} of the run ({values}): give all of them.")
        _check(values, code, place)
        numbers += code.numbers(values).values()
    return np.stack(numbers, 1)


def _check(values: Array, code: Code, place: str) -> None:
    there = values[~missing_values(values)]
    words = values.dtype == object
    fault = ""
    if code.categories:
        strangers = [value for value in np.unique(there) if value not in code.categories]
        if strangers:
            known = ", ".join(word_of(category) for category in code.categories[:5])
            fault = f"holds {word_of(strangers[0])!r}, and the run knows {known}"
            fault += "" if len(code.categories) <= 5 else f" and {len(code.categories) - 5:,} more"
    elif words and len(there):
        fault = f"holds words such as {word_of(there[0])!r}, and is one of numbers in the run"
    elif code.kind == "count" and len(others := no_counts(there)):
        fault = f"holds {others[0]:.6g}, and is one of counts in the run"
    if fault:
        raise InputError(f"the column {code.name} of {place} {fault}: give values of the run's kind.")
