"""vaekl's distributions with parameters, each beside the same law from SciPy or mpmath."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import mpmath as mp
import numpy as np
import torch
from scipy import stats
from scipy.special import expit

from vaekl.distributions import (
    Beta,
    CensoredGaussian,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Logistic,
    LogitNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    TruncatedGaussian,
    ZeroInflatedNegativeBinomial,
)


class ContinuousBernoulliByMpmath:
    """p(x) = a eᵃˣ/(eᵃ − 1) on [0, 1], in 60 digits."""

    def __init__(self, logits):
        self.a = mp.mpf(logits)

    def logpdf(self, x):
        with mp.workdps(60):
            return float(self.a * mp.mpf(x) - (mp.log(mp.expm1(self.a) / self.a) if self.a else 0))

    def cdf(self, x):
        with mp.workdps(60):
            return float(mp.expm1(self.a * mp.mpf(x)) / mp.expm1(self.a)) if self.a else x

    def mean(self):
        with mp.workdps(60):
            return float(1 / (1 - mp.exp(-self.a)) - 1 / self.a) if self.a else 0.5

    def var(self):
        with mp.workdps(60):
            return float(1 / self.a**2 - 1 / (4 * mp.sinh(self.a / 2) ** 2)) if self.a else 1 / 12

    def kl(self, other):
        with mp.workdps(60):
            log_constants = [mp.log(mp.expm1(a) / a) if a else mp.mpf(0) for a in (self.a, other.a)]
            mean = 1 / (1 - mp.exp(-self.a)) - 1 / self.a if self.a else mp.mpf(0.5)
            return float((self.a - other.a) * mean - log_constants[0] + log_constants[1])

    def support(self):
        return 0.0, 1.0


def discretized_logistic(loc, scale, levels=5):
    """The masses that SciPy's logistic gives to the levels."""
    exact, edges = stats.logistic(loc * (levels - 1), scale * (levels - 1)), np.arange(levels - 1) + 0.5
    # of the tail that is smaller, so that its digits are not lost
    below, above = exact.cdf(edges), exact.sf(edges)
    inner = np.where(edges[1:] < exact.mean(), np.diff(below), -np.diff(above))
    return stats.rv_discrete(values=(np.arange(levels), [below[0], *inner, above[-1]]))


class CensoredBySciPy:
    """y moved to the nearest point of [0, 1], y normal; 0 and 1 have a probability."""

    ends = (0.0, 1.0)

    def __init__(self, loc, scale):
        self.normal = stats.norm(loc, scale)

    def logpdf(self, x):
        return {0.0: self.normal.logcdf(0), 1.0: self.normal.logsf(1)}.get(float(x), self.normal.logpdf(x))

    def cdf(self, x):
        return np.where(x < 1, self.normal.cdf(x), 1.0)

    def ppf(self, u):
        return np.clip(self.normal.ppf(u), 0, 1)

    def mean(self):
        return self.normal.expect(lambda y: y, 0, 1, epsabs=1e-13) + self.normal.sf(1)

    def var(self):
        square = self.normal.expect(lambda y: y**2, 0, 1, epsabs=1e-13) + self.normal.sf(1)
        return square - self.mean() ** 2


class LogitNormalBySciPy:
    """sigmoid(y), y normal."""

    def __init__(self, loc, scale):
        self.normal = stats.norm(loc, scale)

    def logpdf(self, x):
        return self.normal.logpdf(np.log(x / (1 - x))) - np.log(x) - np.log1p(-x)

    def cdf(self, x):
        return self.normal.cdf(np.log(x / (1 - x)))

    def ppf(self, u):
        return expit(self.normal.ppf(u))

    def mean(self):
        return self.normal.expect(expit, epsabs=1e-13)

    def var(self):
        mean = self.mean()
        return self.normal.expect(lambda y: (expit(y) - mean) ** 2, epsabs=1e-13)


def negative_binomial(rate, overdispersion):
    return stats.nbinom(1 / overdispersion, 1 / (1 + overdispersion * rate))


class ZeroInflated:
    """A law on counts with more zeros."""

    def __init__(self, rate, overdispersion, zero_logits):
        self.counts, self.zero = negative_binomial(rate, overdispersion), expit(zero_logits)

    def logpmf(self, x):
        return np.log(self.zero * (x == 0) + (1 - self.zero) * self.counts.pmf(x))

    def cdf(self, x):
        return self.zero + (1 - self.zero) * self.counts.cdf(x)

    def ppf(self, u):
        return self.counts.ppf(max(0.0, (u - self.zero) / (1 - self.zero))).clip(0)

    def mean(self):
        return (1 - self.zero) * self.counts.mean()

    def var(self):
        return (1 - self.zero) * (self.counts.var() + self.counts.mean() ** 2) - self.mean() ** 2


