"""Laws according to scipy and mpmath, by their textbooks' formulas; nothing here calls vaekl."""

from functools import cache
from itertools import pairwise

import mpmath as mp
import numpy as np
from scipy import stats
from scipy.special import logit

mp.mp.dps = 60
LEVELS = 5


class Masses:
    """A law on {0..K−1}, from unnormalised log-masses."""

    discrete = True

    def __init__(self, log_masses):
        masses = [mp.exp(mp.mpf(value)) for value in log_masses]
        self.masses = [mass / mp.fsum(masses) for mass in masses]

    def logpdf(self, x):
        return np.array([float(mp.log(self.masses[int(value)])) for value in np.ravel(x)])

    def mean(self):
        return float(mp.fsum(k * mass for k, mass in enumerate(self.masses)))

    def var(self):
        mean = mp.fsum(k * mass for k, mass in enumerate(self.masses))
        return float(mp.fsum((k - mean) ** 2 * mass for k, mass in enumerate(self.masses)))


class Counts(Masses):
    """A law on {0, 1, 2, ...} with mean μ and variance μ + φμ², and zeros in place of a share π of its draws."""

    def __init__(self, log_mean, phi=0, logit=None):
        mean, phi = mp.exp(mp.mpf(log_mean)), mp.mpf(phi)
        mass = mp.exp(-mp.log1p(phi * mean) / phi if phi else -mean)
        self.masses = []
        while len(self.masses) <= max(mean, 30) or mass > mp.mpf(10) ** -25:
            self.masses.append(mass)
            k = len(self.masses)
            mass *= mean * (1 + phi * (k - 1)) / (k * (1 + phi * mean))
        if logit is not None:
            more = 1 / (1 + mp.exp(-mp.mpf(logit)))
            self.masses = [(1 - more) * mass + more * (k == 0) for k, mass in enumerate(self.masses)]


class ContinuousBernoulliByMpmath:
    """p(x) = a eᵃˣ/(eᵃ − 1) on [0, 1], in 60 digits."""

    discrete = False

    def __init__(self, a):
        self.a = mp.mpf(a)

    def logpdf(self, x):
        log_scale = mp.log(mp.expm1(self.a) / self.a) if self.a else mp.mpf(0)
        return np.array([float(self.a * mp.mpf(float(value)) - log_scale) for value in np.ravel(x)])

    def cdf(self, x):
        if not self.a:
            return np.ravel(x)
        total = mp.expm1(self.a)
        return np.array([float(mp.expm1(self.a * mp.mpf(float(value))) / total) for value in np.ravel(x)])

    def mean(self):
        return float(1 / (1 - mp.exp(-self.a)) - 1 / self.a) if self.a else 0.5

    def var(self):
        return float(1 / self.a**2 - 1 / (4 * mp.sinh(self.a / 2) ** 2)) if self.a else 1 / 12


def exact_beta(eta, phi):
    alpha, beta = (float(mp.log1p(mp.exp(value)) + mp.mpf("1e-4")) for value in eta)
    return stats.beta((alpha - 1) / phi + 1, (beta - 1) / phi + 1)


def beta_eta(alpha, beta):
    """The η that gives Beta(α, β): softplus(η) + 1e-4."""
    return tuple(float(np.log(np.expm1(value - 1e-4))) if value < 30 else value - 1e-4 for value in (alpha, beta))


def logistic_masses(location, scale):
    """The logistic density over the bin of each level, where levels are k/(levels − 1); the end bins take the tails."""
    edges = [-mp.inf, *((k - mp.mpf("0.5")) / (LEVELS - 1) for k in range(1, LEVELS)), mp.inf]
    at = [(edge - mp.mpf(location)) / mp.mpf(scale) for edge in edges]

    def between(a, b):  # in the tail where the difference keeps its digits
        return 1 / (1 + mp.exp(-b)) - 1 / (1 + mp.exp(-a)) if a + b < 0 else 1 / (1 + mp.exp(a)) - 1 / (1 + mp.exp(b))

    return [between(*pair) for pair in pairwise(at)]


def logistic_law(location, scale):
    return Masses([mp.log(mass) for mass in logistic_masses(location, scale)])


def decoder_scale(raw):
    """With a floor of 0.02."""
    return mp.mpf("0.02") + mp.exp(min(raw, 5))


def mixture_law(eta):
    """Of η (two logits, two locations, two logarithms of scales)."""
    parts = zip(eta[:2], eta[2:4], eta[4:], strict=True)
    each = [[mp.exp(a) * m for m in logistic_masses(mu, decoder_scale(raw))] for a, mu, raw in parts]
    return Masses([mp.log(sum(masses)) for masses in zip(*each, strict=True)])


