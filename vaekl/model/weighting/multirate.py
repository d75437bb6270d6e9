"""The weighting of a multi-rate VAE: another effective weight of the KL in every step."""

import torch
from torch import Tensor

from vaekl.data.spec import Shape
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.model.rate import Rate
from vaekl.model.weighting.base import Weighting, plus
from vaekl.model.weighting.fitted import best_dispersion
from vaekl.system import distributed
from vaekl.system.checks import optional, positive
from vaekl.system.errors import VaeklError

#: the range of φ around that of a decoder that takes every x for the mean of the data; of λ, about 1
_BELOW, _ABOVE = 1 / 200, 20
#: at how many θ of the range the best φ is kept in mind
_KNOTS = 9
_MOMENTUM = 0.05
#: of θ before E + θ · KL: at 0 the KL of large θ would outweigh all else, at −1 the energy of small ones
_POWER = -0.4


class Multirate(Weighting):
    """loss = φ · θ^−0.4 · (E/φ − ln C + λ · KL), with θ = φ · λ drawn from a range anew for each step.

    Where φ is a scale, θ is φ, at λ = 1: each θ has a density of its own, whose ELBO is the objective. Elsewhere θ is
    λ, at φ = 1. The factor keeps the gradients of E + θ · KL of one order of magnitude for all θ; it moves no optimum.

    In evaluation φ is the best of the range, at which E/φ sums to s·D on the training data (see `OptimalPrecision`);
    λ is 1. `rate.at(θ)` evaluates at another.

    Args:
        likelihood: of p(x|z).
        shape: S, the shape of one example.
        smallest: the smallest θ. None: of φ 1/200 of the φ of a decoder that takes every x for the mean of the data; of
            λ 0.01.
        largest: the largest θ. None: of φ 20 times that φ; of λ 10.

    Source: Bae et al. 2023 ("Multi-Rate VAE"); the factor and the best φ are our own.
    """

    name = "multirate"
    draws = observes = True
    best: Tensor
    weight: Tensor

    def __init__(
        self, likelihood: Likelihood, shape: Shape, smallest: float | None = None, largest: float | None = None
    ) -> None:
        super().__init__(likelihood, shape)
        self.varies_dispersion = likelihood.scale_power is not None
        self.smallest = optional(positive, smallest, "weighting.smallest")
        self.largest = optional(positive, largest, "weighting.largest")
        self.axes = len(shape)
        self.rate = Rate()
        self.register_buffer("best", torch.zeros(_KNOTS))
        self.register_buffer("weight", torch.zeros(_KNOTS))
        self._set_range(1.0 if self.varies_dispersion else 0.1)

    def _set_range(self, middle: float) -> None:
        below, above = (_BELOW, _ABOVE) if self.varies_dispersion else (0.1, 100.0)
        smallest, largest = self.smallest or middle * below, self.largest or middle * above
        if smallest >= largest:
            raise VaeklError(
                f"weighting.smallest={smallest:g} must be below weighting.largest={largest:g}: set both, or neither."
            )
        if not self.varies_dispersion and not smallest <= 1 <= largest:
            raise VaeklError(
                f"the range of λ from weighting.smallest={smallest:g} to weighting.largest={largest:g} must hold 1, at "
                "which the run is tested: set them around it."
            )
        self.rate.set_range(smallest, largest)
        if not self.varies_dispersion:
            self.rate.judged.zero_()

    @torch.no_grad()
    def begin(self, eta: Tensor, x: Tensor) -> None:
        if self.varies_dispersion:
            one = x.new_ones((1,) * self.axes, dtype=torch.float32)
            self._set_range(best_dispersion(self.likelihood, eta, x, one).item())

    @property
    def dispersion(self) -> Tensor:
        phi = self.rate.theta if self.varies_dispersion else torch.ones_like(self.rate.drawn)
        return phi.view((1,) * self.axes)

    @property
    def _lambda(self) -> Tensor | float:
        return 1.0 if self.varies_dispersion else self.rate.theta

    @property
    def information_weight(self) -> float:  # type: ignore[override]
        return float(self._lambda)

    def draw(self) -> None:
        self.rate.draw()

    @torch.no_grad()
    def observe(self, eta: Tensor, x: Tensor) -> None:
        if not self.varies_dispersion:
            return
        # ln of the batch's best φ over the φ that was drawn, kept at the two nearest knots of the range
        phi = self.dispersion
        off = (best_dispersion(self.likelihood, eta, x, phi, distributed.mean) / phi).log().squeeze()
        knots = torch.linspace(-1, 1, _KNOTS, device=off.device)
        near = _MOMENTUM * (1 - (self.rate.place - knots).abs() * (_KNOTS - 1) / 2).clamp(min=0)
        self.best.copy_(self.best.lerp(off, near))
        self.weight.copy_(self.weight.lerp(torch.ones_like(off), near))
        self.rate.judged.copy_(self.rate.limits[0] + self._crossing() * self.rate.half_range * 2 / (_KNOTS - 1))

    def _crossing(self) -> Tensor:
        """At which knot, counted from 0 and with a fraction, the best φ is φ itself; it is above φ before that."""
        seen = self.weight > 0
        unseen = torch.linspace(1, -1, _KNOTS, device=self.best.device)
        off = torch.where(seen, self.best / self.weight.clamp(min=1e-12), unseen)
        left, right = off[:-1], off[1:]
        part = left / torch.where(left > right, left - right, 1.0)
        return torch.where(right > 0, 1.0, torch.where(left > 0, part, 0.0)).sum()

    def loss(self, terms: ElboTerms, multiplier: Tensor | float, penalty: Tensor | None = None) -> Tensor:
        penalty = terms.total_kl if penalty is None else penalty
        weight = self._lambda * multiplier
        if not isinstance(weight, Tensor):
            weight = torch.full((), weight, device=penalty.device)
        factor = self.dispersion.squeeze() * self.rate.theta**_POWER
        return (factor * plus(terms.energy_nats - terms.log_norm_const, weight, penalty)).mean()

    def effective_beta_kl(self, dispersion: Tensor, multiplier: float) -> Tensor:
        return dispersion * self._lambda * multiplier

    def equation(self, penalty: str = "KL") -> str:
        if self.varies_dispersion:
            return f"φ^{1 + _POWER:g} · ({super().equation(penalty)})"
        return f"λ^{_POWER:g} · ({super().equation(f'λ · {penalty}')})"

    def explanation(self) -> str:
        smallest, largest = self.rate.range
        symbol = "φ" if self.varies_dispersion else "λ"
        return (
            f"{symbol} is drawn between {smallest:.3g} and {largest:.3g} for every step, and the networks depend on it"
        )
