"""Tables read from files, .csv and .parquet, each column as numbers or as words."""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaekl.data.files import open_file
from vaekl.data.inventory import Inventory
from vaekl.data.ondisk import Array
from vaekl.system.cores import free_memory
from vaekl.system.errors import VaeklError, first_line
from vaekl.system.libraries import pyarrow

CSV, PARQUET = (".csv", ".tsv", ".txt"), (".parquet", ".pq")
#: what stands for a missing value beside pyarrow's own words, such as NA and null
_MISSING = ["?"]
_SEPARATORS = (",", ";", "\t", "|")
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+")
_DECIMAL_POINT = re.compile(r"[-+]?\d*\.\d+")
#: 1,234 may be a thousand and more, or a little more than one
_THOUSAND_OR_ONE = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
#: bytes that a table takes while it is read: for each byte of a .csv file, and for each value of a .parquet file
_BYTES_OF_CSV, _BYTES_OF_PARQUET = 4, 40
_MOST_COLUMNS = 20_000
#: lines of a .csv file by which its first line and its decimal sign are judged
_LOOKED_AT, _MOST_WORDS = 1000, 1_000_000
_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True)
class Format:
    """How a .csv file is written, where that is not to be found out.

    Args:
        separator: between the columns; None finds it in the first line.
        header: whether the first line names the columns; None finds out, and refuses what is not plain.
        decimal: "point" or "comma"; None finds out, and refuses what is not plain.
    """

    separator: str | None = None
    header: bool | None = None
    decimal: str | None = None


def read_table(file: Path, written: Format, inventory: Inventory) -> dict[str, Array | str]:
    """The columns of a table by their names.

    Args:
        file: its ending says what it is.
        written: how, if it is a .csv file.
        inventory: where it is noted what was decided.

    Returns:
        float64 [N] with NaN for missing values, or words, objects [N] with None there; or why a column cannot be used.

    Raises:
        VaeklError: the file is unreadable, too large for the memory, or two columns have one name.
    """
    suffix = file.suffix.lower()
    if suffix not in (*CSV, *PARQUET):
        raise VaeklError(f"{file} is no .csv or .parquet file: set dataset.path to one, or use dataset=npz for arrays.")
    arrow: Any = pyarrow("pyarrow")
    try:
        return columns_of_arrow(_parquet(file) if suffix in PARQUET else _csv(file, written, inventory), file)
    except (arrow.ArrowException, csv.Error, OSError, TypeError, ValueError, LookupError) as error:
        raise VaeklError(
            f"{file} cannot be read as a table ({_plain(first_line(error))}): mend or replace it."
        ) from error