def normal_mass(a, b):
    """Φ(b) − Φ(a), in the tail where the difference keeps its digits."""
    a, b = (a, b) if a + b < 0 else (-b, -a)
    return mp.ncdf(b) - mp.ncdf(a)


class TruncatedByMpmath:
    """N(μ, φ) on [0, 1] by the textbook's formulas, in 60 digits."""

    discrete = False

    def __init__(self, mu, phi):
        self.mu, self.sigma = mp.mpf(float(mu)), mp.sqrt(mp.mpf(phi))
        self.a, self.b = -self.mu / self.sigma, (1 - self.mu) / self.sigma
        self.total = normal_mass(self.a, self.b)
        self.off = (mp.npdf(self.a) - mp.npdf(self.b)) / self.total

    def logpdf(self, x):
        at = [(mp.mpf(float(value)) - self.mu) / self.sigma for value in np.ravel(x)]
        return np.array([float(mp.log(mp.npdf(z) / self.total / self.sigma)) for z in at])

    def cdf(self, x):
        a, b, z = float(self.a), float(self.b), (np.ravel(x) - float(self.mu)) / float(self.sigma)
        return stats.truncnorm(a, b).cdf(z)

    def mean(self):
        return float(self.mu + self.sigma * self.off)

    def var(self):
        ends = (self.a * mp.npdf(self.a) - self.b * mp.npdf(self.b)) / self.total
        return float(self.sigma**2 * (1 + ends - self.off**2))


class CensoredByMpmath:
    """N(μ, σ²) with the tails beyond [0, 1] at 0 and 1, by the textbook's formulas."""

    discrete = False

    def __init__(self, mu, sigma):
        self.mu, self.sigma = mp.mpf(float(mu)), mp.mpf(float(sigma))
        self.a, self.b = -self.mu / self.sigma, (1 - self.mu) / self.sigma
        self.ends = {0.0: mp.ncdf(self.a), 1.0: mp.ncdf(-self.b)}

    def logpdf(self, x):
        masses = [self.ends.get(v, mp.npdf((v - self.mu) / self.sigma) / self.sigma) for v in map(float, np.ravel(x))]
        return np.array([float(mp.log(mass)) for mass in masses])

    def cdf(self, x):
        x = np.ravel(x)
        return np.where(x < 1, stats.norm(float(self.mu), float(self.sigma)).cdf(x), 1.0)

    def moments(self):
        with mp.workdps(200):  # in a tail the formulas lose most of the digits
            inside, slopes = normal_mass(self.a, self.b), mp.npdf(self.a) - mp.npdf(self.b)
            mean = mp.ncdf(-self.b) + self.mu * inside + self.sigma * slopes
            square = self.sigma**2 * (inside + self.a * mp.npdf(self.a) - self.b * mp.npdf(self.b))
            square += mp.ncdf(-self.b) + self.mu**2 * inside + 2 * self.mu * self.sigma * slopes
            return float(mean), float(square - mean**2)

    def mean(self):
        return self.moments()[0]

    def var(self):
        return self.moments()[1]


@cache
def logit_normal_moments(mu, sigma):
    """Mean and variance by quadrature."""
    with mp.workdps(25):
        mu, sigma = mp.mpf(mu), mp.mpf(sigma)
        step = min(max(-mu / sigma, -35), 35)
        ends = sorted({-40, *range(-10, 11, 2), 40, step, *(step + s * 10 / sigma for s in (-1, 1))})

        def expected(function):
            return mp.quad(lambda z: function(1 / (1 + mp.exp(-mu - sigma * z))) * mp.npdf(z), ends)

        mean = expected(lambda x: x)
        return float(mean), float(expected(lambda x: (x - mean) ** 2))


class LogitNormalByMpmath:
    """sigmoid(N(μ, σ²))."""

    discrete = False

    def __init__(self, mu, sigma):
        self.mu, self.sigma = float(mu), float(sigma)

    def z(self, x):
        return (mp.log(x) - mp.log(1 - x) - self.mu) / self.sigma

    def logpdf(self, x):
        values = [mp.mpf(float(value)) for value in np.ravel(x)]
        return np.array([float(mp.log(mp.npdf(self.z(v)) / self.sigma / v / (1 - v))) for v in values])

    def cdf(self, x):
        return stats.norm(self.mu, self.sigma).cdf(logit(np.ravel(x)))

    def mean(self):
        return logit_normal_moments(self.mu, self.sigma)[0]

    def var(self):
        return logit_normal_moments(self.mu, self.sigma)[1]
