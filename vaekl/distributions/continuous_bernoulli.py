"""The continuous Bernoulli distribution."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints, register_kl
from torch.distributions.utils import lazy_property, logits_to_probs, probs_to_logits

from vaekl.distributions.base import LikelihoodDistribution
from vaekl.model import likelihoods
from vaekl.model.likelihoods import continuous_bernoulli as cb


class ContinuousBernoulli(LikelihoodDistribution):
    """Continuous Bernoulli on [0, 1]: ln p(x) = a x − ln((eᵃ − 1)/a) with the logit a; its mean is not sigmoid(a).

    It takes the place of PyTorch's own, which clips its probability: in float32 its ln C is constant from |a| ≈ 16 on,
    and the KL between two of them may be negative (issue 72525). This one is right in the last digits for all a.

    Args:
        probs: sigmoid(a), in [0, 1]; clipped by the type's precision, so that logits are to be preferred.
        logits: a; either of the two.
        validate_args: as in PyTorch.

    Source: Loaiza-Ganem, Cunningham 2019, equations 6 to 9.

    >>> round(ContinuousBernoulli(logits=torch.tensor(50.0)).log_prob(torch.tensor(0.9)).item(), 6)
    -1.087978
    """

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        parameter = {"logits": logits} if probs is None else {"probs": probs}
        super().__init__(likelihoods.ContinuousBernoulli(), parameter, validate_args)

    @lazy_property
    def logits(self) -> Tensor:
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        return logits_to_probs(self.logits, is_binary=True)

    def _eta(self) -> tuple[Tensor, Tensor]:
        return self.logits.unsqueeze(-1), torch.ones_like(self.logits)

    def log_prob(self, value: Tensor) -> Tensor:
        # as the family's at φ = 1, which it would look for
        if self._validate_args:
            self._validate_sample(value)
        a = self.logits.to(torch.promote_types(self.logits.dtype, value.dtype))
        return cb.log_prob(*torch.broadcast_tensors(a, value.to(a.dtype)))

    def icdf(self, value: Tensor) -> Tensor:
        self._check_probability(value)
        return cb.quantile(*torch.broadcast_tensors(self.logits, value))

    def entropy(self) -> Tensor:
        # of −|a|, whose mean has all its digits, the same; ln p is linear in x
        a = -self.logits.abs()
        return -cb.log_prob(a, cb.mean(a))

    def _draw(self, shape: torch.Size) -> Tensor:
        u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        return cb.quantile(self.logits.expand(shape), u)


def _kl(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    # float64, since two numbers are subtracted that nearly agree where p and q do; ln p is linear in x
    a, c = torch.broadcast_tensors(p.logits.double(), q.logits.double())
    mean = cb.mean(a)
    nats = (cb.log_prob(a, mean) - cb.log_prob(c, mean)).clamp(min=0)
    return nats.to(torch.promote_types(p.logits.dtype, q.logits.dtype))


register_kl(ContinuousBernoulli, ContinuousBernoulli)(_kl)
