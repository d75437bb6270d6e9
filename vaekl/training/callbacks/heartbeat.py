"""How far a run is, for the display of the sweep that it belongs to."""

import time
from pathlib import Path

from vaekl.store import RunFolder
from vaekl.training.callback import Callback, TrainerView
from vaekl.training.timer import Progress

_EVERY = 3.0


class Heartbeat(Callback):
    """A small file in the run's folder, written every three seconds at most, and removed when the run ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        self._last_beat = 0.0

    def logged(self, trainer: TrainerView, figures: dict[str, float]) -> None:
        self._beat(trainer, figures["elbo_nats"])

    def progressed(self, trainer: TrainerView, progress: Progress) -> None:
        self._beat(trainer, progress.elbo_nats)

    def _beat(self, trainer: TrainerView, elbo_nats: float) -> None:
        now = time.monotonic()
        if now - self._last_beat >= _EVERY:
            self._last_beat = now
            self.folder.beat(trainer.step, trainer.plan.total_steps, elbo_nats)

    def paused(self, trainer: TrainerView) -> None:
        self.folder.stop_beating()

    def failed(self, trainer: TrainerView) -> None:
        self.paused(trainer)
