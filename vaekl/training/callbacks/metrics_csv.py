"""`metrics.csv`: every figure that TensorBoard gets, a row for each step and split."""

from contextlib import suppress
from pathlib import Path

from vaekl.measures.elbo import Evaluation
from vaekl.store import RunFolder
from vaekl.store.metrics import Writer
from vaekl.training.callback import Callback, TrainerView


class MetricsCsv(Callback):
    """A resumed run drops the rows after its checkpoint, so that no step is there twice.

    One that has got more steps drops those of its former end too, unless they fall on a step at which it logs anyway.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        self._log: Writer | None = None

    def started(self, trainer: TrainerView) -> None:
        # a run that was killed after its test is tested again
        every = {"train": trainer.plan.log_every, "valid": trainer.plan.valid_every}
        total = trainer.plan.total_steps
        self._log = self.folder.log(
            keep=lambda row: (
                row.step <= trainer.step
                and row.split != "test"
                and (row.step % every[row.split] == 0 or row.step == total)
            )
        )

    def logged(self, trainer: TrainerView, figures: dict[str, float]) -> None:
        self._append(trainer.step, "train", figures)
        self._flush()

    def validated(self, trainer: TrainerView, evaluation: Evaluation | None, improved: bool) -> None:
        if evaluation is not None:
            self._append(trainer.step, "valid", evaluation.figures() | {"schedule": evaluation.schedule})
        self._flush()

    def paused(self, trainer: TrainerView) -> None:
        self._flush()

    def failed(self, trainer: TrainerView) -> None:
        if self._log is not None:
            with suppress(OSError):  # the error that ended the run is the one to report
                self._log.close()

    def tested(self, trainer: TrainerView, evaluation: Evaluation) -> None:
        self._append(trainer.step, "test", evaluation.figures())
        if self._log is not None:
            self._log.close()

    def _append(self, step: int, split: str, figures: dict[str, float]) -> None:
        if self._log is not None:
            self._log.append(step, split, figures)

    def _flush(self) -> None:
        if self._log is not None:
            self._log.flush()
