"""An objective makes one loss of a batch's ledger: which bound on ln p(x) is maximised, and from how many samples."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from vaekl.model.control import Control
from vaekl.model.ledger import ElboTerms
from vaekl.model.weighting import Weighting
from vaekl.system.errors import VaeklError


class Objective(ABC):
    """Base class. It changes what is minimised and never what is reported, which is the ELBO."""

    #: what the objective is called
    name: ClassVar[str]
    #: K, how many samples of z each image of a training batch has
    samples: int = 1

    def check(self, weighting: Weighting, control: Control) -> None:  # noqa: B027  (nothing is refused)
        """Refuse what it cannot be combined with.

        Args:
            weighting: what becomes of φ and ln C.
            control: what stands for the KL.

        Raises:
            VaeklError: names what it is, and what would work.
        """

    @abstractmethod
    def loss(self, terms: ElboTerms, schedule: Tensor | float, weighting: Weighting, control: Control) -> Tensor:
        """What is minimised, averaged over the batch, a scalar.

        Args:
            terms: the ledger of B images with K samples each, [B·K]; an image's samples follow one another.
            schedule: the KL's multiplier, a number or [].
            weighting: what becomes of φ and ln C.
            control: what stands for the KL.
        """

    def bounds(self, terms: ElboTerms, schedule: Tensor | float) -> Tensor | None:
        """Each image's bound, [B], nats, for its standard error; None where the loss is not minus their mean.

        Args:
            terms: as of `loss`.
            schedule: the KL's multiplier, a number or [].
        """
        return None

    @abstractmethod
    def equation(self, weighting: Weighting, control: Control) -> str:
        """The loss as text, of the weighting and the control that it is made with."""

    def explanation(self) -> str:
        """What this objective maximises, in one line."""
        return self.name

    def facts(self) -> dict[str, Any]:
        """What is true of this objective, as values of JSON: `name`, and `samples`, K."""
        return {"name": self.name, "samples": self.samples}


class Elbo(Objective):
    """The ELBO from one sample, its KL in closed form: what the weighting and the control make of it.

    Source: Kingma, Welling 2014, equation 10.
    """

    name = "elbo"

    def loss(self, terms: ElboTerms, schedule: Tensor | float, weighting: Weighting, control: Control) -> Tensor:
        return weighting.loss(terms, *control.penalty(terms, schedule))

    def equation(self, weighting: Weighting, control: Control) -> str:
        return weighting.equation(control.equation())


def needs_densities(objective: str, weighting: Weighting, control: Control) -> None:
    """Refuse a loss that is not the negative ELBO at the weighting's φ.

    Raises:
        VaeklError: the weighting has a loss of its own, solves φ from one sample, or the control weighs the KL.
    """
    if type(weighting).loss is not Weighting.loss or weighting.observes:
        reason = (
            "solves φ from the mean of E, which is not its optimum there"
            if weighting.observes
            else ("has another loss than the negative ELBO at its φ")
        )
        raise VaeklError(
            f"objective={objective} averages densities, and weighting={weighting.name} {reason}: use weighting=auto, "
            "fixed_dispersion or learned_precision."
        )
    if control.weighs:
        raise VaeklError(
            f"objective={objective} has no KL that control={control.name} could weigh: use control=none, or "
            "objective=elbo."
        )
