"""One information weight for the whole run."""

from torch import Tensor

from vaekl.data.spec import DataSpec
from vaekl.model.control.base import Control
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.system.checks import positive


class InformationWeight(Control):
    """λ · schedule · KL with a fixed λ; 1 is the ELBO.

    With a learned or solved φ both knobs turn at once: φ stays calibrated, and λ decides how much the latents say.

    Args:
        weight: λ.

    Source: Kim, Seo 2024 ("BS-VAE", arXiv 2409.09361).
    """

    name = "information_weight"

    def __init__(self, likelihood: Likelihood, spec: DataSpec, images: int, weight: float = 1.0) -> None:
        super().__init__(likelihood, spec, images)
        self.weight = positive(weight, "control.weight")
        self.weighs = self.weight != 1

    def penalty(self, terms: ElboTerms, schedule: Tensor | float) -> tuple[Tensor | float, Tensor]:
        return self.weight * schedule, terms.total_kl

    def multiplier(self, schedule: float) -> float:
        return self.weight * schedule

    def equation(self) -> str:
        return "KL" if self.weight == 1 else f"{self.weight:g} · KL"

    def explanation(self) -> str:
        return f"λ = {self.weight:g}, the price of a nat of the latents' information"
