"""Families of p(x|z): location_scale (Gaussian, Laplace), bernoulli (and its continuous twin), beta, categorical."""

from vaekl.model.likelihoods.base import Likelihood
from vaekl.model.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from vaekl.model.likelihoods.beta import Beta
from vaekl.model.likelihoods.categorical import Categorical
from vaekl.model.likelihoods.location_scale import Gaussian, Laplace

__all__ = ["Bernoulli", "Beta", "Categorical", "ContinuousBernoulli", "Gaussian", "Laplace", "Likelihood"]
