"""`metrics.csv`: every figure that TensorBoard gets, a row for each step and split. One reader and one writer."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import IO

from vaekl.store.read import opened_text, unreadable
from vaekl.system.files import replacing

#: the number of these columns and their units, which facts.json holds
SCHEMA = 1
FIELDS = (
    "step", "split", "elbo_nats", "energy_nats", "log_norm_const_nats", "kl_nats", "elbo_standard_error_nats", "loss",
    "bits_per_dim", "energy", "dispersion", "implied_sigma", "rmse", "beta_kl", "effective_beta_kl", "schedule",
    "active_units", "learning_rate", "gradient_norm", "images_per_second", "restores", "information_weight",
    "target_kl_nats",
)  # fmt: skip
#: bytes: 1.7 million rows
_MOST = 1 << 29
_LONGEST_LINE = 1 << 12
_NUMBER = r"(?:-?(?:\d+(?:\.\d+)?(?:e[-+]?\d{1,3})?|inf|nan))?"
_ROW = re.compile(rf"(\d{{1,16}}),(train|valid|test)((?:,{_NUMBER}){{{len(FIELDS) - 2}}})", re.ASCII)
_CURE = "restore it, or take it away and go on without what it holds"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file.

    Args:
        step: after which it was logged.
        split: train, valid or test.
        line: the text itself, without its end.
    """

    step: int
    split: str
    line: str

    def figures(self) -> dict[str, float]:
        """The finite numbers of the row, by the names of their columns, without the step."""
        cells = self.line.split(",")[2:]
        numbers = {name: float(cell) for name, cell in zip(FIELDS[2:], cells, strict=True) if cell}
        return {name: number for name, number in numbers.items() if isfinite(number)}


def read(file: Path) -> Iterator[Row]:
    """The rows of a log, one after the other; none where there is no file.

    A writer that is killed may leave a last line that is cut off: it is left out.

    Raises:
        UnreadableError: while the rows are read, for one that vaekl did not write.
    """
    with suppress(FileNotFoundError), opened_text(file, _MOST, _CURE) as source:
        head = source.readline(_LONGEST_LINE)
        if head.rstrip("\r\n") != ",".join(FIELDS) and head:
            raise unreadable(file, "its first line does not name the columns that vaekl writes", _CURE)
        number = 1
        while line := source.readline(_LONGEST_LINE):
            number += 1
            text = line.rstrip("\r\n")
            if match := _ROW.fullmatch(text):
                yield Row(int(match[1]), match[2], text)
            elif line.endswith("\n") or source.readline(1):
                raise unreadable(file, f"line {number} is no row of figures", _CURE)


class Writer:
    """Puts rows at the end of a log.

    Args:
        file: the log.
        kept: the rows that it begins with; whatever else is in the file goes.

    Raises:
        VaeklError: the file cannot be written.
    """

    def __init__(self, file: Path, kept: Iterable[Row]) -> None:
        with replacing(file, "log") as partial, partial.open("w", encoding="ascii", newline="") as target:
            target.write(",".join(FIELDS) + "\n")
            for row in kept:
                target.write(row.line + "\n")
        self._file: IO[str] = file.open("a", encoding="ascii", newline="")

    def append(self, step: int, split: str, figures: Mapping[str, float]) -> None:
        """Add a row; it may not be on the disk before `flush`."""
        csv.DictWriter(self._file, FIELDS, lineterminator="\n").writerow({"step": step, "split": split} | dict(figures))

    def flush(self) -> None:
        """Hand every row to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Add no more rows."""
        self._file.close()
