"""`metrics.csv`: every figure that TensorBoard gets, a row for each step and split."""

import csv
from contextlib import suppress
from pathlib import Path
from typing import IO

from vaekl.measures.elbo import Evaluation
from vaekl.system.errors import VaeklError
from vaekl.system.files import replacing, unwritable
from vaekl.training.callback import Callback
from vaekl.training.trainer import Trainer

FIELDS = (
    "step", "split", "elbo_nats", "energy_nats", "log_norm_const_nats", "kl_nats", "elbo_standard_error_nats", "loss",
    "bits_per_dim", "energy", "dispersion", "implied_sigma", "rmse", "beta_kl", "effective_beta_kl", "schedule",
    "active_units", "learning_rate", "gradient_norm", "images_per_second", "restores",
)  # fmt: skip


class MetricsCsv(Callback):
    """A resumed run drops the rows after its checkpoint, so that no step is there twice."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.csv"
        self._file: IO[str] | None = None

    def rows(self) -> list[dict[str, str]]:
        """The whole rows that are in the file.

        Raises:
            VaeklError: it holds something else.
        """
        if not self.path.exists():
            return []
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                # a killed writer may leave a torn last line, whose step may be torn too: it lacks fields
                rows = [row for row in reader if None not in (*row, *row.values())]
                sound = tuple(reader.fieldnames or FIELDS) == FIELDS and all(_is_step(row["step"]) for row in rows)
        except OSError as error:
            raise VaeklError(unwritable(self.path, "log", error)) from error
        except (ValueError, csv.Error):
            sound = False
        if not sound:
            raise VaeklError(f"{self.path} is damaged: restore it, or take it away and go on without what it holds.")
        return rows

    def started(self, trainer: Trainer) -> None:
        # a run that was killed after its test is tested again
        kept = [row for row in self.rows() if int(row["step"]) <= trainer.step and row["split"] != "test"]
        with replacing(self.path, "log") as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)
        self._file = self.path.open("a", newline="")

    def logged(self, trainer: Trainer, figures: dict[str, float]) -> None:
        self._write(trainer.step, "train", figures)

    def validated(self, trainer: Trainer, evaluation: Evaluation | None, improved: bool) -> None:
        if evaluation is not None:
            self._write(trainer.step, "valid", evaluation.figures())
        self._flush()

    def paused(self, trainer: Trainer) -> None:
        self._flush()

    def failed(self, trainer: Trainer) -> None:
        if self._file is not None:
            with suppress(OSError):  # the error that ended the run is the one to report
                self._file.close()

    def tested(self, trainer: Trainer, evaluation: Evaluation) -> None:
        self._write(trainer.step, "test", evaluation.figures())
        if self._file is not None:
            self._flush()
            self._file.close()

    def _write(self, step: int, split: str, figures: dict[str, float]) -> None:
        if self._file is not None:
            csv.DictWriter(self._file, FIELDS, lineterminator="\n").writerow({"step": step, "split": split} | figures)

    def _flush(self) -> None:
        if self._file is not None:
            self._file.flush()


def _is_step(text: str) -> bool:
    return text.isdecimal() and len(text) < 19
