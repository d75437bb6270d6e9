"""How far a run is, for the display of the sweep that it belongs to."""

import json
import time
from contextlib import suppress
from pathlib import Path

from vaekl.store.run_folder import PULSE
from vaekl.training.callback import Callback
from vaekl.training.trainer import Trainer

_EVERY = 1.0


class Pulse(Callback):
    """A small file in the run's folder, once a second at most, gone when the run is."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / PULSE
        self._said = 0.0

    def logged(self, trainer: Trainer, figures: dict[str, float]) -> None:
        if time.monotonic() - self._said < _EVERY:
            return
        self._said = time.monotonic()
        partial = self.file.with_suffix(".partial")
        with suppress(OSError):  # what matters on a full disk is the checkpoint
            text = {"step": trainer.step, "steps": trainer.plan.total_steps, "elbo_nats": figures["elbo_nats"]}
            partial.unlink(missing_ok=True)  # a stranger's folder may hold a link of that name
            partial.write_text(json.dumps(text), encoding="ascii")
            partial.replace(self.file)

    def paused(self, trainer: Trainer) -> None:
        with suppress(OSError):
            self.file.unlink(missing_ok=True)

    def failed(self, trainer: Trainer) -> None:
        self.paused(trainer)
