"""Families of p(x|z), one file each; base says what a family is, and location_scale what those with a μ share."""

from vaekl.model.likelihoods.auto import AutoLikelihood
from vaekl.model.likelihoods.base import Likelihood
from vaekl.model.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from vaekl.model.likelihoods.beta import Beta
from vaekl.model.likelihoods.categorical import Categorical
from vaekl.model.likelihoods.censored_gaussian import CensoredGaussian
from vaekl.model.likelihoods.columns import Columns
from vaekl.model.likelihoods.discretized_logistic import DiscretizedLogistic
from vaekl.model.likelihoods.gaussian import Gaussian
from vaekl.model.likelihoods.laplace import Laplace
from vaekl.model.likelihoods.logistic import Logistic
from vaekl.model.likelihoods.logistic_mixture import LogisticMixture
from vaekl.model.likelihoods.logit_normal import LogitNormal
from vaekl.model.likelihoods.mixture import Mixture
from vaekl.model.likelihoods.negative_binomial import NegativeBinomial
from vaekl.model.likelihoods.poisson import Poisson
from vaekl.model.likelihoods.student_t import StudentT
from vaekl.model.likelihoods.truncated_gaussian import TruncatedGaussian
from vaekl.model.likelihoods.zinb import ZeroInflatedNegativeBinomial

__all__ = [
    "AutoLikelihood",
    "Bernoulli",
    "Beta",
    "Categorical",
    "CensoredGaussian",
    "Columns",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "Gaussian",
    "Laplace",
    "Likelihood",
    "Logistic",
    "LogisticMixture",
    "LogitNormal",
    "Mixture",
    "NegativeBinomial",
    "Poisson",
    "StudentT",
    "TruncatedGaussian",
    "ZeroInflatedNegativeBinomial",
]
