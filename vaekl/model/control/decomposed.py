"""The KL in three parts with weights of their own."""

from math import log
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vaekl.data.spec import DataSpec
from vaekl.model.control.base import Control
from vaekl.model.ledger import ElboTerms, PosteriorSample
from vaekl.model.likelihoods import Likelihood
from vaekl.system import distributed
from vaekl.system.checks import one_of, positive

_HALF_LOG_2_PI = 0.5 * log(2 * torch.pi)


class RateParts(NamedTuple):
    """ln q(z|x) − ln p(z) of one sample of each image in three parts that add up to it; [B] each, nats.

    Args:
        mutual_information: ln q(z|x) − ln q(z).
        total_correlation: ln q(z) − Σ_j ln q(z_j).
        dimension_wise_kl: Σ_j [ln q(z_j) − ln p(z_j)].
    """

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


class Decomposed(Control):
    """schedule · (α · MI + β · TC + γ · KL_j): mutual information, total correlation, and dimension-wise KL.

    What is minimised is γ · KL + (α − γ) · MI + (β − γ) · TC, whose KL is exact, so that λ = γ is reported. MI and TC
    are estimates whose size is no weight of the KL: of independent latents the weighted TC is about (Z − 1) ln(N B).

    Args:
        mutual_information: α.
        total_correlation: β; the source's β-TCVAE changes this one.
        dimension_wise_kl: γ.
        estimator: how q(z) is estimated from a batch: "weighted" or "stratified", both biased.

    Source: Chen et al. 2018 ("β-TCVAE"), equations 2 and 4, appendices C.1 and C.2.
    """

    name = "decomposed"

    def __init__(
        self,
        likelihood: Likelihood,
        spec: DataSpec,
        images: int,
        mutual_information: float = 1.0,
        total_correlation: float = 6.0,
        dimension_wise_kl: float = 1.0,
        estimator: Literal["weighted", "stratified"] = "weighted",
    ) -> None:
        super().__init__(likelihood, spec, images)
        self.weights = (
            positive(mutual_information, "control.mutual_information"),
            positive(total_correlation, "control.total_correlation"),
            positive(dimension_wise_kl, "control.dimension_wise_kl"),
        )
        self.estimator = one_of(estimator, "control.estimator", ("weighted", "stratified"))

    def penalty(self, terms: ElboTerms, schedule: Tensor | float) -> tuple[Tensor | float, Tensor]:
        parts = self._parts(terms.posterior)
        first, second, last = self.weights
        # the KL itself is exact, so that only what differs from the last weight is estimated
        penalty = (
            last * terms.total_kl
            + (first - last) * parts.mutual_information
            + (second - last) * parts.total_correlation
        )
        return schedule, penalty

    def _parts(self, posterior: PosteriorSample) -> RateParts:
        """Of this process's images; q(z) is that of the batch, whatever number of processes share it."""
        if not self.training:  # in an evaluation each process has batches of its own
            return rate_parts(posterior, self.images, self.estimator)
        rows, own = distributed.rows_of_all(torch.stack(posterior, 1))
        parts = rate_parts(PosteriorSample(*rows.unbind(1)), self.images, self.estimator)
        return RateParts(*(part[own] for part in parts))

    def multiplier(self, schedule: float) -> float:
        return self.weights[2] * schedule

    def equation(self) -> str:
        first, second, last = self.weights
        return f"{first:g} · MI + {second:g} · TC + {last:g} · Σ_j KL(q(z_j) ‖ p(z_j))"

    def explanation(self) -> str:
        return f"the KL's three parts have weights of their own ({self.estimator} estimates)"


def rate_parts(posterior: PosteriorSample, images: int, estimator: str) -> RateParts:
    """The three parts of a batch's KL, with q(z) estimated from the batch.

    Args:
        posterior: of the batch, [B, Z] each.
        images: N, of the data set that the batch was drawn from.
        estimator: weighted, or stratified.
    """
    z, mean, log_std = posterior.z, posterior.mean, posterior.log_std
    # ln q(z_i[j] | x_k), [B of i, B of k, Z]
    # within limits whose squares float32 holds: far away, one more decade changes nothing
    scaled = ((z[:, None] - mean[None]) * (-log_std[None]).clamp(max=30).exp()).clamp(-1e9, 1e9)
    log_density = -0.5 * scaled.square() - log_std[None] - _HALF_LOG_2_PI
    log_weights = _log_weights(len(z), images, estimator, z.device).to(z.dtype)
    own = log_density.diagonal(dim1=0, dim2=1).sum(0)
    whole = (log_density.sum(2) + log_weights).logsumexp(1)
    each = (log_density + log_weights[..., None]).logsumexp(1).sum(1)
    prior = (-0.5 * z.square() - _HALF_LOG_2_PI).sum(1)
    return RateParts(own - whole, whole - each, each - prior)


def _log_weights(batch: int, images: int, estimator: str, device: torch.device) -> Tensor:
    """ln of the weight that each image of the batch has in q(z) of each sample, [B, B]."""
    if estimator == "weighted" or batch == 1:
        return torch.full((batch, batch), -log(images * batch), device=device)
    others = batch - 1
    weights = torch.full((batch, batch), 1 / others, device=device)
    # one image of the batch stands for all that are not in it, so that the weights sum to 1
    of_all_others = max(images - others, 1) / (images * others)
    weights.diagonal(1).fill_(of_all_others)
    weights[-1, 0].fill_(of_all_others)
    weights.diagonal().fill_(1 / images)
    return weights.log()
