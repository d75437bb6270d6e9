"""The weightings that fit the dispersion: learned by gradient, or solved.

Both need ln C = −s ln φ + const with φ a scale (Gaussian: s = ½, Laplace: s = 1); a φ that is a shape of the density,
as that of overdispersed counts is, can be learned too.
"""

from collections.abc import Callable
from math import log

import torch
from torch import Tensor, nn

from vaekl.data.spec import Shape
from vaekl.model.likelihoods import Likelihood
from vaekl.model.weighting.base import Per, Weighting, check_scale, dispersion_shape
from vaekl.system import distributed
from vaekl.system.checks import optional, positive
from vaekl.system.errors import VaeklError

_SMALLEST = 1e-10
#: of the search where E depends on φ: five digits are right after so many, from a φ 10¹² times too large or small
_STEPS = 16
#: how much farther than the fixed point iteration a step of the search may go
_FARTHEST = 4.0


class LearnedPrecision(Weighting):
    """loss = E/φ − ln C(φ) + KL with ln φ a parameter: one for all, per channel or per value.

    Args:
        likelihood: its dispersion must be a scale, a shape of the density, or another that no η stands for, as the
            family's own `weighting` says.
        shape: S, the shape of one example.
        per: scalar (one φ), channel or value; auto: scalar, but value where each column has its own likelihood.
        init: the first φ. None: before training, `begin` gives all of them the best φ of a decoder that takes every x
            for the mean of the training data, or near it where φ is no scale; without `begin`, 1.
        lr_factor: ln φ's learning rate over that of the networks. Adam moves a parameter by about its learning rate in
            a step at most: at 1e-3, three orders of magnitude in φ would take 7,000 steps.

    Source: Rybkin, Daniilidis, Levine 2021 ("σ-VAE"); Lucas et al. 2019 for the linear case.
    """

    name = "learned_precision"

    def __init__(
        self,
        likelihood: Likelihood,
        shape: Shape,
        per: Per = "auto",
        init: float | None = None,
        lr_factor: float = 10.0,
    ) -> None:
        super().__init__(likelihood, shape)
        if not _is_shape(likelihood):
            check_scale(likelihood, self.name, _is_shape)
        self.lr_factor = positive(lr_factor, "weighting.lr_factor")
        self.init = optional(positive, init, "weighting.init")
        self.log_dispersion = nn.Parameter(
            torch.full(dispersion_shape(per, shape, likelihood.dispersion_per), log(self.init or 1.0))
        )

    @property
    def dispersion(self) -> Tensor:
        phi, has = self.log_dispersion.exp(), self.likelihood.has_dispersion
        # 1 for values without a φ, whose gradient would be rounding alone
        return phi if has is None or has.shape != phi.shape else torch.where(has, phi, 1.0)

    @torch.no_grad()
    def begin(self, eta: Tensor, x: Tensor) -> None:
        # one number also where each value gets its own: beginning at its own, values that hardly vary drown the rest
        if self.init is not None:
            return
        if self.likelihood.scale_power is not None:
            one = x.new_ones((1,) * (x.ndim - 1), dtype=torch.float32)
            self.log_dispersion.fill_(best_dispersion(self.likelihood, eta, x, one).log().item())
        elif first := self.likelihood.first_dispersion(x.float().var(0, correction=0).mean().item()):
            self.log_dispersion.fill_(log(first))

    def explanation(self) -> str:
        return f"ln φ is learned ({self.own_dispersions.numel()} of them)"


def _is_shape(family: Likelihood | type[Likelihood]) -> bool:
    """Whether φ is a shape of the density, or another that no η stands for, which can be learned without a scale."""
    return not family.weighs_energy or family.weighting == LearnedPrecision.name


