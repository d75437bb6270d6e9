"""The importance-weighted bound as a training objective."""

from math import log
from typing import Literal

from torch import Tensor

from vaekl.model.control import Control
from vaekl.model.ledger import ElboTerms
from vaekl.model.objective.base import Objective, needs_densities
from vaekl.model.weighting import Weighting
from vaekl.system.checks import one_of, whole

Gradient = Literal["reparameterized", "doubly_reparameterized"]


class Iwae(Objective):
    """loss = −L_K,  L_K = ln 1/K Σ_k w_k,  w_k = p(x|z_k) · (p(z_k)/q(z_k|x))^s with s the schedule, 1 in the end.

    Another bound, and no other weight: φ and the KL keep theirs, and L_1 = ELBO ≤ L_K ≤ ln p(x) on average. The more
    samples, the more of the encoder's gradient is noise. The doubly reparameterized one is the same on average, and has
    no noise where q is the exact posterior: with w̃_k = w_k/Σ w

        Σ_k [(1 − s) w̃_k + s w̃_k²] ∂ln w_k/∂z_k · ∂z_k/∂(encoder),

    q's own parameters in ln w_k held fixed. The decoder's and φ's gradient is the usual one.

    Args:
        k: K, samples of z for each image.
        gradient: of the encoder: reparameterized, or doubly_reparameterized (DReG).

    Source: Burda, Grosse, Salakhutdinov 2016, equations 8 and 14; Tucker et al. 2019, equation 8.
    """

    name = "iwae"

    def __init__(self, k: int = 5, gradient: Gradient = "reparameterized") -> None:
        self.samples = whole(k, "objective.k", 1)
        choices = ("reparameterized", "doubly_reparameterized")
        self.doubly = one_of(gradient, "objective.gradient", choices) == "doubly_reparameterized"

    def check(self, weighting: Weighting, control: Control) -> None:
        needs_densities(self.name, weighting, control)

    def loss(self, terms: ElboTerms, schedule: Tensor | float, weighting: Weighting, control: Control) -> Tensor:
        return -self.bounds(terms, schedule).mean()

    def bounds(self, terms: ElboTerms, schedule: Tensor | float) -> Tensor:
        z, mean, log_std, noise = terms.posterior
        doubly = self.doubly and z.requires_grad
        if doubly:
            mean, log_std = mean.detach(), log_std.detach()
            noise = (z - mean) / log_std.exp()
        # ln p(z) − ln q(z|x): the two (2π)^(−Z/2) cancel
        log_ratio = (0.5 * (noise.square() - z.square()) + log_std).sum(1)
        log_weight = (terms.log_norm_const - terms.energy_nats + schedule * log_ratio).view(-1, self.samples)
        if doubly:
            weight = log_weight.detach().softmax(1).view(-1, 1)
            # of −ln Σ w the gradient of each sample holds its w̃ already, and lacks the second factor
            z.register_hook(lambda gradient: gradient * (1 - schedule + schedule * weight))
        return log_weight.logsumexp(1) - log(self.samples)

    def equation(self, weighting: Weighting, control: Control) -> str:
        # a schedule is written behind it, and multiplies its last term
        return f"−ln 1/{self.samples} Σ e^(−w), w = {weighting.equation('ln q(z|x)/p(z)')}"

    def explanation(self) -> str:
        gradient = ", the encoder's gradient doubly reparameterized" if self.doubly else ""
        return f"the importance-weighted bound of {self.samples} samples{gradient}"