@dataclass(frozen=True)
class Law:
    """A class of distributions.

    Args:
        make: the class.
        exact: the same law from an independent source, of the same parameters.
        parameters: some of each, as one batch.
        wrong: values that are refused.
        outside: an x beyond the support, or None.
    """

    make: Callable[..., Any]
    exact: Callable[..., Any]
    parameters: dict[str, tuple[float, ...]]
    wrong: dict[str, float]
    outside: float | None

    def batch(self, dtype=torch.float64, grad=False):
        """The distributions, and their parameters."""
        tensors = {name: torch.tensor(values, dtype=dtype) for name, values in self.parameters.items()}
        for tensor in tensors.values():
            tensor.requires_grad_(grad)
        return self.make(**tensors), tensors

    def each(self):
        """The exact law of each in the batch."""
        rows = zip(*self.parameters.values(), strict=True)
        return [self.exact(**dict(zip(self.parameters, row, strict=True))) for row in rows]

    def points(self):
        """Some x [N, batch] in the bulk and in the tails, moved off whole numbers' halves."""
        below = (1e-3, 0.1, 0.4, 0.5, 0.8, 0.99)
        law = self.batch()[0]
        if law.support.is_discrete:
            columns = [[float(exact.ppf(u)) for u in below] for exact in self.each()]
        else:
            columns = [[quantile(exact, u) for u in below] for exact in self.each()]
        return torch.tensor(columns, dtype=torch.float64).T


def quantile(exact, u):
    """The x with P(X ≤ x) = u, by bisection where the law has no ppf."""
    if hasattr(exact, "ppf"):
        return float(exact.ppf(u))
    lower, upper = exact.support()
    for _ in range(60):
        middle = (lower + upper) / 2
        lower, upper = (middle, upper) if exact.cdf(middle) < u else (lower, middle)
    return middle


def sigmoid(probability):
    return float(np.log(probability / (1 - probability)))


LAWS = {
    "cb": Law(
        ContinuousBernoulli,
        ContinuousBernoulliByMpmath,
        {"logits": (0.0, 1e-3, -0.7, 4.0, -11.0, 60.0, -300.0)},
        {"logits": float("nan"), "probs": 1.5},
        1.25,
    ),
    "cb, probs": Law(
        ContinuousBernoulli,
        lambda probs: ContinuousBernoulliByMpmath(sigmoid(probs)),
        {"probs": (0.5, 0.501, 0.2, 0.999)},
        {"probs": -0.5},
        -0.25,
    ),
    "beta": Law(
        Beta,
        lambda concentration1, concentration0: stats.beta(concentration1, concentration0),
        {"concentration1": (1.0, 0.7, 2.0, 900.0), "concentration0": (1.0, 0.5, 3.0, 700.0)},
        {"concentration1": 0.0, "concentration0": -1.0},
        1.25,
    ),
    "logistic": Law(
        Logistic,
        lambda loc, scale: stats.logistic(loc, scale),
        {"loc": (0.0, -3.7, 250.0), "scale": (1.0, 0.01, 30.0)},
        {"loc": float("nan"), "scale": 0.0},
        None,
    ),
    "discretized_logistic": Law(
        partial(DiscretizedLogistic, levels=5),
        discretized_logistic,
        {"loc": (0.0, 0.4, 1.3, 0.5), "scale": (0.2, 0.05, 1.0, 20.0)},
        {"loc": float("nan"), "scale": -1.0},
        5.0,
    ),
    "student_t": Law(
        StudentT,
        lambda df, loc, scale: stats.t(df, loc, scale),
        {"df": (2.5, 5.0, 70.0), "loc": (0.0, -3.7, 250.0), "scale": (1.0, 0.01, 30.0)},
        {"df": 0.0, "loc": float("nan"), "scale": -1.0},
        None,
    ),
    "poisson": Law(Poisson, lambda rate: stats.poisson(rate), {"rate": (0.3, 4.0, 900.0)}, {"rate": 0.0}, 1.5),
    "negative_binomial": Law(
        NegativeBinomial,
        negative_binomial,
        {"rate": (0.3, 4.0, 900.0), "overdispersion": (2.0, 0.5, 0.01)},
        {"rate": 0.0, "overdispersion": -1.0},
        -1.0,
    ),
    "zinb": Law(
        ZeroInflatedNegativeBinomial,
        ZeroInflated,
        {"rate": (0.3, 4.0, 90.0), "overdispersion": (2.0, 0.5, 0.01), "zero_logits": (0.0, -2.0, 1.0)},
        {"rate": 0.0, "overdispersion": -1.0, "zero_logits": float("nan")},
        0.5,
    ),
    "truncated_gaussian": Law(
        TruncatedGaussian,
        lambda loc, scale: stats.truncnorm(-loc / scale, (1 - loc) / scale, loc, scale),
        {"loc": (0.4, -0.5, 1.7), "scale": (0.2, 0.4, 1.0)},
        {"loc": float("nan"), "scale": 0.0},
        1.25,
    ),
    "censored_gaussian": Law(
        CensoredGaussian,
        CensoredBySciPy,
        {"loc": (0.4, -0.5, 1.7), "scale": (0.2, 0.4, 1.0)},
        {"loc": float("nan"), "scale": 0.0},
        1.25,
    ),
    "logit_normal": Law(
        LogitNormal,
        LogitNormalBySciPy,
        {"loc": (0.0, -1.7, 2.0), "scale": (1.0, 0.1, 2.0)},
        {"loc": float("nan"), "scale": -1.0},
        1.25,
    ),
}
