"""`metrics.csv`: every figure that TensorBoard gets, a row for each step and split."""

import csv
from collections.abc import Iterable
from pathlib import Path

from vaekl.system.errors import VaeklError
from vaekl.system.files import replacing, unwritable

FIELDS = (
    "step", "split", "elbo_nats", "energy_nats", "log_norm_const_nats", "kl_nats", "elbo_standard_error_nats", "loss",
    "bits_per_dim", "energy", "dispersion", "implied_sigma", "rmse", "beta_kl", "effective_beta_kl", "schedule",
    "active_units", "learning_rate", "gradient_norm", "images_per_second", "restores",
)  # fmt: skip


def read(file: Path) -> list[dict[str, str]]:
    """The whole rows of a log; none where there is no file.

    Raises:
        VaeklError: it holds something else.
    """
    if not file.exists():
        return []
    try:
        with file.open(newline="", encoding="utf-8") as source:
            reader = csv.DictReader(source)
            # a killed writer may leave a torn last line, whose step may be torn too: it lacks fields
            rows = [row for row in reader if None not in (*row, *row.values())]
            sound = tuple(reader.fieldnames or FIELDS) == FIELDS and all(_is_step(row["step"]) for row in rows)
    except OSError as error:
        raise VaeklError(unwritable(file, "log", error)) from error
    except (ValueError, csv.Error):
        sound = False
    if not sound:
        raise VaeklError(f"{file} is damaged: restore it, or take it away and go on without what it holds.")
    return rows


def write(file: Path, rows: Iterable[dict[str, str]]) -> None:
    """A log with these rows and nothing else.

    Raises:
        VaeklError: it cannot be written.
    """
    with replacing(file, "log") as partial, partial.open("w", newline="") as target:
        writer = csv.DictWriter(target, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _is_step(text: str) -> bool:
    return text.isdecimal() and len(text) < 19
