"""A KL that is held at a capacity by a penalty on its distance."""

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from vaekl.data.spec import DataSpec
from vaekl.model.control.base import Control, batch_mean, scalar
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.system.checks import number, optional, positive


class Capacity(Control):
    """λ · (KL − C) + γ · |KL − C|, rounded within `width` of C; the schedule raises C from 0 to the target.

        push = γ · (KL − C)/width, between −γ and γ
        λ ← λ + speed · push, at least −γ;     slope = λ + push

    At C there is no push: λ is the weight that holds the KL there, and γ may be smaller. In the source there is neither
    λ nor rounding: the slope of γ · |KL − C| jumps between −γ and γ at C, which under Adam with small batches is no
    weight that would hold the KL. `width=null speed=null` is the source's; no λ is reported of it.

    Args:
        target: C at the schedule's end, nats; KL is the batch's mean.
        gamma: γ. The source has 1000, beside the energies of 64×64 pixels at φ = 1.
        width: of the rounding on either side of C, nats. γ/width is what one nat of distance adds to the slope: much
            above 1 the scatter of the batches' KL counts beside λ, and the penalty makes it small instead.
        speed: how much of each step's push stays in λ.

    Source: Burgess et al. 2018, equation 8; Hestenes 1969, for the multiplier beside a penalty.
    """

    name = "capacity"
    target_kl: float
    weight: Tensor
    distance: Tensor

    def __init__(
        self,
        likelihood: Likelihood,
        spec: DataSpec,
        images: int,
        target: float = 25.0,
        gamma: float = 10.0,
        width: float | None = 10.0,
        speed: float | None = 0.03,
    ) -> None:
        super().__init__(likelihood, spec, images)
        self.target_kl = positive(target, "control.target")
        self.gamma = positive(gamma, "control.gamma")
        self.width = optional(positive, width, "control.width")
        self.speed = optional(number, speed, "control.speed", 0, 1)
        self.register_buffer("weight", scalar(0))
        self.register_buffer("distance", scalar(0))

    def observe(self, terms: ElboTerms, schedule: Tensor | float) -> None:
        self.distance.copy_(batch_mean(terms.total_kl) - self.target_kl * schedule)
        if self.speed is not None:
            push = self.distance.sign() if self.width is None else (self.distance / self.width).clamp(-1, 1)
            self.weight.copy_((self.weight + self.speed * self.gamma * push).clamp(min=-self.gamma))

    def penalty(self, terms: ElboTerms, schedule: Tensor | float) -> tuple[Tensor | float, Tensor]:
        distance = terms.total_kl.mean() - self.target_kl * schedule
        if self.training:  # the value is that of the whole batch, the gradient that of this process's share
            distance = self.distance.clone() + distance - distance.detach()
        penalty = self.weight.clone() * distance + self.gamma * self._rounded(distance)
        return 1.0, penalty.expand(len(terms.total_kl))

    def _rounded(self, distance: Tensor) -> Tensor:
        """|distance|, as a parabola within `width` of 0."""
        if self.width is None:
            return distance.abs()
        return huber_loss(distance, torch.zeros_like(distance), delta=self.width) / self.width

    def multiplier(self, schedule: float) -> float:
        return max(0.0, float(self.weight))

    def equation(self) -> str:
        multiplied = "λ · (KL − C) + " if self.speed is not None else ""
        return f"{multiplied}{self.gamma:g} · |KL − C|"

    def explanation(self) -> str:
        return f"the KL is held at C = {self.target_kl:g} nats, and λ is what that costs"
