"""The user's own table: a .csv or .parquet file, or a folder with one for each split. An example is a row."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vaekl.data.inventory import Inventory, some_of
from vaekl.data.ondisk import Array
from vaekl.data.sources.build import Part, build_source, cut_test
from vaekl.data.sources.columns import KINDS, Column, columns_of, list_columns
from vaekl.data.sources.paths import existing_path
from vaekl.data.sources.split_names import folder_split
from vaekl.data.sources.table_files import CSV, PARQUET, Format, read_table
from vaekl.data.spec import Source
from vaekl.system.checks import flag, one_of, optional, text
from vaekl.system.errors import VaeklError

Names = str | Sequence[str] | None


def table(
    path: str | None = None,
    name: str = "table",
    test_path: str | None = None,
    split: str | None = None,
    label: str | None = None,
    numeric: Names = None,
    count: Names = None,
    binary: Names = None,
    categorical: Names = None,
    ignore: Names = None,
    missing: str = "refuse",
    separator: str | None = None,
    header: bool | None = None,
    decimal: str | None = None,
    test_fraction: float | None = 0.1,
    test_seed: int = 0,
    kind: str = "real",
    offset: str | None = None,
) -> Source:
    """The rows of a table as vectors of real numbers; a column of categories becomes a 0 or 1 for each of them.

    Args:
        path: a .csv or .parquet file, or a folder with train.csv, test.csv and perhaps valid.csv.
        name: what the data set is called in reports.
        test_path: a file of rows to test on.
        split: the column that says of each row whether it is to train, to validate or to test.
        label: the column of classes, which is no part of the rows.
        numeric: columns of numbers; this and the next ones overrule the guess of a column's kind.
        count: columns of 0, 1, 2, ..., which likelihood=columns models as counts, and others as numbers unless all are.
        binary: columns of two values, which become 0 and 1.
        categorical: columns of several values.
        ignore: columns that are left out.
        missing: "refuse"; "drop" to leave out the rows in which a value is missing; or "mask" to leave out these values
            alone, which likelihood=columns can.
        separator: between the columns of a .csv file, where its first line does not tell.
        header: whether the first line of a .csv file names its columns, where that is not plain.
        decimal: "point" or "comma", the decimal sign of a .csv file, where that is not plain.
        test_fraction: how much to cut off as a test split where nothing else says which rows that is.
        test_seed: which rows that cuts.
        kind: "real", or "counts" where all values are, for a likelihood of counts.
        offset: "total" where the rates of a row of counts are in proportion to its sum.

    Returns:
        The source: binary if every column is, else real, or counts as the user says.

    Raises:
        VaeklError: a file is missing or unreadable, a column is not there or not of its kind, or values are missing.
    """
    place = existing_path(path, "table", "path=FILE.csv")
    one_of(missing, "dataset.missing", ("refuse", "drop", "mask"))
    one_of(kind, "dataset.kind", ("real", "counts"))
    for value, key in ((split, "split"), (label, "label"), (separator, "separator"), (test_path, "test_path")):
        optional(text, value, f"dataset.{key}")
    written = Format(
        separator,
        optional(flag, header, "dataset.header"),
        optional(one_of, decimal, "dataset.decimal", ("point", "comma")),
    )
    named = _named(dict(zip((*KINDS, "left out"), (numeric, count, binary, categorical, ignore), strict=True)))
    inventory = Inventory(str(place.absolute()))
    files = _files(place, test_path, inventory)
    tables = {part: read_table(file, written, inventory) for part, file in files.items()}
    rows = np.repeat(list(tables), [_rows(columns) for columns in tables.values()])
    columns = _joined(tables, files)
    for column, key in ((split, "split"), (label, "label")):
        if column is not None and isinstance(columns.get(column, "no column of that name"), str):
            raise VaeklError(f"dataset.{key}={column} is no column of {place}: it has {some_of(columns)}.")
    if split is not None:
        rows = _splits(columns.pop(split), split, place)
    labels = None if label is None else columns.pop(label)
    kinds = columns_of(columns, named, place)
    list_columns(kinds, {split: "the split", label: "the label"}, inventory)
    kept = _kept(kinds, missing, place, inventory)
    inventory.origins = {part: files[part].name if place.is_dir() else "" for part in files}
    if split is not None:
        inventory.origins = {str(part): f"{split}={part}" for part in np.unique(rows)}
    elif test_path is not None:
        inventory.origins["test"] = str(files["test"])
    return source_of(
        name, kinds, rows, labels, kept, inventory, test_fraction, test_seed, kind, offset, len(files) == 1
    )


def source_of(
    name: str,
    columns: Sequence[Column],
    rows: Array,
    labels: Array | str | None,
    kept: Array,
    inventory: Inventory,
    test_fraction: float | None,
    test_seed: int,
    kind: str = "real",
    offset: str | None = None,
    is_one_file: bool = True,
) -> Source:
    """Columns -> a source of vectors.

    Args:
        name: of the data set.
        columns: with their kinds, over the rows of all splits.
        rows: the split of each row, words [N].
        labels: [N], or None.
        kept: which rows are used, bool [N].
        inventory: what is known of where they are from.
        test_fraction: how much of train to cut off where there are no rows to test on.
        test_seed: which rows that cuts.
        kind: real or counts.
        offset: total, or None.
        is_one_file: whether the rows of all splits are from one table, in which their numbers count from 0.
    """
    values: dict[str, Array] = {}
    codes = []
    for column in columns:
        if column.kind in KINDS:
            codes.append(column.code)
            numbers = codes[-1].numbers(column.values)
            if twice := values.keys() & numbers:
                raise VaeklError(
                    f"{inventory.place or name} has two columns whose values would be called {min(twice)}: rename one."
                )
            values |= numbers
    if not values:
        reasons = some_of(f"{column.name} ({column.reason})" for column in columns)
        raise VaeklError(f"no column of {inventory.place} can be used: {reasons}.")
    matrix = np.stack(list(values.values()), 1)
    parts = {}
    for part in ("train", "valid", "test"):
        index = np.flatnonzero(kept & (rows == part))
        if len(index) or part == "train":
            own = None if labels is None or isinstance(labels, str) else _plain_labels(labels[index])
            parts[part] = Part(
                matrix[index], own, f"{part} of {inventory.place or name}", index if is_one_file else None
            )
    if not len(parts["train"].images):
        raise VaeklError(f"{inventory.place or name} has no rows to train on: give some.")
    if "test" not in parts:
        parts |= cut_test(parts["train"], test_fraction, test_seed, inventory)
    # a table of nothing but binary columns is binary
    levels = 2 if kind == "real" and ((matrix == 0) | (matrix == 1)).all() else None
    has_missing = bool(np.isnan(matrix[kept]).any())
    source = build_source(name, parts, levels, inventory, "levels" if levels else kind, has_missing, offset)
    return replace(source, spec=source.spec.with_(codes=tuple(codes)))


def _named(kinds: Mapping[str, Names]) -> dict[str, str]:
    """The kind of each column that the user has named."""
    named: dict[str, str] = {}
    for kind, names in kinds.items():
        key = "dataset.ignore" if kind == "left out" else f"dataset.{kind}"
        for column in [names] if isinstance(names, str) else names or []:
            column = str(column)
            if column in named:
                raise VaeklError(f"{key} names the column {column}, which is {named[column]} already: name it once.")
            named[column] = kind
    return named


def _files(place: Path, test_path: str | None, inventory: Inventory) -> dict[str, Path]:
    """The file of each split."""
    if place.is_file():
        files = {"train": place}
    else:
        tables = [file for file in sorted(place.iterdir()) if file.suffix.lower() in (*CSV, *PARQUET)]
        files = {folder_split(file.stem): file for file in tables}
        others = [file.name for file in tables if file not in files.values() or not folder_split(file.stem)]
        files.pop("", None)
        if "train" not in files:
            raise VaeklError(f"{place} has no train.csv or train.parquet: call the table of training rows that.")
        if others:
            inventory.left_out.append(f"{len(others):,} tables whose names are of no other split: {some_of(others)}")
    if test_path is not None:
        test = existing_path(test_path, "table", "test_path=FILE.csv")
        if "test" in files or not test.is_file():
            what = "a folder" if not test.is_file() else "not needed, since there is a table of test rows"
            raise VaeklError(f"dataset.test_path={test_path} is {what}: set it to one file, or leave it away.")
        files["test"] = test
    return files


def _rows(columns: Mapping[str, Array | str]) -> int:
    return max((len(column) for column in columns.values() if not isinstance(column, str)), default=0)


def _joined(tables: Mapping[str, Mapping[str, Array | str]], files: Mapping[str, Path]) -> dict[str, Array | str]:
    """The columns over the rows of all splits."""
    first = tables["train"]
    for part, columns in tables.items():
        if strange := sorted(set(columns) ^ set(first)):
            has, lacks = (part, "train") if strange[0] in columns else ("train", part)
            raise VaeklError(
                f"{files[has]} has a column {strange[0]} and {files[lacks]} has none: give both the same columns."
            )
    joined: dict[str, Array | str] = {}
    for name in first:
        own = [columns[name] for columns in tables.values()]
        reasons = [values for values in own if isinstance(values, str)]
        arrays = [values for values in own if not isinstance(values, str)]
        # a column without any value is one of numbers to the reader
        typed = {array.dtype for array in arrays if array.dtype == object or not np.isnan(array).all()}
        if len(typed) > 1 and not reasons:
            reasons = ["words in one split and numbers in another"]
        words = typed == {np.dtype(object)}
        joined[name] = reasons[0] if reasons else np.concatenate([_as_words(a) if words else a for a in arrays])
    return joined


def _as_words(array: Array) -> Array:
    return array if array.dtype == object else np.full(len(array), None, object)


def _splits(values: Array | str, split: str, place: Path) -> Array:
    """The split of each row by the words of a column."""
    words = {word: folder_split(str(word)) for word in np.unique(np.array([str(value) for value in values]))}
    if strangers := [word for word, part in words.items() if not part]:
        raise VaeklError(f"the column {split} of {place} says {strangers[0]!r}: it must say train, valid or test.")
    return np.array([words[str(value)] for value in values])


def _kept(columns: Sequence[Column], missing: str, place: Path, inventory: Inventory) -> Array:
    """Which rows have all their values."""
    used = [column for column in columns if column.kind in KINDS]
    if not used:
        return np.ones(0, bool)
    lacking = {column.name: column.missing for column in used if column.missing.any()}
    dropped = np.any(list(lacking.values()), 0) if lacking else np.zeros(len(used[0].values), bool)
    if lacking and missing == "refuse":
        counts = some_of(f"{name} ({int(rows.sum()):,})" for name, rows in lacking.items())
        raise VaeklError(
            f"{place} has missing values in {counts}: set dataset.missing=drop to leave out {int(dropped.sum()):,} of "
            f"{len(dropped):,} rows, dataset.missing=mask with likelihood=columns to leave out these values alone, or "
            "dataset.ignore=[NAME,...] to leave out columns."
        )
    if lacking and missing == "mask":
        values = sum(int(rows.sum()) for rows in lacking.values())
        inventory.remarks.append(
            f"{values:,} missing values in {int(dropped.sum()):,} of {len(dropped):,} rows are masked"
        )
        return np.ones(len(dropped), bool)
    if dropped.any():
        inventory.left_out.append(f"{int(dropped.sum()):,} rows in which a value is missing: dataset.missing=drop")
    return ~dropped


def _plain_labels(labels: Array) -> Array:
    """Words as NumPy's own, where none is missing."""
    return labels.astype(str) if labels.dtype == object and None not in labels.tolist() else labels
