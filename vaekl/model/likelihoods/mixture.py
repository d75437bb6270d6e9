"""A mixture of several densities of one family, for each value of x."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.special import ndtri

from vaekl.data.spec import DataSpec, Support
from vaekl.model.likelihoods.auto import named, single_value_families
from vaekl.model.likelihoods.base import Likelihood
from vaekl.model.likelihoods.discretized_logistic import DiscretizedLogistic
from vaekl.system.checks import one_of, whole
from vaekl.system.errors import VaeklError


class Mixture(Likelihood):
    """p(x) = Σ w_k p_k(x), with K components of one family and w = softmax of K logits of the decoder.

    Where the family's φ is a scale, so is that of the mixture: E = −φ ln Σ w_k exp(−E_k/φ), and ln C is the family's.
    Elsewhere E = −φ ln p, a log-sum-exp of energies and constants, and ln C = 0.

    η holds K times a logit and the family's outputs.

    Source: Bishop 1994, "Mixture density networks".
    """

    name = "mixture"
    # those of the family, once it is chosen
    accepts: tuple[Support, ...] = ()

    def __init__(self, family: str = "gaussian", components: int = 5, options: Mapping[str, Any] | None = None) -> None:
        """Choose the family and how many of it.

        Args:
            family: the name of one of vaekl's.
            components: K.
            options: settings of the family, as `scale=decoder` of a Gaussian.
        """
        self.family = named(one_of(family, "likelihood.family", single_value_families()), **(options or {}))
        if isinstance(self.family, DiscretizedLogistic) and self.family.by_decoder:
            raise VaeklError(
                "likelihood=mixture of discretized_logistic with scale=decoder is likelihood=logistic_mixture: use it."
            )
        self.components = whole(components, "likelihood.components", 1)
        part = self.family
        self.accepts, self.bounds, self.atoms, self.discrete = part.accepts, part.bounds, part.atoms, part.discrete
        self.weighting = part.weighting
        self.scale_power = part.scale_power
        # elsewhere the constants of the components are part of E
        self.needs_constant = part.needs_constant and self.scale_power is not None
        # where a φ that is no scale is learned, it is a shape of the mixture
        self.weighs_energy = self.scale_power is not None or (
            part.weighs_energy and part.weighting != "learned_precision"
        )
        self.energy_depends_on_dispersion = self.scale_power is not None
        self.dispersion_text = part.dispersion_text
        of = f"of {self.components} {part.name}"
        self.energy_text = f"−φ ln Σ w exp(−E/φ), {of}" if self.scale_power is not None else f"−φ ln Σ w p, {of}"
        self.log_norm_const_text = part.log_norm_const_text if self.scale_power is not None else "0"
        self._count_outputs()

    def _count_outputs(self) -> None:
        self.outputs = self.components * (1 + self.family.outputs)

    @property
    def protocol(self) -> str:
        return self.family.protocol

    @property
    def learned_options(self) -> dict[str, float]:
        return {f"options.{option}": value for option, value in self.family.learned_options.items()}

    @property
    def has_log_mass(self) -> bool:
        return self.family.has_log_mass

    def check_spec(self, spec: DataSpec) -> None:
        super().check_spec(spec)
        self.family.check_spec(spec)
        self.bounds = self.family.bounds
        self._count_outputs()

    def needs_every_value(self, spec: DataSpec) -> bool:
        return self.family.needs_every_value(spec)

    def check_support(self, x: Tensor) -> None:
        self.family.check_support(x)

    def check_dispersion(self, dispersion: float) -> None:
        self.family.check_dispersion(dispersion)
        if self.scale_power is None and self.weighs_energy:
            why = f"exp(−E/φ) is no mixture of {self.family.name}"
            self.refuse_dispersion(dispersion, why, "a family whose φ is a scale")

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return -dispersion * self._log_terms(eta, x, dispersion).logsumexp(1)

    def energy_slope(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        share = self._log_terms(eta, x, dispersion).softmax(1)
        slopes = self._of_each(eta, lambda each, values: self.family.energy_slope(each, values, dispersion), x)
        return (share * slopes).sum(1)

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        if self.scale_power is None:
            return torch.zeros_like(eta[:, 0])
        return self.family.log_norm_const(eta[:, 1 : 1 + self.family.outputs], dispersion)

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        means = self._of_each(eta, lambda each: self.family.mean(each, dispersion))
        return (self._log_weights(eta).exp() * means).sum(1)

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        weights = self._log_weights(eta).exp()
        means = self._of_each(eta, lambda each: self.family.mean(each, dispersion))
        variances = self._of_each(eta, lambda each: self.family.variance(each, dispersion))
        apart = means - (weights * means).sum(1, keepdim=True)
        return (weights * (variances + apart.square())).sum(1)

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        chances = self._log_weights(eta).exp().movedim(1, -1)
        which = torch.multinomial(chances.reshape(-1, self.components), 1, generator=generator)
        draws = self._of_each(eta, lambda each: self.family.sample(each, dispersion, generator))
        return draws.gather(1, which.view(chances.shape[:-1]).unsqueeze(1)).squeeze(1)

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        shape = eta[:, 0].shape
        lower, upper = lower.expand(shape), upper.expand(shape)
        masses = self._of_each(
            eta, lambda each, low, high: self.family.log_mass(each, low, high, dispersion), lower, upper
        )
        mass: Tensor = (self._log_weights(eta) + masses).logsumexp(1)
        return mass

    def eta_of_mean(self, mean: Tensor) -> Tensor | None:
        return self._components_at([mean] * self.components)

    def first_dispersion(self, variance: float) -> float | None:
        return self.family.first_dispersion(variance)

    def first_eta(self, mean: Tensor, variance: float) -> Tensor | None:
        # components that begin at one place stay there together for long
        quantiles = (torch.arange(self.components, dtype=torch.float64) + 0.5) / self.components
        places = [mean + variance**0.5 * offset for offset in ndtri(quantiles).tolist()]
        return self._components_at([place.clamp(*self.bounds) for place in places])

    def _components_at(self, means: Sequence[Tensor]) -> Tensor | None:
        """η of components with these means and equal weights; None for a family that has none of a mean."""
        etas = [self.family.eta_of_mean(mean) for mean in means]
        parts = [part for eta in etas if eta is not None for part in (torch.zeros_like(eta[:1]), eta)]
        return torch.cat(parts) if sum(map(len, parts)) == self.outputs else None

    def _log_terms(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        """ln w_k − E_k/φ, with ln C_k where that differs between components, [B, K, *S]."""

        def of(each: Tensor, values: Tensor) -> Tensor:
            if self.scale_power is None:
                return self.family.log_prob(each, values, dispersion)
            return -self.family.energy(each, values, dispersion) / dispersion

        return self._log_weights(eta) + self._of_each(eta, of, x)

    def _log_weights(self, eta: Tensor) -> Tensor:
        logits: Tensor = eta.unflatten(1, (self.components, -1))[:, :, 0]
        log_weights: Tensor = logits.log_softmax(1)
        return log_weights

    def _of_each(self, eta: Tensor, answer: Callable[..., Tensor], *values: Tensor) -> Tensor:
        """The family's answer for every component, [B, K, *S], from its η [B·K, P, *S] and values [B·K, *S]."""
        each = eta.unflatten(1, (self.components, -1))[:, :, 1:].flatten(0, 1)
        repeated = [value.repeat_interleave(self.components, 0) for value in values]
        answers: Tensor = answer(each, *repeated).unflatten(0, (-1, self.components))
        return answers