def columns_of_arrow(table: Any, place: object) -> dict[str, Array | str]:
    """The columns of a table of pyarrow, as `read_table` has them; `place` is how a sentence names it."""
    arrow: Any = pyarrow("pyarrow")
    names = [_plain(name.strip()) or f"column {number}" for number, name in enumerate(table.column_names, 1)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise VaeklError(f"{place} has two columns {twice[0]}: give each a name of its own.")
    return {name: _values(column, arrow) for name, column in zip(names, table.columns, strict=True)}


def _parquet(file: Path) -> Any:
    library: Any = pyarrow("pyarrow.parquet")
    with open_file(file) as source, library.ParquetFile(source) as opened:
        head = opened.metadata
        _check_columns(file, head.num_columns)
        _check_memory(file, _BYTES_OF_PARQUET * head.num_rows * head.num_columns)
        return opened.read(use_threads=False)


def _csv(file: Path, written: Format, inventory: Inventory) -> Any:
    library: Any = pyarrow("pyarrow.csv")
    with open_file(file) as source:
        _check_memory(file, _BYTES_OF_CSV * os.fstat(source.fileno()).st_size)
        content = source.read()
    text = _decoded(content, inventory)
    lines = _LINE_END.split(text, _LOOKED_AT)[:_LOOKED_AT]
    separator = written.separator or _separator(lines[0])
    count = 1 + lines[0].count(separator)
    _check_columns(file, count)
    lines = lines[: max(2, _MOST_WORDS // count)]
    first, *rows = [[word.strip() for word in row] for row in csv.reader(lines, delimiter=separator)] or [[]]
    headless = not (_has_header(file, first, rows) if written.header is None else written.header)
    if headless:
        inventory.remarks.append(f"{file.name} has no line of names: its columns are called column 1, column 2, ...")
    words = {word for row in ([first, *rows] if headless else rows) for word in row}
    comma = _has_decimal_commas(file, words) if written.decimal is None else written.decimal == "comma"
    if comma:
        inventory.remarks.append(f"{file.name} has decimal commas: 3,14 is 3.14")
    content = text.encode()
    table = library.read_csv(
        io.BytesIO(content),
        # types are found in the first block, so that all rows must be in it
        library.ReadOptions(use_threads=False, block_size=len(content) + 1, autogenerate_column_names=headless),
        library.ParseOptions(delimiter=separator, newlines_in_values=True),
        library.ConvertOptions(
            null_values=_missing_words(),
            strings_can_be_null=True,
            decimal_point="," if comma else ".",
        ),
    )
    if not headless:
        return table
    return table.rename_columns([f"column {number}" for number in range(1, table.num_columns + 1)])


def _separator(line: str) -> str:
    """What stands between the columns, by the first line: where all of it is numbers, a comma may be in them."""
    for separator in _SEPARATORS[1:]:
        if separator in line and all(_is_number(word.strip()) for word in line.split(separator)):
            return separator
    return max(_SEPARATORS, key=line.count)


def _has_header(file: Path, first: list[str], rows: list[list[str]]) -> bool:
    """Whether the first line of a .csv file names its columns: words do, and numbers are a row.

    Raises:
        VaeklError: it may be either.
    """
    numbers = [word for word in first if _is_number(word)]
    values = [set(column) for column in zip(*(row for row in rows if len(row) == len(first)), strict=True)]
    repeated = bool(values) and all(word in column for word, column in zip(first, values, strict=True))
    if not numbers and not repeated:
        return True
    digits = [int(word) for word in numbers if word.isdecimal()]
    numbered = len(digits) > 1 and digits == list(range(digits[0], digits[0] + len(first)))
    if len(numbers) == len(first) and not numbered:
        return False
    if numbers:
        what = f"begins with {_plain(','.join(first))[:60]!r}, which may be a row or the names of the columns"
    else:
        what = f"begins with the words {_plain(','.join(first))[:60]!r}, each of which is also a value of its column"
    raise VaeklError(f"{file} {what}: set dataset.header=false if it is a row, or true if it has the names.")


def _has_decimal_commas(file: Path, words: Collection[str]) -> bool:
    """Whether the numbers of a .csv file are written as 3,14.

    Raises:
        VaeklError: some are and some are not, or they may be thousands.
    """
    commas = sorted(word for word in words if _DECIMAL_COMMA.fullmatch(word))
    points = sorted(word for word in words if _DECIMAL_POINT.fullmatch(word))
    if commas and points:
        raise VaeklError(
            f"{file} has numbers with a comma ({commas[0]}) and with a point ({points[0]}): write all of them with a "
            "point and none with separators of thousands, or set dataset.decimal=comma or point if one is no number."
        )
    if commas and all(_THOUSAND_OR_ONE.fullmatch(word) for word in commas):
        raise VaeklError(
            f"{file} has numbers such as {commas[0]}, whose comma may be of decimals or of thousands: set "
            "dataset.decimal=comma for decimals, or write them without separators of thousands."
        )
    return bool(commas)


def _decoded(content: bytes, inventory: Inventory) -> str:
    """Text in UTF-8 or UTF-16, else in the letters of Windows."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        inventory.remarks.append("the file is not in UTF-8: its letters are read as those of Windows (cp1252)")
        return content.decode("cp1252", errors="replace")


def _check_columns(file: Path, count: int) -> None:
    if count > _MOST_COLUMNS:
        raise VaeklError(f"{file} has {count:,} columns, more than {_MOST_COLUMNS:,}: give an array, dataset=npz.")


def _check_memory(file: Path, needed: int) -> None:
    free = free_memory()
    if needed > free:
        raise VaeklError(
            f"the table {file} may take {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of memory are free: give "
            "fewer rows or columns."
        )


def _missing_words() -> list[str]:
    """What stands for a missing value: nothing, NA, null, ? and their like, in each format of a file."""
    library: Any = pyarrow("pyarrow.csv")
    return [*library.ConvertOptions().null_values, *_MISSING]


def _values(column: Any, arrow: Any) -> Array | str:
    """A column as numbers or as words, or why it is neither."""
    kind = column.type
    if arrow.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if arrow.types.is_null(kind):
        return np.full(len(column), np.nan)
    if arrow.types.is_boolean(kind):
        column, kind = column.cast(arrow.int8()), arrow.int8()
    if arrow.types.is_integer(kind) or arrow.types.is_floating(kind) or arrow.types.is_decimal(kind):
        numbers: Array = column.cast(arrow.float64(), safe=False).to_numpy()
        return numbers.astype(np.float64)
    if arrow.types.is_string(kind) or arrow.types.is_large_string(kind):
        missing = {*_missing_words()}
        words: Array = np.array([None if word in missing else word for word in column.to_pylist()], dtype=object)
        return words
    return f"its type, {kind}, is neither one of numbers nor of words"


def _is_number(word: str) -> bool:
    try:
        float(word.replace(",", ".") if _DECIMAL_COMMA.fullmatch(word) else word)
    except ValueError:
        return False
    return True


def _plain(name: str) -> str:
    """A name that may be printed: a stranger's file must not speak to the terminal."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)
