"""A penalty on the aggregate posterior instead of each image's."""

from math import log

import torch
from torch import Tensor

from vaekl.data.spec import DataSpec
from vaekl.model.control.base import Control
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.system import distributed
from vaekl.system.checks import is_number, optional, positive
from vaekl.system.errors import VaeklError


class Mmd(Control):
    """schedule · (λ · KL + weight · MMD²(q(z), N(0, I))) with the kernel k(a, b) = exp(−|a − b|²/(2h²)).

    MMD² is unbiased over pairs of the batch, and exact in the prior, whose mean kernel is Gaussian:
    E k(z, z') = (h²/(h² + 1))^{Z/2} exp(−|z|²/(2(h² + 1))), and E k(z', z'') = (h²/(h² + 2))^{Z/2}.

    Args:
        weight: of MMD², nats. InfoVAE's α and λ are the two weights λ = 1 − α and `weight` = α + λ − 1.
        information_weight: λ of each image's KL; 0 is the Wasserstein autoencoder.
        bandwidth: h; None for √Z, the distance of a prior sample from the origin.

    Source: Zhao, Song, Ermon 2019 ("InfoVAE"); Tolstikhin et al. 2018 ("WAE-MMD").
    """

    name = "mmd"

    def __init__(
        self,
        likelihood: Likelihood,
        spec: DataSpec,
        images: int,
        weight: float = 100.0,
        information_weight: float = 0.0,
        bandwidth: float | None = None,
    ) -> None:
        super().__init__(likelihood, spec, images)
        self.weight = positive(weight, "control.weight")
        if not is_number(information_weight) or not 0 <= information_weight < 1e30:
            raise VaeklError(f"control.information_weight must be a number from 0, not {information_weight!r}.")
        self.information_weight = float(information_weight)
        self.bandwidth = optional(positive, bandwidth, "control.bandwidth")

    def penalty(self, terms: ElboTerms, schedule: Tensor | float) -> tuple[Tensor | float, Tensor]:
        z = distributed.rows_of_all(terms.posterior.z)[0] if self.training else terms.posterior.z
        distance = squared_mmd(z, self.bandwidth)
        return schedule, self.information_weight * terms.total_kl + self.weight * distance

    def multiplier(self, schedule: float) -> float:
        return self.information_weight * schedule

    def equation(self) -> str:
        kl = {0.0: "", 1.0: "KL + "}.get(self.information_weight, f"{self.information_weight:g} · KL + ")
        return f"{kl}{self.weight:g} · MMD²(q(z), p(z))"

    def explanation(self) -> str:
        return (
            f"all {self.spec.example}s' posteriors together are held at the prior, and each of them less or not at all"
        )


def squared_mmd(z: Tensor, bandwidth: float | None = None) -> Tensor:
    """The squared maximum mean discrepancy of samples and N(0, I), []; unbiased, so that it may be below 0.

    Args:
        z: [B, Z], B at least 2.
        bandwidth: h of the kernel exp(−|a − b|²/(2h²)); None for √Z.
    """
    images, latents = z.shape
    width = bandwidth**2 if bandwidth is not None else float(latents)
    squares = z.square().sum(1)
    distances = (squares[:, None] + squares[None, :] - 2 * z @ z.T).clamp(min=0)
    pairs = ((-distances / (2 * width)).exp().sum() - images) / max(images * (images - 1), 1)
    with_prior = (-squares / (2 * (width + 1)) - 0.5 * latents * log(1 + 1 / width)).exp().mean()
    return pairs - 2 * with_prior + torch.full((), -0.5 * latents * log(1 + 2 / width), device=z.device).exp()