class OptimalPrecision(Weighting):
    """The same loss with φ solved: φ* = mean(E)/s over the batch, so that the batch's E/φ sums to s·N·D.

    Where E itself depends on φ, φ* is searched for, at which the loss has no gradient in φ.

    In training φ* is the batch's; in evaluation it is a bias-corrected running mean over the training batches, never
    computed from the images that are evaluated. No gradient passes through φ*: that of the loss is zero there.

    Args:
        likelihood: its dispersion must be a scale.
        shape: S, the shape of one example.
        per: scalar (one φ), channel or value; auto: scalar, but value where each column has its own likelihood.
        momentum: weight of the newest batch in the running mean.

    Source: Rybkin, Daniilidis, Levine 2021, equation 5.
    """

    name = "optimal_precision"
    observes = True
    batch_phi: Tensor
    running_phi: Tensor
    running_weight: Tensor

    def __init__(self, likelihood: Likelihood, shape: Shape, per: Per = "auto", momentum: float = 0.05) -> None:
        super().__init__(likelihood, shape)
        check_scale(likelihood, self.name)
        self.momentum = positive(momentum, "weighting.momentum")
        if self.momentum > 1:
            raise VaeklError(f"weighting.momentum must be at most 1, not {momentum!r}.")
        group = dispersion_shape(per, shape, likelihood.dispersion_per)
        self.register_buffer("batch_phi", torch.ones(group))
        self.register_buffer("running_phi", torch.zeros(group))
        self.register_buffer("running_weight", torch.zeros(()))

    @property
    def dispersion(self) -> Tensor:
        if self.training:
            return self.batch_phi
        # before the first training batch φ = 1
        seen = self.running_weight > 0
        return torch.where(seen, self.running_phi / self.running_weight.clamp(min=_SMALLEST), 1.0)

    @torch.no_grad()
    def observe(self, eta: Tensor, x: Tensor) -> None:
        # averaged over all processes' shares of the batch
        self.batch_phi = best_dispersion(self.likelihood, eta, x, self.batch_phi, distributed.mean)
        self.running_phi.copy_(self.running_phi.lerp(self.batch_phi, self.momentum))
        self.running_weight.copy_(self.running_weight.lerp(torch.ones_like(self.running_weight), self.momentum))

    def explanation(self) -> str:
        if self.likelihood.energy_depends_on_dispersion:
            return "φ is solved from each batch, by a search"
        return f"φ is solved from each batch, φ* = mean(E)/{self.likelihood.scale_power:g}"


def _mean(total: Tensor, values: float) -> Tensor:
    return total / values


def best_dispersion(
    likelihood: Likelihood,
    eta: Tensor,
    x: Tensor,
    start: Tensor,
    mean: Callable[[Tensor, float], Tensor] = _mean,
) -> Tensor:
    """φ under which x is most probable, where φ is a scale: d(E/φ + s ln φ)/d ln φ has the mean 0.

    Args:
        likelihood: with a `scale_power`.
        eta: [B, P, *S].
        x: [B, *S].
        start: where the search begins if E depends on φ; its shape is that of φ, broadcasts against S.
        mean: of a total and the number of values in it.

    Returns:
        φ of the shape of `start`; not 0 where a value never varies, for its density would be infinite.
    """
    power = likelihood.scale_power
    assert power is not None

    def solved(phi: Tensor) -> Tensor:
        slope = likelihood.energy_slope(eta, x, phi).float()
        total = slope.sum_to_size((1, *phi.shape)).squeeze(0)
        return (mean(total, slope.numel() / phi.numel()) / power).clamp(min=_SMALLEST)

    if not likelihood.energy_depends_on_dispersion:
        return solved(start)
    # where a density is flat in its middle, this step leads from any large φ to that of the second moment; with 1 for a
    # large power the iteration would go to and fro around the best φ of light tails
    least = min(1.0, 0.5 / power)
    log_phi, factor = start.log(), torch.full_like(start, 0.5 / power)
    off = solved(start).log() - log_phi
    for _ in range(_STEPS):
        change = factor * off
        log_phi = log_phi + change
        before, off = off, solved(log_phi.exp()).log() - log_phi
        # the secant of `off`, whose slope lies between −max(1, 2s) and 0 where there is a single best φ
        slope = (off - before) / change
        factor = torch.where(slope < 0.1, -1 / slope.clamp(max=-1 / _FARTHEST), least).clamp(min=least)
    return log_phi.exp()
