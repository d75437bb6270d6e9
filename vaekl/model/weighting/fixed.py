"""The weightings whose dispersion is a fixed number, with the constant dropped or kept."""

from math import prod

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
    """loss = E + β · KL: the constant is dropped and the weight is tuned.

    Where φ is a scale, ln C does not depend on η, and this is φ·(−ELBO + ln C) at φ = β: the weight is the noise
    level. Elsewhere the decoder's optimum at a given z does not contain β, so that the loss says nothing of φ: the
    density is judged at φ = 1, and β is an information weight λ. There a density's ln C depends on η, and dropping it
    moves the optimum; most distributions of whole numbers have none at φ = 1.

    Args:
        beta: β; or
        beta_norm: β·Z/N, as it is published for Z latents and N values of x.
        latents: Z, which `beta_norm` needs.

    Source: Higgins et al. 2017, equation 4, and section 4.2 for the normalised β.
    """

    name = "fixed_beta"

    def __init__(
        self,
        likelihood: Likelihood,
        shape: Shape,
        beta: float | None = 1.0,
        beta_norm: float | None = None,
        latents: int | None = None,
    ) -> None:
        if beta_norm is not None:
            if latents is None:
                raise VaeklError("weighting.beta_norm needs weighting.latents, the number of latents.")
            beta = positive(beta_norm, "weighting.beta_norm") * prod(shape) / latents
        beta = positive(beta, "weighting.beta")
        if likelihood.needs_constant:
            why = "cannot learn what it depends on"
            kept = f"weighting.dispersion={beta:g}, whose loss has ln C, or a fixed number in the likelihood"
            if likelihood.scale_power is None:
                why = "has no best scale, since that of the decoder grows without end"
                kept = f"control=information_weight control.weight={beta:g}, where β weighs the KL against all of −ln p"
            raise VaeklError(
                f"weighting=fixed_beta drops ln C, without which likelihood={likelihood.name} {why}: use "
                f"weighting=fixed_dispersion with {kept}."
            )
        super().__init__(likelihood, shape, beta if likelihood.scale_power is not None else 1.0, "weighting.beta")
        self.beta_kl = beta
        self.information_weight = 1.0 if likelihood.scale_power is not None else beta
        self.drops_constant = likelihood.has_constant

    def loss(self, terms: ElboTerms, multiplier: Tensor | float, penalty: Tensor | None = None) -> Tensor:
        penalty = terms.total_kl if penalty is None else penalty
        return plus(terms.total_energy, self.beta_kl * multiplier, penalty).mean()

    def effective_beta_kl(self, dispersion: Tensor, multiplier: float) -> Tensor:
        return torch.full_like(dispersion, self.beta_kl * multiplier)

    def equation(self, penalty: str = "KL") -> str:
        weighted = penalty if self.beta_kl == 1 and penalty != "KL" else f"{self.beta_kl:g} · {penalty}"
        return f"{self.likelihood.energy_text} + {weighted}"

    def explanation(self) -> str:
        if self.likelihood.scale_power is not None:
            return f"ln C does not depend on the decoder; the weight implies φ = {self.beta_kl:g}"
        if not self.likelihood.has_constant:
            weight = "nothing to weigh" if self.beta_kl == 1 else f"β = {self.beta_kl:g} weighs the information alone"
            return f"φ = 1, at which nothing is dropped; {weight}"
        return "ln C depends on the decoder and is dropped all the same: this changes the optimum; judged at φ = 1"


class FixedDispersion(_Fixed):
    """loss = E/φ − ln C + KL, the negative ELBO at one fixed φ.

    Args:
        likelihood: the family, a density at that φ.
        shape: S, the shape of one example.
        dispersion: φ, in the unit that the family gives it, such as the variance of a Gaussian.
    """

    name = "fixed_dispersion"

    def __init__(self, likelihood: Likelihood, shape: Shape, dispersion: float = 1.0) -> None:
        super().__init__(likelihood, shape, dispersion, "weighting.dispersion")

    def equation(self, penalty: str = "KL") -> str:
        likelihood = self.likelihood
        if self.phi.item() == 1 or not likelihood.weighs_energy:
            return negative_elbo(f"[{likelihood.energy_text}]", likelihood.log_norm_const_text, penalty)
        # where φ is no scale, the text of ln C holds at φ = 1 alone
        constant = "ln C(η, φ)" if likelihood.scale_power is None else likelihood.log_norm_const_text
        return negative_elbo(f"[{likelihood.energy_text}]/φ", constant, penalty)

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
            own = families_that(lambda family: family.weighting == self.name)
            fitting = likelihood.others_that(lambda family: family.weighting == self.name)
            raise VaeklError(
                f"weighting={self.name} does not fit likelihood={likelihood.name}: it is the constant of {own}, so use "
                f"{'that, or ' if fitting else ''}weighting=auto."
            )
        super().__init__(likelihood, shape)

    def explanation(self) -> str:
        return "nothing dropped, nothing to tune"
