"""vaekl's densities as `torch.distributions`, for PyTorch loops, Pyro and Lightning: the families' own formulas.

Those that PyTorch computes as exactly itself (Normal, Laplace, Bernoulli, Categorical) are not here twice: `of` gives
PyTorch's class for them.
"""

from vaekl.distributions.base import LikelihoodDistribution
from vaekl.distributions.beta import Beta
from vaekl.distributions.continuous_bernoulli import ContinuousBernoulli
from vaekl.distributions.counts import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from vaekl.distributions.levels import DiscretizedLogistic
from vaekl.distributions.location_scale import Logistic, StudentT
from vaekl.distributions.of import of
from vaekl.distributions.unit_interval import CensoredGaussian, LogitNormal, TruncatedGaussian

__all__ = [
    "Beta",
    "CensoredGaussian",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "LikelihoodDistribution",
    "Logistic",
    "LogitNormal",
    "NegativeBinomial",
    "Poisson",
    "StudentT",
    "TruncatedGaussian",
    "ZeroInflatedNegativeBinomial",
    "of",
]
