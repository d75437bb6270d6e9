"""One file a family; Bernoulli and its continuous twin side by side."""

from vaekl.likelihoods.base import Likelihood
from vaekl.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from vaekl.likelihoods.beta import Beta
from vaekl.likelihoods.categorical import Categorical
from vaekl.likelihoods.location_scale import Gaussian, Laplace

__all__ = ["Bernoulli", "Beta", "Categorical", "ContinuousBernoulli", "Gaussian", "Laplace", "Likelihood"]
