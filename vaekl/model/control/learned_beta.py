"""An information weight that is learned as a task's weight is."""

from math import log

import torch
from torch import Tensor, nn

from vaekl.data.spec import DataSpec
from vaekl.model.control.base import Control
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.system.checks import positive


class LearnedBeta(Control):
    """λ · KL + ln(1 + 1/(2λ)) with ln λ a parameter: the KL is weighed as the second of two tasks.

    It is KL/(2σ²) + ln(1 + σ²) at λ = 1/(2σ²). Its optimum is where λ² + λ/2 = 1/(2 KL), so that a large KL is cheap
    and a small one dear: nothing in it knows the data. Without the 1 in the logarithm it would have no lower bound,
    since a KL of 0 could be had at any weight.

    Args:
        init: the first λ.
        lr_factor: ln λ's learning rate over that of the networks.

    Source: Kendall, Gal, Cipolla 2018, for weights that are learned from the losses' own noise; Liebel, Körner 2018,
    for the bounded logarithm; Ozcan et al. 2025 ("L-VAE", arXiv 2507.02619), for its use in a VAE.
    """

    name = "learned_beta"

    def __init__(
        self, likelihood: Likelihood, spec: DataSpec, images: int, init: float = 1.0, lr_factor: float = 10.0
    ) -> None:
        super().__init__(likelihood, spec, images)
        self.lr_factor = positive(lr_factor, "control.lr_factor")
        self.log_weight = nn.Parameter(torch.tensor(log(positive(init, "control.init"))))

    def penalty(self, terms: ElboTerms, schedule: Tensor | float) -> tuple[Tensor | float, Tensor]:
        weight = self.log_weight.exp()
        return schedule, weight * terms.total_kl + (0.5 / weight).log1p()

    def multiplier(self, schedule: float) -> float:
        return float(self.log_weight.detach().exp()) * schedule

    def equation(self) -> str:
        return "λ · KL + ln(1 + 1/(2λ))"

    def explanation(self) -> str:
        return "ln λ is learned from the size of the KL"
