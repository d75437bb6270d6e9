"""One table of families × parameters × dispersions, and what each density is according to scipy and mpmath.

Nothing in `EXACT` calls vaekl: the tests compare the code with these, never with itself.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import mpmath as mp
import numpy as np
import torch
from scipy import stats
from scipy.special import logit

from vaekl.model.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    CensoredGaussian,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    Likelihood,
    Logistic,
    LogisticMixture,
    LogitNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    TruncatedGaussian,
    ZeroInflatedNegativeBinomial,
)

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


#: family -> (likelihood, the same law from an independent source as a function of η and φ)
EXACT = {
    "gaussian": (Gaussian(), lambda eta, phi: stats.norm(eta[0], np.sqrt(phi))),
    "gaussian, sigmoid link": (Gaussian("sigmoid"), lambda eta, phi: stats.norm(1 / (1 + np.exp(-eta[0])), phi**0.5)),
    "laplace": (Laplace(), lambda eta, phi: stats.laplace(eta[0], phi)),
    "logistic": (Logistic(), lambda eta, phi: stats.logistic(eta[0], phi)),
    # the decoder's scale is its floor + exp of the second output
    "gaussian, scale by decoder": (
        Gaussian(scale="decoder", min_scale=0.02),
        lambda eta, phi: stats.norm(eta[0], (0.02 + np.exp(eta[1])) * np.sqrt(phi)),
    ),
    "laplace, scale by decoder": (
        Laplace("sigmoid", scale="decoder", min_scale=0.05),
        lambda eta, phi: stats.laplace(1 / (1 + np.exp(-eta[0])), (0.05 + np.exp(eta[1])) * phi),
    ),
    "logistic, scale by decoder": (
        Logistic(scale="decoder"),
        lambda eta, phi: stats.logistic(eta[0], (1e-3 + np.exp(eta[1])) * phi),
    ),
    "student_t": (StudentT(), lambda eta, phi: stats.t(5, eta[0], np.sqrt(phi))),
    "student_t, all by decoder": (
        StudentT(scale="decoder", df="decoder"),
        lambda eta, phi: stats.t(2.01 + np.exp(eta[2]), eta[0], (1e-3 + np.exp(eta[1])) * np.sqrt(phi)),
    ),
    "bernoulli": (Bernoulli(), lambda eta, phi: Masses([0, eta[0] / mp.mpf(phi)])),
    "cb": (ContinuousBernoulli(), lambda eta, phi: ContinuousBernoulliByMpmath(eta[0] / mp.mpf(phi))),
    "beta": (Beta(clamp=0), exact_beta),
    "poisson": (Poisson(), lambda eta, phi: Counts(eta[0])),
    "negative_binomial": (NegativeBinomial(), lambda eta, phi: Counts(eta[0], phi)),
    "zinb, φ by decoder": (
        ZeroInflatedNegativeBinomial("decoder"),
        lambda eta, phi: Counts(eta[0], 1e-6 + np.exp(eta[1]), eta[2]),
    ),
    "categorical": (Categorical(LEVELS), lambda eta, phi: Masses([value / mp.mpf(phi) for value in eta])),
    "discretized_logistic": (DiscretizedLogistic(levels=LEVELS), lambda eta, phi: logistic_law(eta[0], phi)),
    "discretized_logistic, scale by decoder": (
        DiscretizedLogistic("decoder", min_scale=0.02, levels=LEVELS),
        lambda eta, phi: logistic_law(eta[0], decoder_scale(eta[1])),
    ),
    "logistic_mixture": (LogisticMixture(2, min_scale=0.02, levels=LEVELS), lambda eta, phi: mixture_law(eta)),
    "truncated_gaussian": (TruncatedGaussian(), lambda eta, phi: TruncatedByMpmath(eta[0], phi)),
    "censored_gaussian": (CensoredGaussian(), lambda eta, phi: CensoredByMpmath(eta[0], np.sqrt(phi))),
    "censored_gaussian, scale by decoder": (
        CensoredGaussian("decoder", min_scale=0.02),
        lambda eta, phi: CensoredByMpmath(eta[0], (0.02 + np.exp(eta[1])) * np.sqrt(phi)),
    ),
    "logit_normal": (LogitNormal(), lambda eta, phi: LogitNormalByMpmath(eta[0], np.sqrt(phi))),
    "logit_normal, scale by decoder": (
        LogitNormal("decoder", min_scale=0.02),
        lambda eta, phi: LogitNormalByMpmath(eta[0], (0.02 + np.exp(eta[1])) * np.sqrt(phi)),
    ),
}

_LOGITS = [(0.0,), (1e-3,), (-0.7,), (1.9999,), (4.0,), (-11.0,), (60.0,), (-60.0,), (-2.5,)]
_ETAS = {
    "gaussian": [(0.0,), (-3.7,), (250.0,)],
    "gaussian, sigmoid link": [(0.0,), (-3.7,)],
    "laplace": [(0.0,), (-3.7,), (250.0,)],
    "logistic": [(0.0,), (-3.7,), (250.0,)],
    "student_t": [(0.0,), (-3.7,), (250.0,)],
    "student_t, all by decoder": [(0.3, -1.0, 0.5), (-3.7, -40.0, 9.0)],
    "gaussian, scale by decoder": [(0.3, -1.0), (-3.7, -40.0)],
    "laplace, scale by decoder": [(0.3, -1.0)],
    "logistic, scale by decoder": [(0.3, -1.0)],
    "bernoulli": _LOGITS,
    "cb": _LOGITS,
    # x next to 1 has only 16 digits, so β stays above 0.5; Beta's symmetry is tested apart
    "beta": [beta_eta(*ab) for ab in [(1, 1), (0.1, 0.5), (2, 3), (0.3, 40), (900, 700)]],
    "poisson": [(0.0,), (-3.0,), (3.5,)],
    "negative_binomial": [(-3.0,), (1.0,)],
    "zinb, φ by decoder": [(1.0, -1.2, 0.3), (3.0, -30.0, -1.0)],
    "categorical": [(0.0,) * LEVELS, (60.0, -60.0, 0.0, 59.0, 1.0), (0.3, -1.0, 2.0, 0.0, -4.0)],
    "discretized_logistic": [(25.0,), (0.0,), (0.4,), (-0.3,)],
    "discretized_logistic, scale by decoder": [(0.4, -1.0), (1.3, -40.0), (-2.0, 1.0)],
    "truncated_gaussian": [(0.3,), (-0.5,), (1.8,), (-30.0,)],
    "censored_gaussian": [(-30.0,), (1.8,), (-0.5,), (0.3,)],
    "censored_gaussian, scale by decoder": [(0.4, -1.0)],
    "logit_normal": [(0.0,), (1.2,), (-3.0,)],
    "logit_normal, scale by decoder": [(0.4, -1.0)],
    "logistic_mixture": [(0.3, -1.0, 0.2, 0.9, -2.0, -1.0), (-30.0, 2.0, 1.5, -0.1, -50.0, 0.5)],
}
#: where the decoder gives all, φ has nothing to say
_DISPERSIONS = {family: [0.01, 0.3, 1.0, 4.0] for family in EXACT} | {
    "beta": [1.0, 1.7, 4.0],
    "discretized_logistic, scale by decoder": [1.0, 4.0],
    "logistic_mixture": [1.0, 4.0],
    "negative_binomial": [0.3, 1.0, 4.0],
    "poisson": [1.0],
    "zinb, φ by decoder": [1.0],
}


@dataclass(frozen=True)
class Case:
    """One density of the table; η and φ are those of a single value of x."""

    family: str
    eta: tuple[float, ...]
    phi: float

    def __str__(self):
        return f"{self.family}({', '.join(f'{value:.4g}' for value in self.eta)}; φ={self.phi:g})"

    @property
    def likelihood(self) -> Likelihood:
        return EXACT[self.family][0]

    @property
    def exact(self):
        return EXACT[self.family][1](self.eta, self.phi)

    @property
    def discrete(self):
        return getattr(self.exact, "discrete", False)

    def tensors(self, count, dtype=torch.float64):
        """(η, φ) of `count` examples of one value."""
        eta = torch.tensor(self.eta, dtype=dtype).view(1, -1, 1, 1, 1).expand(count, -1, 1, 1, 1)
        return eta, torch.full((1, 1, 1), self.phi, dtype=dtype)

    def measure(self):
        """Points x and weights w with ∫ f = Σ w f(x), or Σ over the support: a trapezoid after a substitution.

        x = e^t/(1 + e^t) on (0, 1) and x = μ ± e^t on ℝ turn ends, spikes and the kink of |x − μ| into smooth tails.
        """
        if self.discrete:
            return torch.arange(len(self.exact.masses)).double(), torch.ones(len(self.exact.masses)).double()
        step = 0.02
        if self.likelihood.bounds == (0, 1):
            t = torch.arange(-400, 36, step, dtype=torch.float64)
            atoms = t.new_tensor(self.likelihood.atoms)
            weights = step * t.sigmoid() * (-t).sigmoid()
            return torch.cat([t.sigmoid(), atoms]), torch.cat([weights, torch.ones_like(atoms)])
        t = torch.arange(-40, 8, step, dtype=torch.float64)
        return torch.cat([self.exact.mean() - t.exp(), self.exact.mean() + t.exp()]), step * t.exp().repeat(2)

    def points(self):
        """A few x from the bulk and the tails."""
        if self.discrete:
            return self.measure()[0]
        if self.likelihood.bounds == (0, 1):
            return torch.tensor([1e-9, 0.003, 0.25, 0.5, 0.8, 0.9999, *self.likelihood.atoms]).double()
        offsets = torch.tensor([-6, -1, -0.1, 0, 0.2, 3, 5]).double()
        return self.exact.mean() + float(self.exact.std()) * offsets


CASES = [Case(family, eta, phi) for family in EXACT for eta in _ETAS[family] for phi in _DISPERSIONS[family]]
# below φ = 1 Beta is a density only where both tempered parameters stay positive
CASES += [Case("beta", beta_eta(2, 3), 0.01), Case("beta", beta_eta(0.8, 5), 0.5), Case("beta", beta_eta(1, 1), 0.1)]
assert len({str(case) for case in CASES}) == len(CASES)


def p_value(exact, draws):
    """How probable draws as odd as these are under the exact law: Kolmogorov–Smirnov, or χ² if it is discrete."""
    draws = np.asarray(draws).ravel()
    if not getattr(exact, "discrete", False):
        below = exact.cdf(draws)
        for end, mass in getattr(exact, "ends", {}).items():  # spread over the jump, they are uniform there too
            jump = np.random.default_rng(0).uniform(0, float(mass), (draws == end).sum())
            below[draws == end] = jump if end == 0 else 1 - jump
        return stats.kstest(below, "uniform").pvalue
    expected = np.array([float(mass) for mass in exact.masses]) * len(draws)
    counts = np.bincount(draws.astype(int), minlength=len(expected))
    common = expected >= 5
    if not counts[~common].sum() <= 5 + 5 * expected[~common].sum():
        return 0.0
    if common.sum() == 1:
        return 1.0
    shown = counts[common]
    return stats.chisquare(shown, expected[common] * shown.sum() / expected[common].sum()).pvalue
