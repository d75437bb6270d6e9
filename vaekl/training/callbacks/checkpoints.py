"""`last.pt` at every validation, by the clock, and when the run is stopped; `best.pt` for a run with early stopping.

`previous.pt` is what `last.pt` was, for a run whose `last.pt` gets damaged; a finished run has none.
"""

from pathlib import Path

from vaekl.measures.elbo import Evaluation
from vaekl.store import RunFolder, checkpoint
from vaekl.training.callback import Callback, TrainerView


class Checkpoints(Callback):
    """Must come last, so that what the others wrote for a step is on the disk before its checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        self._saved_step = -1

    def validated(self, trainer: TrainerView, evaluation: Evaluation | None, improved: bool) -> None:
        if improved and trainer.plan.patience is not None:
            checkpoint.save(self.folder.best, trainer.state_dict())
        self._save(trainer)

    def saving(self, trainer: TrainerView) -> None:
        self._save(trainer)

    def paused(self, trainer: TrainerView) -> None:
        if trainer.step > 0:
            self._save(trainer)

    def _save(self, trainer: TrainerView) -> None:
        if trainer.step != self._saved_step:
            self.folder.sync_logs()
            checkpoint.save(self.folder.last, trainer.state_dict(), self.folder.previous)
            self._saved_step = trainer.step
