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
        """After the first step that was compiled, with the seconds that it took."""

    def logged(self, trainer: "Trainer", figures: dict[str, float]) -> None:
        """Every `plan.log_every` steps: training figures, averaged since the last call."""

    def validated(self, trainer: "Trainer", evaluation: Evaluation | None, improved: bool) -> None:
        """Every `plan.valid_every` steps and at the end; `evaluation` is None where no images are held out.

        `improved` says whether its ELBO is the best so far.
        """

    def paused(self, trainer: "Trainer") -> None:
        """After the last step of this process: the run is finished, or it was interrupted and can be resumed."""

    def failed(self, trainer: "Trainer") -> None:
        """When an error ends the run: close files, and save nothing, since the state may be half a step's."""

    def tested(self, trainer: "Trainer", evaluation: Evaluation) -> None:
        """After the test, which a run has once at its end."""
