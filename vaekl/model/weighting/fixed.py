"""The weightings whose dispersion is a fixed number, with the constant dropped or kept."""

import torch
from torch import Tensor

from vaekl.data.spec import Shape
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.model.likelihoods.choices import families_that
from vaekl.model.weighting.base import Weighting, negative_elbo, plus
from vaekl.system.checks import positive
from vaekl.system.errors import VaeklError


class _Fixed(Weighting):
    phi: Tensor

    def __init__(self, likelihood: Likelihood, shape: Shape, dispersion: float, key: str) -> None:
        super().__init__(likelihood, shape)
        self.register_buffer("phi", torch.full((1,) * len(shape), positive(dispersion, key)))
        likelihood.check_dispersion(float(dispersion))
        self.tempered = dispersion != 1

    @property
    def dispersion(self) -> Tensor:
        return self.phi


class FixedBeta(_Fixed):
    """loss = E + β_KL · KL: the constant is dropped and the weight is tuned; the implied φ is β_KL.

    Where ln C does not depend on η, this is φ·(−ELBO + ln C) at φ = β_KL, with the same optimum as the ELBO. Where it
    does (a family whose φ is no scale, unless it is discrete and β_KL = 1), the optimum is another one.

    Source: Higgins et al. 2017, equation 4, without its normalisation.
    """

    name = "fixed_beta"
    drops_constant = True

    def __init__(self, likelihood: Likelihood, shape: Shape, beta: float = 1.0) -> None:
        super().__init__(likelihood, shape, beta, "weighting.beta")
        self.beta_kl = float(beta)

    def loss(self, terms: ElboTerms, schedule: Tensor | float) -> Tensor:
        return plus(terms.total_energy, self.beta_kl * schedule, terms.total_kl).mean()

    def equation(self) -> str:
        return f"{self.likelihood.energy_text} + {self.beta_kl:g} · KL"

    def explanation(self) -> str:
        if self.likelihood.scale_power is not None or (self.likelihood.discrete and self.beta_kl == 1):
            return f"ln C does not depend on the decoder; the weight implies φ = {self.beta_kl:g}"
        return "ln C depends on the decoder and is dropped all the same: this changes the optimum"


class FixedDispersion(_Fixed):
    """loss = E/φ − ln C + KL, the negative ELBO at one fixed φ."""

    name = "fixed_dispersion"

    def __init__(self, likelihood: Likelihood, shape: Shape, dispersion: float = 1.0) -> None:
        super().__init__(likelihood, shape, dispersion, "weighting.dispersion")

    def equation(self) -> str:
        likelihood = self.likelihood
        if self.phi.item() == 1:
            return negative_elbo(f"[{likelihood.energy_text}]", likelihood.log_norm_const_text)
        # where φ is no scale, the text of ln C holds at φ = 1 alone
        constant = "ln C(η, φ)" if likelihood.scale_power is None else likelihood.log_norm_const_text
        return negative_elbo(f"[{likelihood.energy_text}]/φ", constant)

    def explanation(self) -> str:
        if self.likelihood.scale_power is None and self.phi.item() == 1:
            return "nothing to weigh"
        return f"φ = {self.phi.item():g} throughout"


class CBNormalizer(FixedDispersion):
    """loss = BCE − ln C(η) + KL: binary cross-entropy on [0, 1] with the constant that it lacks.

    Raises:
        VaeklError: for a likelihood that does not name this weighting as its own.

    Source: Loaiza-Ganem, Cunningham 2019.
    """

    name = "cb_normalizer"

    def __init__(self, likelihood: Likelihood, shape: Shape) -> None:
        if likelihood.weighting != self.name:
            families = families_that(lambda family: family.weighting == self.name)
            raise VaeklError(
                f"weighting={self.name} does not fit likelihood={likelihood.name}: it is the constant of {families}, "
                "so use that, or weighting=auto."
            )
        super().__init__(likelihood, shape)

    def explanation(self) -> str:
        return "nothing dropped, nothing to tune"
