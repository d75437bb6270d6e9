"""Tables read from files, .csv and .parquet, each column as numbers or as words."""

import io
import os
import re
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
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
#: bytes that a table takes while it is read: for each byte of a .csv file, and for each value of a .parquet file
_BYTES_OF_CSV, _BYTES_OF_PARQUET = 4, 40
_MOST_COLUMNS = 20_000
#: lines of a .csv file in which numbers with a comma are looked for
_LOOKED_AT = 1000


def read_table(file: Path, separator: str | None, inventory: Inventory) -> dict[str, Array | str]:
    """The columns of a table by their names.

    Args:
        file: its ending says what it is.
        separator: between the columns of a .csv file; None finds it in the first line.
        inventory: where it is written what was decided.

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
        table = _parquet(file) if suffix in PARQUET else _csv(file, separator, inventory)
        names = [_plain(name.strip()) or f"column {number}" for number, name in enumerate(table.column_names, 1)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise VaeklError(f"{file} has two columns {twice[0]}: give each a name of its own.")
        return {name: _values(column, arrow) for name, column in zip(names, table.columns, strict=True)}
    except (arrow.ArrowException, OSError, ValueError, LookupError) as error:
        raise VaeklError(
            f"{file} cannot be read as a table ({_plain(first_line(error))}): mend or replace it."
        ) from error


def _parquet(file: Path) -> Any:
    library: Any = pyarrow("pyarrow.parquet")
    with open_file(file) as source, library.ParquetFile(source) as opened:
        head = opened.metadata
        _check_columns(file, head.num_columns)
        _check_memory(file, _BYTES_OF_PARQUET * head.num_rows * head.num_columns)
        return opened.read(use_threads=False)


def _csv(file: Path, separator: str | None, inventory: Inventory) -> Any:
    library: Any = pyarrow("pyarrow.csv")
    with open_file(file) as source:
        _check_memory(file, _BYTES_OF_CSV * os.fstat(source.fileno()).st_size)
        content = source.read()
    text = _decoded(content, inventory)
    lines = text.split("\n", _LOOKED_AT)[:_LOOKED_AT]
    separator = separator or max(_SEPARATORS, key=lines[0].count)
    names = [name.strip().strip('"') for name in lines[0].split(separator)]
    _check_columns(file, len(names))
    headless = all(_is_number(name) for name in names)
    if headless:
        inventory.remarks.append(f"{file.name} begins with numbers: its columns are called column 1, column 2, ...")
    words = (word.strip() for line in lines[1:] for word in line.split(separator))
    comma = separator != "," and any(_DECIMAL_COMMA.fullmatch(word) for word in words)
    content = text.encode()
    table = library.read_csv(
        io.BytesIO(content),
        # types are found in the first block, so that all rows must be in it
        library.ReadOptions(use_threads=False, block_size=len(content) + 1, autogenerate_column_names=headless),
        library.ParseOptions(delimiter=separator, newlines_in_values=True),
        library.ConvertOptions(
            null_values=[*library.ConvertOptions().null_values, *_MISSING],
            strings_can_be_null=True,
            decimal_point="," if comma else ".",
        ),
    )
    if not headless:
        return table
    return table.rename_columns([f"column {number}" for number in range(1, table.num_columns + 1)])


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
        words: Array = np.array(column.to_pylist(), dtype=object)
        return words
    return f"its type, {kind}, is neither one of numbers nor of words"


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _plain(name: str) -> str:
    """A name that may be printed: a stranger's file must not speak to the terminal."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)
