"""A controller that moves λ until the KL is at a target."""

from torch import Tensor

from vaekl.data.spec import DataSpec
from vaekl.model.control.base import Control, batch_mean, scalar
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.system.checks import is_number, optional, positive
from vaekl.system.errors import VaeklError


class Controller(Control):
    """λ · KL, where a proportional-integral controller brings the batch's KL to a target.

        e = target · schedule − KL,     I ← I − k_i · e,     λ = smallest + k_p/(1 + exp e) + I, within its bounds

    I is held between −k_p and `largest` − `smallest`, beyond which it could not move λ (anti-windup), and no step adds
    an error of more than ten targets to it.

    Args:
        target: of the KL, nats.
        kp: k_p, the most that one error adds. It damps: at 0.01 λ swings in the first hundreds of steps.
        ki: k_i, how much of each step's error stays. The source's gains, 0.01 and 0.0001, are for a λ below 1 and for
            10⁵ steps; beside a learned φ a target takes a λ of about 10, which rises as φ falls.
        smallest: λ's floor.
        largest: λ's ceiling, or None.

    Source: Shao et al. 2020 ("ControlVAE"), algorithm 1. There I stays as it is whenever λ was at a bound, where one
    large error may keep it for ever.
    """

    name = "controller"
    target_kl: float
    weight: Tensor
    integral: Tensor

    def __init__(
        self,
        likelihood: Likelihood,
        spec: DataSpec,
        images: int,
        target: float = 25.0,
        kp: float = 1.0,
        ki: float = 0.03,
        smallest: float = 0.0,
        largest: float | None = None,
    ) -> None:
        super().__init__(likelihood, spec, images)
        self.target_kl = positive(target, "control.target")
        self.kp, self.ki = positive(kp, "control.kp"), positive(ki, "control.ki")
        self.largest = optional(positive, largest, "control.largest")
        if not is_number(smallest) or not 0 <= smallest < (self.largest or float("inf")):
            raise VaeklError(f"control.smallest must be at least 0 and below control.largest, not {smallest!r}.")
        self.smallest = float(smallest)
        self.register_buffer("weight", scalar(smallest))
        self.register_buffer("integral", scalar(0))

    def observe(self, terms: ElboTerms, schedule: Tensor | float) -> None:
        error = self.target_kl * schedule - batch_mean(terms.total_kl)
        most = self.largest - self.smallest if self.largest is not None else None
        limited = error.clamp(-10 * self.target_kl, 10 * self.target_kl)
        self.integral.copy_((self.integral - self.ki * limited).clamp(-self.kp, most))
        now = self.smallest + self.kp * (-error).sigmoid() + self.integral
        self.weight.copy_(now.clamp(self.smallest, self.largest))

    def penalty(self, terms: ElboTerms, schedule: Tensor | float) -> tuple[Tensor | float, Tensor]:
        return self.weight.clone(), terms.total_kl

    def multiplier(self, schedule: float) -> float:
        return float(self.weight)

    def explanation(self) -> str:
        return f"λ is moved until the KL is {self.target_kl:g} nats"
