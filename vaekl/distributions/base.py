"""A family of vaekl's as a PyTorch `Distribution`: the family has the formulas, and this class the shapes."""

from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all

from vaekl.model.likelihoods import Likelihood
from vaekl.model.likelihoods.numerics import float32_at_least

_ONE = torch.Size()


class LikelihoodDistribution(Distribution):
    """Base class. A subclass names its parameters in `arg_constraints`, and says in `_eta` which η and φ they are.

    Families whose gradients are written out, for accuracy, have first derivatives only. Log-probabilities and entropies
    are in nats.

    Shapes:
        - `value`: x of `log_prob` and `cdf`, and the probability of `icdf`; broadcasts against batch_shape [...], which
          is that of the parameters. A result has the shape of both together.

    Args:
        likelihood: the family.
        parameters: the values of those in `arg_constraints`, which broadcast against each other; float32 at least.
        validate_args: as in PyTorch.
    """

    likelihood: Likelihood

    def __init__(self, likelihood: Likelihood, parameters: dict[str, Any], validate_args: bool | None = None) -> None:
        self.likelihood = likelihood
        tensors = broadcast_all(*parameters.values())
        for name, tensor in zip(parameters, tensors, strict=True):
            setattr(self, name, float32_at_least(tensor, tensor.dtype))
        super().__init__(tensors[0].shape, validate_args=validate_args)

    def _eta(self) -> tuple[Tensor, Tensor]:
        """η [*batch_shape, P] and φ, which broadcasts against [*batch_shape]."""
        raise NotImplementedError

    def _at(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """η [B, P, *S] and φ for values of a shape: here those of a single image."""
        eta, dispersion = self._eta()
        return eta.expand(*shape, eta.shape[-1]).movedim(-1, 0).unsqueeze(0), dispersion.expand(shape)

    def _call(self, method: str, shape: torch.Size, *values: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """What the family's method gives for values of a shape, in a type as wide as theirs."""
        eta, dispersion = self._at(shape)
        eta = eta.to(torch.promote_types(eta.dtype, dtype or eta.dtype))
        images = [value.expand(shape).reshape(len(eta), *eta.shape[2:]) for value in values]
        result: Tensor = getattr(self.likelihood, method)(eta, *images, dispersion.to(eta.dtype))
        return result.reshape(shape)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = type(self).__new__(type(self)) if _instance is None else _instance
        new.__dict__.update(self.__dict__)
        new._batch_shape = torch.Size(batch_shape)
        for name in self.arg_constraints:
            if name in self.__dict__:
                setattr(new, name, getattr(self, name).expand(new.batch_shape))
        return new

    @constraints.dependent_property(event_dim=0)
    def support(self) -> Any:
        lower, upper = self.likelihood.bounds
        if self.likelihood.discrete:
            return constraints.nonnegative_integer if upper == inf else constraints.integer_interval(lower, upper)
        if (lower, upper) == (-inf, inf):
            return constraints.real
        return constraints.greater_than_eq(lower) if upper == inf else constraints.interval(lower, upper)

    @property
    def mean(self) -> Tensor:
        return self._call("mean", self.batch_shape)

    @property
    def variance(self) -> Tensor:
        return self._call("variance", self.batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        # a float64 x keeps its digits beside parameters in float32
        return self._call("log_prob", torch.broadcast_shapes(value.shape, self.batch_shape), value, dtype=value.dtype)

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        shape = torch.broadcast_shapes(value.shape, self.batch_shape)
        below = self._below(value.detach().double(), shape)
        if self.likelihood.discrete or not value.requires_grad:
            return below
        # the mass knows no gradient of its edge, which is the density
        return below + (value - value.detach()) * self.log_prob(value).exp().detach()

    def _below(self, value: Tensor, shape: torch.Size) -> Tensor:
        """P(X ≤ value); float64 in."""
        return self._call("log_mass", shape, torch.full_like(value, -inf), value).exp()

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self.likelihood.discrete and isfinite(self.likelihood.bounds[1]) and not self.likelihood.coupled

    def enumerate_support(self, expand: bool = True) -> Tensor:
        if not self.has_enumerate_support:
            raise NotImplementedError(f"{type(self).__name__} has no finite support.")
        first, last = (round(bound) for bound in self.likelihood.bounds)
        values = torch.arange(first, last + 1, dtype=self.mean.dtype, device=self.mean.device)
        values = values.view(-1, *[1] * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values

    def entropy(self) -> Tensor:
        if not self.has_enumerate_support:
            raise NotImplementedError(f"{type(self).__name__} has no entropy in closed form.")
        log_prob = self.log_prob(self.enumerate_support(expand=False))
        return -(log_prob.exp() * log_prob).sum(0)

    def _check_probability(self, value: Tensor) -> None:
        """Refuse what is no probability, for an `icdf`."""
        if self._validate_args and not constraints.unit_interval.check(value).all():
            raise ValueError(f"The icdf of {type(self).__name__} takes probabilities in [0, 1].")

    def sample(self, sample_shape: Any = _ONE) -> Tensor:
        with torch.no_grad():
            return self._draw(self._extended_shape(sample_shape))

    def rsample(self, sample_shape: Any = _ONE) -> Tensor:
        if not self.has_rsample:
            raise NotImplementedError(f"{type(self).__name__} has no draws with a gradient.")
        return self._draw(self._extended_shape(sample_shape))

    def _draw(self, shape: torch.Size) -> Tensor:
        return self._call("sample", shape)
