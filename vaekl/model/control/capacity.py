"""A KL that is held at a capacity by a penalty on its distance."""

from torch import Tensor

from vaekl.data.spec import DataSpec
from vaekl.model.control.base import Control, RunningMean, batch_mean, scalar
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.system.checks import number, positive


class Capacity(Control):
    """γ · |KL − C|, where the schedule raises C from 0 to the target: the rate is set, and λ is what it costs.

    The penalty's slope jumps between −γ and γ. Its running mean over about 1/momentum steps is reported as λ, to about
    2 γ · momentum. It is the λ that would hold the same KL where steps follow the mean gradient, as with whole batches
    and a falling learning rate; under Adam with small batches it is lower: the KL falls faster than it rises.

    Args:
        target: C at the schedule's end, nats; KL is the batch's mean.
        gamma: γ, above the λ that holds the target, or the KL stays larger than C. The source has 1000, beside the
            energies of 64×64 pixels at φ = 1; a learned φ makes them so much larger that 10 is enough.
        momentum: of the running mean.

    Source: Burgess et al. 2018, equation 8.
    """

    name = "capacity"
    target: float
    slope: Tensor

    def __init__(
        self,
        likelihood: Likelihood,
        spec: DataSpec,
        images: int,
        target: float = 25.0,
        gamma: float = 10.0,
        momentum: float = 0.001,
    ) -> None:
        super().__init__(likelihood, spec, images)
        self.target = positive(target, "control.target")
        self.gamma = positive(gamma, "control.gamma")
        self.running = RunningMean(number(momentum, "control.momentum", 0, 1))
        self.register_buffer("slope", scalar(0))

    def observe(self, terms: ElboTerms, schedule: Tensor | float) -> None:
        self.slope.copy_(self.gamma * (batch_mean(terms.total_kl) - self.target * schedule).sign())
        self.running.update(self.slope)

    def penalty(self, terms: ElboTerms, schedule: Tensor | float) -> tuple[Tensor | float, Tensor]:
        distance = terms.total_kl - self.target * schedule
        if self.training:
            return self.slope.clone(), distance
        return self.gamma, distance.mean().abs().expand(len(distance))

    def multiplier(self, schedule: float) -> float:
        return max(0.0, self.running.mean)

    def equation(self) -> str:
        return f"{self.gamma:g} · |KL − C|"

    def explanation(self) -> str:
        return f"the KL is held at C = {self.target:g} nats, and λ is what that costs"
