"""Rows as the user's own table has them: the names of its columns, words for categories, whole numbers for counts."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekl.data import Split
from vaekl.data.ondisk import Array
from vaekl.data.spec import DataSpec
from vaekl.system.errors import VaeklError
from vaekl.system.files import replacing

#: how a decoder's numbers become cells
PROTOCOL = "the nearest whole number of a count, the largest of several categories, empty where two are equally large"


def check_table(spec: DataSpec) -> None:
    """Refuse data that have no columns.

    Raises:
        VaeklError: names the formats that they have.
    """
    if not spec.columns:
        raise VaeklError(
            f"sample.format=csv is for tables, whose columns have names, and {spec.name} holds {spec.example}s: use "
            "--format npz or png."
        )


def filled_in(split: Split, places: Array, guesses: Tensor) -> Tensor:
    """The split's rows at these places, as they are stored, with a guess where a value is missing; [N, D] each."""
    stored = split.stored(torch.from_numpy(places).to(guesses.device)).float().cpu()
    return torch.where(stored.isnan(), guesses, stored)


def save_csv(path: Path, spec: DataSpec, rows: Tensor, heads: Mapping[str, Sequence[Any]]) -> None:
    """Write a table with a line of names.

    Args:
        path: of the file.
        spec: of the data.
        rows: [N, D], on the scale of the user's values.
        heads: columns that stand before theirs, by name.
    """
    columns = columns_of(spec, rows.numpy())
    with replacing(path, "rows") as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*heads, *columns])
        writer.writerows(zip(*heads.values(), *columns.values(), strict=True))


def columns_of(spec: DataSpec, rows: Array) -> dict[str, list[str]]:
    """The cells of each column by its name: the nearest whole number of a count, the largest of several categories.

    Where two of them are equally large, as in a draw of each category by itself, the cell is empty.
    """
    columns, start = {}, 0
    for (kind, width), (name, words) in zip(spec.kinds, spec.categories, strict=True):
        values = rows[:, start : start + width]
        start += width
        if kind == "categorical":
            is_largest = values == values.max(1, keepdims=True)
            columns[name] = [words[row.argmax()] if row.sum() == 1 else "" for row in is_largest]
        elif kind == "binary":
            columns[name] = [words[int(is_second)] for is_second in values[:, 0] >= 0.5]
        elif kind == "count":
            columns[name] = [str(int(number)) for number in values[:, 0].round().clip(min=0)]
        else:
            columns[name] = [str(number).removesuffix(".0") for number in values[:, 0].astype(np.float32)]
    return columns
