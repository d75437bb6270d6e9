"""What may happen around a step, and what a callback sees of the trainer: it reads, and never changes anything."""

from typing import Any, Protocol

import torch

from vaekl.data import Data
from vaekl.measures.elbo import Evaluation
from vaekl.model.vae import VAE
from vaekl.training.plan import Plan
from vaekl.training.timer import Progress


class TrainerView(Protocol):
    """The trainer as a callback may read it."""

    @property
    def step(self) -> int:
        """How many steps were taken."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""

    @property
    def plan(self) -> Plan:
        """How long the run is, and how often something happens."""

    @property
    def data(self) -> Data:
        """Every split, on the trainer's device."""

    @property
    def judged(self) -> VAE:
        """The weights that are validated and tested: the moving average if there is one."""

    @property
    def seed(self) -> int:
        """Of the order of the images and of all noise."""

    @property
    def device(self) -> torch.device:
        """Where the model is."""

    def state_dict(self) -> dict[str, Any]:
        """Everything from which the run would go on as if it had never stopped."""


class Callback:
    """What may happen around a step; every hook does nothing here."""

    def started(self, trainer: TrainerView) -> None:
        """Before the first step, or the first after a resume; `trainer.step` says which."""

    def compiled(self, trainer: TrainerView, seconds: float) -> None:
        """After the first step that was compiled, with the seconds that it took."""

    def logged(self, trainer: TrainerView, figures: dict[str, float]) -> None:
        """Every `plan.log_every` steps: training figures, averaged since the last call."""

    def progressed(self, trainer: TrainerView, progress: Progress) -> None:
        """Ten seconds after the start and then every minute, however far the next log is."""

    def saving(self, trainer: TrainerView) -> None:
        """Between two validations, when a checkpoint is due by the clock."""

    def validated(self, trainer: TrainerView, evaluation: Evaluation | None, improved: bool) -> None:
        """Every `plan.valid_every` steps and at the end; `evaluation` is None where no images are held out.

        `improved` says whether its ELBO is the best so far.
        """

    def paused(self, trainer: TrainerView) -> None:
        """After the last step of this process: the run is finished, or it was interrupted and can be resumed."""

    def failed(self, trainer: TrainerView) -> None:
        """When an error ends the run: close files, and save nothing, since the state may be half a step's."""

    def tested(self, trainer: TrainerView, evaluation: Evaluation) -> None:
        """After the test, which a run has once at its end."""
