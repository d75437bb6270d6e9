"""The columns of a table: what kind each is of, and the numbers that it becomes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from vaekl.data.coding import Code, Kind, missing_values, no_counts, word_of
from vaekl.data.inventory import Inventory, some_of
from vaekl.data.ondisk import Array
from vaekl.system.errors import VaeklError

#: the most different words of a column of categories
_MOST_CATEGORIES = 100
#: the most columns that the head of a run lists
_MOST_LISTED = 60
#: a number with separators of thousands, or with a decimal comma
_WRITTEN_NUMBER = re.compile(r"[-+]?(\d{1,3}([.,'’\s]\d{3})+([.,]\d+)?|\d+,\d+)")
KINDS = ("numeric", "count", "binary", "categorical")


@dataclass(frozen=True)
class Column:
    """One column of a table, over the rows of all its splits.

    Args:
        name: in the table's head.
        values: float64 [N] with NaN where one is missing, or words, objects [N] with None there.
        kind: numeric, count, binary or categorical; "left out" where it is no part of the rows.
        reason: why it is left out.
    """

    name: str
    values: Array
    kind: str
    reason: str = ""

    @property
    def missing(self) -> Array:
        """Which values are missing, bool [N]."""
        return missing_values(self.values)

    @property
    def categories(self) -> list[Any]:
        """The different values, in their order."""
        return list(np.unique(self.values[~self.missing]))

    @property
    def code(self) -> Code:
        """What it is in a row; of a column that is a part of the rows."""
        has_categories = self.kind in ("binary", "categorical")
        plain = [category.item() if isinstance(category, np.generic) else category for category in self.categories]
        return Code(self.name, cast(Kind, self.kind), tuple(plain) if has_categories else ())

    def words(self) -> str:
        """The column in a line of the head: its kind, and which values it has."""
        return "  ".join([f"{self.kind:<11}", self._values(), *self._missing()]).rstrip()

    def _values(self) -> str:
        if self.kind == "left out":
            return self.reason
        if self.kind in ("numeric", "count"):
            there = self.values[~self.missing]
            return f"{there.min():.6g} to {there.max():.6g}"
        categories = [word_of(category) for category in self.categories]
        if self.kind == "binary":
            return ", ".join(f"{category} is {number}" for number, category in enumerate(categories))
        return f"a 0 or 1 for each of {len(categories)}: {some_of(categories, 5)}"

    def _missing(self) -> list[str]:
        count = int(self.missing.sum())
        return [f"({count:,} missing)"] if count else []


def columns_of(table: Mapping[str, Array | str], named: Mapping[str, str], place: object) -> list[Column]:
    """The columns with their kinds, guessed where they are not named.

    Args:
        table: values of each column as in `Column`, or why it cannot be used.
        named: the kind of each column whose kind the user has named, or "left out".
        place: how a sentence names the table.

    Raises:
        VaeklError: there is no such column, or it is not of that kind.
    """
    if strangers := [name for name in named if name not in table]:
        raise VaeklError(f"{place} has no column {strangers[0]}: it has {some_of(table)}.")
    columns = []
    for name, values in table.items():
        kind = named.get(name)
        if kind == "left out" or isinstance(values, str):
            reason = "dataset.ignore names it" if kind == "left out" else str(values)
            if kind in KINDS:
                raise VaeklError(f"the column {name} of {place} cannot be {kind}: {reason}.")
            columns.append(Column(name, np.empty(0), "left out", reason))
        elif kind is None:
            _check_numbers(name, values, place)
            columns.append(Column(name, values, *_guessed(values)))
        else:
            columns.append(_checked(Column(name, values, kind), place))
    return columns


def _check_numbers(name: str, values: Array, place: object) -> None:
    """Refuse words that are numbers with separators of thousands, or with another decimal sign than the file has.

    Raises:
        VaeklError: more than half of a column's words are.
    """
    if values.dtype != object:
        return
    there = [str(value).strip() for value in values if value is not None]
    numbers = [word for word in there if _WRITTEN_NUMBER.fullmatch(word)]
    if 2 * len(numbers) > len(there):
        raise VaeklError(
            f"the column {name} of {place} holds words that look like numbers, such as {numbers[0]!r}: write them as "
            f"1234.5, without separators of thousands, or set dataset.ignore or dataset.categorical to [{name}]."
        )


def list_columns(columns: Sequence[Column], others: Mapping[str | None, str], inventory: Inventory) -> None:
    """Write what each column was taken for, as the lines of a table.

    Args:
        columns: with their kinds.
        others: columns that are no part of the rows, and what they are; None names none.
        inventory: where it is written.
    """
    lines = [(column.name, column.words()) for column in columns]
    lines += [(name, what) for name, what in others.items() if name is not None]
    width = min(32, max(len(name) for name, _ in lines))
    inventory.columns += [f"{name:<{width}}  {words}" for name, words in lines[:_MOST_LISTED]]
    if len(lines) > _MOST_LISTED:
        kinds = [column.kind for column in columns]
        counts = ", ".join(f"{kinds.count(kind):,} {kind}" for kind in (*KINDS, "left out") if kind in kinds)
        inventory.columns.append(f"... and {len(lines) - _MOST_LISTED:,} more; in all {counts}")


def _guessed(values: Array) -> tuple[str, str]:
    """The kind of a column, and why it is left out if it is."""
    column = Column("", values, "")
    there = values[~column.missing]
    different = np.unique(there)
    if len(different) < 2:
        return "left out", "it never varies" if len(different) else "it has no values"
    if values.dtype == object:
        if len(different) == 2:
            return "binary", ""
        if len(different) <= min(_MOST_CATEGORIES, len(values) // 2):
            return "categorical", ""
        return "left out", f"text, {len(different):,} different values such as {word_of(different[0])!r}"
    if set(different) <= {0.0, 1.0}:
        return "binary", ""
    if len(no_counts(different)):
        return "numeric", ""
    consecutive = len(different) == len(values) == different[-1] - different[0] + 1
    return ("left out", "the numbers of the rows") if consecutive and len(values) > 2 else ("count", "")


def _checked(column: Column, place: object) -> Column:
    """The column, if it can be of the kind that the user has named."""
    there = column.values[~column.missing]
    fault = ""
    if not len(there):
        fault = "it has no values"
    elif column.values.dtype == object and column.kind in ("numeric", "count"):
        fault = f"it holds words such as {word_of(there[0])!r}"
    elif column.kind == "count" and len(others := no_counts(there)):
        fault = f"it holds {others[0]:.6g}"
    elif column.kind == "binary" and len(column.categories) != 2:
        fault = f"it has {len(column.categories):,} different values"
    elif column.kind == "categorical" and len(column.categories) < 2:
        fault = "it never varies"
    if fault:
        raise VaeklError(f"the column {column.name} of {place} cannot be {column.kind}: {fault}.")
    return column
