"""What may happen around a step."""

from typing import TYPE_CHECKING

from vaekl.measures.elbo import Evaluation

if TYPE_CHECKING:
    from vaekl.training.trainer import Trainer


class Callback:
    """What may happen around a step. Callbacks read the trainer and never change it; every hook does nothing here."""

    def started(self, trainer: "Trainer") -> None:
        """Before the first step, or the first after a resume; `trainer.step` says which."""

    def compiled(self, trainer: "Trainer", seconds: float) -> None:
        """After the step that was compiled first, and took so long."""

    def logged(self, trainer: "Trainer", figures: dict[str, float]) -> None:
        """Training figures, averaged since the last call."""

    def validated(self, trainer: "Trainer", evaluation: Evaluation | None, improved: bool) -> None:
        """At the validation cadence; `evaluation` is None where no images were held out."""

    def paused(self, trainer: "Trainer") -> None:
        """After the last step, whether the run is finished or was asked to stop."""

    def failed(self, trainer: "Trainer") -> None:
        """When an error ends the run in between; nothing of this state may be kept."""

    def tested(self, trainer: "Trainer", evaluation: Evaluation) -> None:
        """After the test."""
