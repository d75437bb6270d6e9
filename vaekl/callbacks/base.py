"""What may happen around a step. Callbacks read the trainer and never change it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaekl.evaluate import Evaluation
    from vaekl.trainer import Trainer


class Callback:
    """Base class: every hook does nothing."""

    def started(self, trainer: Trainer) -> None:
        """Before the first step, or the first after a resume; `trainer.step` says which."""

    def logged(self, trainer: Trainer, figures: dict[str, float]) -> None:
        """Training figures, averaged since the last call."""

    def validated(self, trainer: Trainer, evaluation: Evaluation | None, improved: bool) -> None:
        """At the validation cadence; `evaluation` is None where no images were held out."""

    def paused(self, trainer: Trainer) -> None:
        """After the last step, whether the run is finished or was asked to stop."""

    def failed(self, trainer: Trainer) -> None:
        """When an error ends the run in between; nothing of this state may be kept."""

    def finished(self, trainer: Trainer, evaluation: Evaluation) -> None:
        """After the test."""
