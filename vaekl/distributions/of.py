"""Which distribution a decoder's output is."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, distributions
from torch.distributions import Distribution, constraints

from vaekl.distributions.base import LikelihoodDistribution
from vaekl.distributions.beta import Beta
from vaekl.distributions.continuous_bernoulli import ContinuousBernoulli
from vaekl.distributions.location_scale import Logistic, StudentT
from vaekl.model import likelihoods
from vaekl.model.likelihoods import Likelihood
from vaekl.model.likelihoods.numerics import float32_at_least


class OfDecoder(LikelihoodDistribution):
    """A family at the η of a decoder: any family, also one of the user's own. `of` makes it.

    Args:
        likelihood: the family.
        eta: η [B, P, *S].
        dispersion: φ, a number or with the axes of S.
        validate_args: as in PyTorch.
    """

    arg_constraints: ClassVar = {"dispersion": constraints.positive}
    dispersion: Tensor

    def __init__(
        self, likelihood: Likelihood, eta: Tensor, dispersion: Tensor, validate_args: bool | None = None
    ) -> None:
        self.eta, self._axes = float32_at_least(eta, eta.dtype), eta.ndim - 2
        super().__init__(likelihood, {"dispersion": dispersion}, validate_args)
        self._batch_shape = eta[:, 0].shape

    def _at(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        # S stays as it is: a family may take the values of an image together
        eta = self._eta_of(shape)
        return eta.reshape(-1, *eta.shape[eta.ndim - self._axes - 1 :]), self.dispersion

    def _eta_of(self, shape: torch.Size) -> Tensor:
        """η [*B, P, *S] of distributions of a shape [*B, *S]."""
        images = len(shape) - self._axes
        return self.eta.expand(*shape[:images], self.likelihood.outputs, *shape[images:])

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = type(self).__new__(type(self)) if _instance is None else _instance
        new.__dict__.update(self.__dict__)
        new._batch_shape = torch.Size(batch_shape)
        new.eta = self._eta_of(new.batch_shape)
        return new


def _beta(family: likelihoods.Beta, eta: Tensor, phi: Tensor) -> Distribution:
    # a clamp of x is no part of a density
    return OfDecoder(family, eta, phi) if family.clamp else Beta(*family.concentrations(eta, phi))


#: by the class itself: a subclass may have changed anything
_KNOWN: dict[type[Likelihood], Callable[[Any, Tensor, Tensor], Distribution]] = {
    likelihoods.Bernoulli: lambda family, eta, phi: distributions.Bernoulli(logits=family.logit(eta) / phi),
    likelihoods.Beta: _beta,
    likelihoods.Categorical: lambda family, eta, phi: distributions.Categorical(
        logits=(eta / phi.unsqueeze(0)).movedim(1, -1)
    ),
    likelihoods.ContinuousBernoulli: lambda family, eta, phi: ContinuousBernoulli(logits=family.logit(eta) / phi),
    likelihoods.Gaussian: lambda family, eta, phi: distributions.Normal(family.location(eta), family.width(eta, phi)),
    likelihoods.Laplace: lambda family, eta, phi: distributions.Laplace(family.location(eta), family.width(eta, phi)),
    likelihoods.Logistic: lambda family, eta, phi: Logistic(family.location(eta), family.width(eta, phi)),
    likelihoods.StudentT: lambda family, eta, phi: StudentT(
        family.degrees(eta), family.location(eta), family.width(eta, phi)
    ),
}


def of(likelihood: Likelihood, eta: Tensor, dispersion: Tensor | float = 1.0) -> Distribution:
    """The distribution of x that a decoder's output means: ln p = −E/φ + ln C of each value of x.

    Args:
        likelihood: one of vaekl's families, or of your own.
        eta: the decoder's output η, [B, P, *S].
        dispersion: φ, a number or with the axes of S.

    Returns:
        PyTorch's class where that is exact, else vaekl's; its batch_shape is [B, *S], so that
        `torch.distributions.Independent(..., len(S))` is the distribution of an image.

    Raises:
        VaeklError: under a φ that is a number, the family is no density.

    >>> from vaekl import Gaussian
    >>> of(Gaussian(), torch.zeros(2, 1, 3), 4.0).scale.tolist()
    [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]
    """
    if not isinstance(dispersion, Tensor):
        likelihood.check_dispersion(dispersion)
        dispersion = torch.as_tensor(dispersion, dtype=eta.dtype, device=eta.device)
    phi = dispersion.expand(*[1] * (eta.ndim - 2 - dispersion.ndim), *dispersion.shape)
    return _KNOWN.get(type(likelihood), OfDecoder)(likelihood, eta, phi)
