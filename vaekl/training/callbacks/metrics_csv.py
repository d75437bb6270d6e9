"""`metrics.csv`: every figure that TensorBoard gets, a row for each step and split."""

import csv
from contextlib import suppress
from pathlib import Path
from typing import IO

from vaekl.measures.elbo import Evaluation
from vaekl.store import RunFolder, metrics
from vaekl.training.callback import Callback
from vaekl.training.trainer import Trainer


class MetricsCsv(Callback):
    """A resumed run drops the rows after its checkpoint, so that no step is there twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        self._file: IO[str] | None = None

    def started(self, trainer: Trainer) -> None:
        # a run that was killed after its test is tested again
        kept = [row for row in self.folder.rows() if int(row["step"]) <= trainer.step and row["split"] != "test"]
        metrics.write(self.folder.metrics_file, kept)
        self._file = self.folder.metrics_file.open("a", newline="")

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
            writer = csv.DictWriter(self._file, metrics.FIELDS, lineterminator="\n")
            writer.writerow({"step": step, "split": split} | figures)

    def _flush(self) -> None:
        if self._file is not None:
            self._file.flush()
