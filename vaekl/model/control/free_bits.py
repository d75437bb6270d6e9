"""A part of the KL that costs nothing."""

from typing import Literal

import torch
from torch import Tensor

from vaekl.data.spec import DataSpec
from vaekl.model.control.base import Control
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.system import distributed
from vaekl.system.checks import one_of, positive, whole


class FreeBits(Control):
    """schedule · Σ_g max(KL_g, floor) over groups g of latents: no group is pushed below the floor.

    λ is 1 above the floor and 0 below, so that no one weight of the KL is the same; 1 is what is reported.

    Args:
        floor: of each group's KL, nats.
        groups: how many groups of consecutive latents; None for one a latent.
        of: what is compared with the floor, the KL's mean over the "batch" or that of each "image".

    Source: Kingma et al. 2016, equation 15 and appendix C.8 (the batch's mean).
    """

    name = "free_bits"

    def __init__(
        self,
        likelihood: Likelihood,
        spec: DataSpec,
        images: int,
        floor: float = 0.5,
        groups: int | None = None,
        of: Literal["batch", "image"] = "batch",
    ) -> None:
        super().__init__(likelihood, spec, images)
        self.floor = positive(floor, "control.floor")
        self.groups = None if groups is None else whole(groups, "control.groups", 1)
        self.of = one_of(of, "control.of", ("batch", "image"))

    def penalty(self, terms: ElboTerms, schedule: Tensor | float) -> tuple[Tensor | float, Tensor]:
        kl = terms.kl
        if self.groups is not None:
            kl = torch.stack([part.sum(1) for part in kl.tensor_split(self.groups, 1)], 1)
        if self.of == "image":
            return schedule, kl.clamp(min=self.floor).sum(1)
        mean = distributed.mean(kl.detach().sum(0), len(kl)) if self.training else kl.detach().mean(0)
        above = mean > self.floor
        # the value of the floor where a group is below, without a gradient
        return schedule, torch.where(above, kl, self.floor).sum(1)

    def multiplier(self, schedule: float) -> float:
        return schedule

    def equation(self) -> str:
        return f"Σ max(KL_g, {self.floor:g})"

    def explanation(self) -> str:
        groups = "latent's KL" if self.groups is None else f"of {self.groups} groups' KL"
        mean = ", as its mean over the batch" if self.of == "batch" else f", {self.spec.example} by {self.spec.example}"
        return f"the first {self.floor:g} nats of each {groups} cost nothing{mean}"
