"""What the tests of weightings share: every weighting, every likelihood, and a small VAE on grey images."""

import torch

from vaekl.data import DataSpec
from vaekl.model.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    CensoredGaussian,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    Logistic,
    LogisticMixture,
    LogitNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    TruncatedGaussian,
    ZeroInflatedNegativeBinomial,
)
from vaekl.model.nets import mlp
from vaekl.model.vae import VAE
from vaekl.model.weighting import CBNormalizer, FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision

SHAPE = (2, 3, 4)
GROUPS = {"scalar": (1, 1, 1), "channel": (2, 1, 1), "pixel": SHAPE}
#: axes of [N, C, H, W] over which one φ is shared
SHARED = {"scalar": (0, 1, 2, 3), "channel": (0, 2, 3), "pixel": (0,)}

LIKELIHOODS = {
    "gaussian": Gaussian(),
    "laplace": Laplace(),
    "logistic": Logistic(),
    "student_t": StudentT(),
    "by decoder": Gaussian(scale="decoder"),
    "bernoulli": Bernoulli(),
    "cb": ContinuousBernoulli(),
    "beta": Beta(),
    "censored_gaussian": CensoredGaussian(),
    "truncated_gaussian": TruncatedGaussian(),
    "logit_normal": LogitNormal(),
    "categorical": Categorical(5),
    "discretized_logistic": DiscretizedLogistic(levels=5),
    "logistic_mixture": LogisticMixture(2, levels=5),
    "poisson": Poisson(),
    "negative_binomial": NegativeBinomial(),
    "zinb": ZeroInflatedNegativeBinomial(),
}
WEIGHTINGS = {
    "fixed_beta": FixedBeta,
    "fixed_dispersion": FixedDispersion,
    "cb_normalizer": CBNormalizer,
    "learned_precision": LearnedPrecision,
    "optimal_precision": OptimalPrecision,
}


def images(count=16, seed=0):
    """Grey images [count, 2, 3, 4] strictly inside (0, 1), each pixel with a spread of its own."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.linspace(0.05, 0.9, 24).view(1, *SHAPE)
    return 0.05 + spread * torch.rand(count, *SHAPE, generator=generator)


def model_of(likelihood, weighting, seed=0, support="unit_interval", levels=None):
    """A VAE whose first weights depend on the seed alone."""
    torch.manual_seed(seed)
    nets = mlp(SHAPE, likelihood.outputs, 3, (9,), activation="tanh")
    return VAE(DataSpec("grey", SHAPE, levels, support), nets, likelihood, weighting, 3)


def noise_of(count=16, seed=1):
    """Posterior noise [count, 3]."""
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
