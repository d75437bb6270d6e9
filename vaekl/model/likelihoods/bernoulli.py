"""Bernoulli and continuous Bernoulli: one energy, two supports, two normalising constants.

Both have the energy of binary cross-entropy, E = softplus(a) − a x with the logit a. On {0, 1} exp(−E) sums to 1. On
[0, 1] it does not integrate to 1, and its constant depends on a: a loss that drops it has another optimum.

exp(−E/φ) is a density of the same family with the logit a/φ.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from vaekl.model.likelihoods import continuous_bernoulli as cb
from vaekl.model.likelihoods.base import Likelihood
from vaekl.model.likelihoods.numerics import bounded_logit, float32_at_least
from vaekl.system.checks import optional, positive


class _Logit(Likelihood):
    energy_text = "softplus(a) − a x"

    def __init__(self, max_logit: float | None = None) -> None:
        """Fix the clip that belongs to every reported figure.

        Args:
            max_logit: clip the logits to ±max_logit (9.21 is the published λ in [1e-4, 1 − 1e-4]); None: no clip.
        """
        self.max_logit = optional(positive, max_logit, "likelihood.max_logit")

    @property
    def protocol(self) -> str:
        return super().protocol if self.max_logit is None else f"logits clipped to ±{self.max_logit:g}"

    def logit(self, eta: Tensor) -> Tensor:
        """a [B, *S] of η [B, 1, *S], clipped where there is a clip; float32 at least."""
        a = eta.squeeze(1)
        a = a.float() if a.dtype in (torch.bfloat16, torch.float16) else a
        return a if self.max_logit is None else a.clamp(-self.max_logit, self.max_logit)

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        a = self.logit(eta)
        return binary_cross_entropy_with_logits(a, x.to(a.dtype), reduction="none")

    def first_eta(self, mean: Tensor, variance: float) -> Tensor | None:
        return self.eta_of_mean(mean)

    def eta_of_mean(self, mean: Tensor) -> Tensor:
        return bounded_logit(mean).unsqueeze(0)

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        # softplus(a)/φ − softplus(a/φ), of which max(a, 0)/φ cancels
        b = self.logit(eta).abs()
        return torch.log1p(torch.exp(-b)) / dispersion - torch.log1p(torch.exp(-b / dispersion))


class Bernoulli(_Logit):
    """Bernoulli on {0, 1}: E = softplus(a) − a x, ln C = 0 at φ = 1; tempered: logit a/φ.

    >>> Bernoulli().mean(torch.zeros(1, 1, 1, 1, 1), torch.ones(1, 1, 1)).item()
    0.5
    """

    name = "bernoulli"
    accepts = ("binary",)
    discrete = True
    log_norm_const_text = "0"

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return torch.sigmoid(self.logit(eta) / dispersion)

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        a = self.logit(eta) / dispersion
        return torch.sigmoid(a) * torch.sigmoid(-a)

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.bernoulli(self.mean(eta, dispersion), generator=generator)

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        a = self.logit(eta) / dispersion
        zero, one = (lower < 0) & (upper >= 0), (lower < 1) & (upper >= 1)
        single = torch.where(one, logsigmoid(a), torch.where(zero, logsigmoid(-a), -torch.inf))
        return single.masked_fill(zero & one, 0.0)


class ContinuousBernoulli(_Logit):
    """Continuous Bernoulli on [0, 1]: E = softplus(a) − a x, ln C = ln(a / tanh(a/2)) at φ = 1; tempered: logit a/φ.

    So ln p(x) = a x − ln((eᵃ − 1)/a). Its mean is 1/(1 − e^−a) − 1/a, not sigmoid(a).

    Source: Loaiza-Ganem, Cunningham 2019, equations 6 to 9.

    >>> round(ContinuousBernoulli().mean(torch.full((1, 1, 1, 1, 1), 2.0), torch.ones(1, 1, 1)).item(), 6)
    0.656518
    """

    name = "cb"
    accepts = ("unit_interval",)
    log_norm_const_text = "ln(a / tanh(a/2))"
    weighting = "cb_normalizer"
    mean_note = "the mean of a continuous Bernoulli is 1/(1 - e^-a) - 1/a, not the sigmoid of its logit a"

    def eta_of_mean(self, mean: Tensor) -> Tensor:
        return cb.logit_of_mean(mean).unsqueeze(0)

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return super().log_norm_const(eta, dispersion) + cb.log_norm_const(self.logit(eta) / dispersion)

    def log_prob(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        # energy and constant in one pass: a dispersion only divides the logit
        a = self.logit(eta)
        # on the CPU the comparison costs little, and the division would be a twelfth of the work
        if dispersion.device.type != "cpu" or not bool((dispersion == 1).all()):
            a = a / dispersion
        return cb.log_prob(a, x.to(a.dtype))

    def parts(self, eta: Tensor, x: Tensor, dispersion: Tensor, tempered: bool = True) -> tuple[Tensor, Tensor]:
        if tempered or dispersion.numel() > 1:
            return super().parts(eta, x, dispersion)
        a = self.logit(eta)
        energy, log_norm_const = cb.parts(a.flatten(1), x.to(a.dtype).flatten(1))
        return energy.view(len(x), *dispersion.shape), log_norm_const

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return cb.mean(self.logit(eta) / dispersion)

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return cb.variance(self.logit(eta) / dispersion)

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        a = self.logit(eta) / dispersion
        return cb.quantile(a, torch.rand(a.shape, generator=generator, device=a.device, dtype=a.dtype))

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        return float32_at_least(cb.log_mass(self.logit(eta.double()) / dispersion.double(), lower, upper), eta.dtype)
