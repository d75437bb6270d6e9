"""What each density is, in 60 digits, and how large the terms are that it adds up; nothing here calls vaekl or torch.

`LAWS` names vaekl's likelihood beside each law, and leaves it alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import mpmath as mp
import numpy as np
from likelihood_cases import CensoredByMpmath, logit_normal_moments

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
    LogitNormal,
    Poisson,
    StudentT,
    TruncatedGaussian,
)

mp.mp.dps = 60
LEVELS, CLAMP = 5, 1e-4


def softplus(a):
    return mp.log1p(mp.exp(a))


def sigmoid(a):
    return 1 / (1 + mp.exp(-a))


def identity(a):
    return a


@dataclass(frozen=True)
class Law:
    """A family by name: how it is drawn, and what it is.

    Args:
        likelihood: vaekl's.
        energy: of (η, x, φ).
        log_prob: of (η, x, φ).
        moments: mean and variance, of (η, φ).
        sizes: the terms in E, in ln C, in dE/dη, in d ln C/dη, in the mean and in the variance, of (η, x, φ,
            float64), see `exact`.
        data: "real", "unit", "open" (without the ends), "binary", "counts" or "levels".
        least: the smallest exponent of ten of φ.
    """

    likelihood: Likelihood
    energy: Callable
    log_prob: Callable
    moments: Callable
    sizes: Callable
    data: str
    least: float = -6


def location_scale(family, log_prob, power, link=identity):
    """E = |x − μ|^power/power. A sigmoid link rounds μ and 1 − μ; without it x − μ is rounded once."""

    def sizes(eta, x, phi, float64):
        mu, rounded = link(eta[0]), int(link is sigmoid)
        off, constant = abs(x - mu), 1 + abs(mp.log(phi))
        slope = (rounded * mu if power == 2 else 0) + (off if power == 2 else 1)
        energy = off**power + rounded * mu * (off if power == 2 else 1)
        return energy, constant, slope, 0, abs(mu), phi if power == 2 else 2 * phi**2

    return Law(
        family("sigmoid" if link is sigmoid else "identity"),
        lambda eta, x, phi: abs(x - link(eta[0])) ** power / power,
        lambda eta, x, phi: log_prob(x - link(eta[0]), phi),
        lambda eta, phi: (link(eta[0]), phi if power == 2 else 2 * phi**2),
        sizes,
        "unit" if link is sigmoid else "real",
    )


def normal(off, phi):
    sigma = mp.sqrt(phi)
    return -((off / sigma) ** 2) / 2 - mp.log(sigma * mp.sqrt(2 * mp.pi))


def double_exponential(off, phi):
    return -abs(off) / phi - mp.log(2 * phi)


def cross_entropy(eta, x, phi):
    return softplus(eta[0]) - eta[0] * x


def bernoulli_moments(eta, phi):
    return sigmoid(eta[0] / phi), sigmoid(eta[0] / phi) * sigmoid(-eta[0] / phi)


def bernoulli_sizes(eta, x, phi, float64):
    b, (mean, variance) = abs(eta[0]), bernoulli_moments(eta, phi)
    c = b / phi
    # an error of one part in c turns into c such parts of e^-c
    constant, slope = softplus(-b) / phi + (1 + c) * softplus(-c), (sigmoid(-b) + (1 + c) * sigmoid(-c)) / phi
    return 1 + b, constant, 1, slope, mean * (1 + c), variance * (1 + c)


def cb_log_prob(eta, x, phi):
    a = eta[0] / phi
    return a * x - mp.log(mp.expm1(a) / a) if a else mp.mpf(0)


def cb_moments(eta, phi):
    a = eta[0] / phi
    if not a:
        return mp.mpf(1) / 2, mp.mpf(1) / 12
    # the closed forms lose twice as many digits as a has zeros
    with mp.workdps(70 + 2 * max(0, int(-mp.log10(abs(a))))):
        return 1 / (1 - mp.exp(-a)) - 1 / a, 1 / a**2 - 1 / (4 * mp.sinh(a / 2) ** 2)


def cb_sizes(eta, x, phi, float64):
    energy, constant, slope, tempered_slope, *_ = bernoulli_sizes(eta, x, phi, float64)
    a, (mean, variance) = abs(eta[0] / phi), cb_moments(eta, phi)
    of_log_c = abs(mean - sigmoid(eta[0] / phi))
    return energy, constant + mp.log(2 + a), slope, tempered_slope * (phi != 1) + of_log_c / phi, mean, variance


def beta_parameters(eta, phi):
    return [(softplus(value) + CLAMP - 1) / phi + 1 for value in eta]


def beta_energy(eta, x, phi):
    alpha, beta = beta_parameters(eta, 1)
    return (1 - alpha) * mp.log(x) + (1 - beta) * mp.log(1 - x)


def beta_log_prob(eta, x, phi):
    alpha, beta = beta_parameters(eta, phi)
    log_beta = mp.loggamma(alpha) + mp.loggamma(beta) - mp.loggamma(alpha + beta)
    return (alpha - 1) * mp.log(x) + (beta - 1) * mp.log(1 - x) - log_beta


def beta_moments(eta, phi):
    alpha, beta = beta_parameters(eta, phi)
    total = alpha + beta
    return alpha / total, alpha * beta / (total**2 * (total + 1))


def beta_sizes(eta, x, phi, float64):
    """α and β are rounded to the type of η, and ln Γ of them is added up in float64 whatever that is."""
    (alpha, beta), (a, b) = beta_parameters(eta, 1), beta_parameters(eta, phi)
    ends = abs(mp.log(x)), abs(mp.log(1 - x))
    log_gammas = [abs(mp.loggamma(v)) for v in (a, b, a + b)]
    constant = abs(beta_log_prob(eta, x, phi) + beta_energy(eta, x, phi) / phi) + float64 * sum(log_gammas)
    constant += sum(v * abs(mp.digamma(a + b) - mp.digamma(v)) for v in (a, b))
    slopes = [abs(mp.digamma(v)) + v * mp.psi(1, v) for v in (a, b, a + b)]
    energy = (1 + alpha) * ends[0] + (1 + beta) * ends[1]
    return energy, constant, max(ends), max(slopes) / phi, *beta_moments(eta, phi)


def log_mean(eta):
    return min(eta, mp.mpf(17)) + mp.log1p(max(eta - 17, 0))


def poisson_energy(eta, x, phi):
    return mp.exp(log_mean(eta[0])) - x * log_mean(eta[0]) + mp.loggamma(x + 1)


def poisson_sizes(eta, x, phi, float64):
    """η is rounded, and with it μ."""
    mean, rounded = mp.exp(log_mean(eta[0])), 2 + abs(log_mean(eta[0]))
    off, size = abs(mean - x), mean * rounded
    return 2 + poisson_energy(eta, x, phi) + off * rounded, 0, size + off, 0, size, size


def masses(eta, phi):
    each = [mp.exp((a - max(eta)) / phi) for a in eta]
    return [mass / mp.fsum(each) for mass in each]


def categorical_moments(eta, phi):
    law = masses(eta, phi)
    mean = mp.fsum(k * mass for k, mass in enumerate(law))
    return mean, mp.fsum((k - mean) ** 2 * mass for k, mass in enumerate(law))


def categorical_sizes(eta, x, phi, float64):
    top, (mean, variance) = max(abs(a) for a in eta), categorical_moments(eta, phi)
    rounded = 1 + top / phi
    energy = max(eta) - eta[int(x)] + LEVELS
    return energy, LEVELS * (1 + 1 / phi), LEVELS, LEVELS / phi, mean * rounded, (variance + mean) * rounded


def logistic_energy(eta, x, phi):
    return 2 * phi * mp.log(mp.cosh((x - eta[0]) / (2 * phi)))


def logistic_log_prob(eta, x, phi):
    u = abs(x - eta[0]) / phi
    return -u - 2 * mp.log1p(mp.exp(-u)) - mp.log(phi)


def logistic_sizes(eta, x, phi, float64):
    return abs(x - eta[0]) + 2 * phi, 2 + abs(mp.log(phi)), 1, 0, abs(eta[0]), mp.pi**2 / 3 * phi**2


def student_t_energy(eta, x, phi):
    return 3 * phi * mp.log1p((x - eta[0]) ** 2 / (5 * phi))


def student_t_log_prob(eta, x, phi):
    """(8/3π√5)/√φ · (1 + r²/5φ)^−3."""
    return mp.log(8 / (3 * mp.pi * mp.sqrt(5 * phi))) - 3 * mp.log1p((x - eta[0]) ** 2 / (5 * phi))


def student_t_sizes(eta, x, phi, float64):
    off = abs(x - eta[0])
    slope = 6 * phi * off / (5 * phi + off**2)
    return student_t_energy(eta, x, phi), 1 + abs(mp.log(phi)), slope, 0, abs(eta[0]), 5 * phi / 3


FLOOR = mp.mpf("1e-3")


def decoder_scale(raw):
    return min(FLOOR + mp.exp(raw), mp.exp(32))


def scaled_log_prob(eta, x, phi):
    s = decoder_scale(eta[1])
    return normal((x - eta[0]) / s, phi) - mp.log(s)


def scaled_sizes(eta, x, phi, float64):
    """ln s is added up of the floor's logarithm and η₂, and s loses as many digits as ln s has."""
    s = decoder_scale(eta[1])
    lost = 1 + abs(mp.log(FLOOR)) + abs(mp.log(s)) + abs(eta[1] - mp.log(FLOOR)) * mp.exp(eta[1]) / s * (s < mp.exp(32))
    square = ((x - eta[0]) / s) ** 2
    slope = abs(x - eta[0]) / s**2 + square
    return lost * square, lost + abs(mp.log(phi)), lost * slope, lost, abs(eta[0]), lost * s**2 * phi


LEAST_SCALE = mp.mpf("5e-4")


class Logistics:
    """The masses of LEVELS bins under a logistic density, and how its rounding grows.

    Args:
        location: μ, on the scale where levels are k/(levels − 1).
        scale: s, on the same.
        lost: by how many roundings s is off.
    """

    def __init__(self, location, scale, lost=1):
        self.centre, self.scale = location * (LEVELS - 1), scale * (LEVELS - 1)
        #: by how many roundings the argument of a sigmoid is off
        self.lost = lost * (abs(self.centre) + LEVELS) / self.scale

    def tails(self, k):
        """P(X < k) and P(X ≥ k), each with all of its digits."""
        u = (k - mp.mpf(1) / 2 - self.centre) / self.scale
        return sigmoid(u) if k > 0 else mp.mpf(0), sigmoid(-u) if k > 0 else mp.mpf(1)

    def mass(self, k):
        low, high = self.tails(k), (mp.mpf(1), mp.mpf(0)) if k == LEVELS - 1 else self.tails(k + 1)
        return high[0] - low[0] if high[0] < 0.5 else low[1] - high[1]

    def size(self, k):
        """Of −ln mass, and of its slope in centre/scale."""
        low, high = self.tails(k), (mp.mpf(1), mp.mpf(0)) if k == LEVELS - 1 else self.tails(k + 1)
        steep = self.lost * (low[0] + high[1])
        bends = self.lost * (low[0] * low[1] + high[0] * high[1])
        return 10 + abs(mp.log(self.mass(k))) + abs(mp.log(self.scale)) + steep, 2 + bends

    def moments(self):
        law = [self.mass(k) for k in range(LEVELS)]
        mean = mp.fsum(k * mass for k, mass in enumerate(law))
        return mean, mp.fsum((k - mean) ** 2 * mass for k, mass in enumerate(law))

    def moment_sizes(self):
        off = mp.fsum(min(self.tails(k)) for k in range(1, LEVELS)) * (1 + self.lost)
        return LEVELS + off, LEVELS * off + 1e-300


def shared_sizes(eta, x, phi, float64):
    logistics = Logistics(eta[0], phi)
    nats, slope = logistics.size(int(x))
    return phi * nats, 0, slope, 0, *logistics.moment_sizes()


def scale_of(raw):
    """The decoder's scale, and by how many roundings it is off."""
    scale = LEAST_SCALE + mp.exp(min(raw, 5))
    return scale, 2 + abs(mp.log(LEAST_SCALE)) + abs(mp.log(scale))


def decoder_logistics(eta):
    return Logistics(eta[0], *scale_of(eta[1]))


def decoder_sizes(eta, x, phi, float64):
    logistics = decoder_logistics(eta)
    nats, slope = logistics.size(int(x))
    far = (abs(int(x) - logistics.centre) + 1) / logistics.scale + (LEVELS - 1) / logistics.scale
    return phi * nats, 0, phi * slope * (1 + far), 0, *logistics.moment_sizes()


def normal_mass(a, b):
    a, b = (a, b) if a + b < 0 else (-b, -a)
    return mp.ncdf(b) - mp.ncdf(a)


def truncated_log_prob(eta, x, phi):
    sigma = mp.sqrt(phi)
    total = normal_mass(-eta[0] / sigma, (1 - eta[0]) / sigma)
    return normal(x - eta[0], phi) - mp.log(total)


def truncated_moments(eta, phi):
    """The formulas lose as many digits as μ²/φ has, and as φ has."""
    with mp.workdps(150):
        sigma = mp.sqrt(phi)
        a, b = -eta[0] / sigma, (1 - eta[0]) / sigma
        total = normal_mass(a, b)
        off = (mp.npdf(a) - mp.npdf(b)) / total
        return eta[0] + sigma * off, phi * (1 + (a * mp.npdf(a) - b * mp.npdf(b)) / total - off**2)


def truncated_sizes(eta, x, phi, float64):
    """The rule of nodes is right to 3e-13, which is more than float64's rounding."""
    rule = 3000 if float64 == 1 else 10
    peak = min(max(eta[0], 0), 1)
    far, (mean, variance) = abs(peak - eta[0]), truncated_moments(eta, phi)
    spread = mp.sqrt(variance + (mean - peak) ** 2)
    constant = far**2 / phi + 1 + rule + abs(mp.log(spread))
    slope = (far + rule * spread) / phi
    return (x - eta[0]) ** 2, constant, abs(x - eta[0]), slope, mean + rule * spread, rule * variance


def logit_normal_log_prob(eta, x, phi):
    return normal(mp.log(x) - mp.log(1 - x) - eta[0], phi) - mp.log(x) - mp.log(1 - x)


def logit_normal_sizes(eta, x, phi, float64):
    ends = abs(mp.log(x)) + abs(mp.log(1 - x))
    off = abs(mp.log(x) - mp.log(1 - x) - eta[0])
    energy = off**2 + off * (ends + abs(eta[0])) + phi * ends
    mean, variance = logit_normal_moments(float(eta[0]), float(mp.sqrt(phi)))
    # μ is rounded before it is divided by σ, which moves the step of a sigmoid
    moved = 40 * (1 + abs(eta[0]))
    return energy, 1 + abs(mp.log(phi)), ends + off + abs(eta[0]), 0, mean * moved + 1e-14, variance * moved + 1e-12


def censored_log_prob(eta, x, phi):
    if 0 < x < 1:
        return normal(x - eta[0], phi)
    return mp.log(mp.ncdf((-eta[0] if x == 0 else eta[0] - 1) / mp.sqrt(phi)))


def censored_sizes(eta, x, phi, float64):
    """What is between the ends has a mass and moments by the rule of nodes of a truncated Gaussian."""
    sigma, rule = mp.sqrt(phi), 3000 if float64 == 1 else 10
    if 0 < x < 1:
        energy, slope = (x - eta[0]) ** 2 + phi * (1 + abs(mp.log(phi))), abs(x - eta[0])
    else:
        z = (-eta[0] if x == 0 else eta[0] - 1) / sigma
        ratio = mp.npdf(z) / mp.ncdf(z)
        # z is off by some roundings, the ratio by as many z(z + ratio), and torch's erfcx by some in float32
        lost = ratio * (3 + abs(z * (z + ratio)))
        energy, slope = phi * (1 + abs(mp.log(mp.ncdf(z))) + abs(z) * lost), sigma * lost
    mean, variance = CensoredByMpmath(eta[0], sigma).moments()
    lost = rule + max(0, -eta[0], eta[0] - 1) ** 2 / phi
    near = min(mean, 1) if eta[0] < 0.5 else 1
    return energy, 0, slope, 0, near * lost, variance * lost


LAWS = {
    "censored_gaussian": Law(
        CensoredGaussian(),
        lambda eta, x, phi: -phi * censored_log_prob(eta, x, phi),
        censored_log_prob,
        lambda eta, phi: CensoredByMpmath(eta[0], mp.sqrt(phi)).moments(),
        censored_sizes,
        "unit",
    ),
    "truncated_gaussian": Law(
        TruncatedGaussian(),
        lambda eta, x, phi: (x - eta[0]) ** 2 / 2,
        truncated_log_prob,
        truncated_moments,
        truncated_sizes,
        "unit",
    ),
    "logit_normal": Law(
        LogitNormal(),
        lambda eta, x, phi: (mp.log(x) - mp.log(1 - x) - eta[0]) ** 2 / 2 + phi * mp.log(x * (1 - x)),
        logit_normal_log_prob,
        lambda eta, phi: logit_normal_moments(float(eta[0]), float(mp.sqrt(phi))),
        logit_normal_sizes,
        "open",
        -3,
    ),
    "logistic": Law(
        Logistic(),
        logistic_energy,
        logistic_log_prob,
        lambda eta, phi: (eta[0], mp.pi**2 / 3 * phi**2),
        logistic_sizes,
        "real",
    ),
    "student_t": Law(
        StudentT(),
        student_t_energy,
        student_t_log_prob,
        lambda eta, phi: (eta[0], 5 * phi / 3),
        student_t_sizes,
        "real",
    ),
    "gaussian, scale by decoder": Law(
        Gaussian(scale="decoder"),
        lambda eta, x, phi: ((x - eta[0]) / decoder_scale(eta[1])) ** 2 / 2,
        scaled_log_prob,
        lambda eta, phi: (eta[0], decoder_scale(eta[1]) ** 2 * phi),
        scaled_sizes,
        "real",
    ),
    "discretized_logistic": Law(
        DiscretizedLogistic(levels=LEVELS),
        lambda eta, x, phi: -phi * mp.log(Logistics(eta[0], phi).mass(int(x))),
        lambda eta, x, phi: mp.log(Logistics(eta[0], phi).mass(int(x))),
        lambda eta, phi: Logistics(eta[0], phi).moments(),
        shared_sizes,
        "levels",
        -3,
    ),
    "discretized_logistic, scale by decoder": Law(
        DiscretizedLogistic("decoder", levels=LEVELS),
        lambda eta, x, phi: -phi * mp.log(decoder_logistics(eta).mass(int(x))),
        lambda eta, x, phi: mp.log(decoder_logistics(eta).mass(int(x))),
        lambda eta, phi: decoder_logistics(eta).moments(),
        decoder_sizes,
        "levels",
        -3,
    ),
    "gaussian": location_scale(Gaussian, normal, 2),
    "gaussian, sigmoid link": location_scale(Gaussian, normal, 2, sigmoid),
    "laplace": location_scale(Laplace, double_exponential, 1),
    "laplace, sigmoid link": location_scale(Laplace, double_exponential, 1, sigmoid),
    "bernoulli": Law(
        Bernoulli(),
        cross_entropy,
        lambda eta, x, phi: -softplus((1 - 2 * x) * eta[0] / phi),
        bernoulli_moments,
        bernoulli_sizes,
        "binary",
    ),
    "cb": Law(ContinuousBernoulli(), cross_entropy, cb_log_prob, cb_moments, cb_sizes, "unit"),
    "beta": Law(Beta(CLAMP), beta_energy, beta_log_prob, beta_moments, beta_sizes, "unit", 0),
    "poisson": Law(
        Poisson(),
        poisson_energy,
        lambda eta, x, phi: -poisson_energy(eta, x, phi) / phi,
        lambda eta, phi: (mp.exp(log_mean(eta[0])),) * 2,
        poisson_sizes,
        "counts",
    ),
    "categorical": Law(
        Categorical(LEVELS),
        lambda eta, x, phi: -mp.log(masses(eta, 1)[int(x)]),
        lambda eta, x, phi: (eta[int(x)] - max(eta)) / phi - mp.log(sum(mp.exp((a - max(eta)) / phi) for a in eta)),
        categorical_moments,
        categorical_sizes,
        "levels",
    ),
}


def learned(likelihood):
    """Whether φ may be learned."""
    return likelihood.scale_power is not None or likelihood.weighting == "learned_precision"


def slope(function, values, i):
    """The central difference in the i-th value, whose error is its step squared."""
    step = mp.mpf(10) ** -20
    ends = [function([v + sign * step * (i == j) for j, v in enumerate(values)]) for sign in (1, -1)]
    return (ends[0] - ends[1]) / (2 * step)


@cache
def exact(name, eta, x, phi, float64):
    """Every figure of one value with the size of its terms, as pairs of floats or of arrays over η.

    Args:
        name: of the law.
        eta: its parameters.
        x: the value.
        phi: the dispersion.
        float64: float64's rounding over that of the type in which they are computed.
    """
    law, eta, x, phi = LAWS[name], [mp.mpf(v) for v in eta], mp.mpf(x), mp.mpf(phi)

    def constant(values):
        return law.log_prob(values, x, phi) + law.energy(values, x, phi) / phi

    sizes = law.sizes(eta, x, phi, float64)
    slopes = [[slope(part, eta, i) for i in range(len(eta))] for part in (lambda v: law.energy(v, x, phi), constant)]
    found = [law.energy(eta, x, phi), constant(eta), *slopes, *law.moments(eta, phi)]
    names = ("energy", "constant", "energy_slope", "constant_slope", "mean", "variance")
    pairs = {key: (np.array(value, float), float(size)) for key, value, size in zip(names, found, sizes, strict=True)}
    pairs["log_prob"] = float(law.log_prob(eta, x, phi)), float(sizes[0] / phi + sizes[1])
    total = np.array([of_constant - of_energy / phi for of_energy, of_constant in zip(*slopes, strict=True)], float)
    pairs["log_prob_slope"] = total, float(sizes[2] / phi + sizes[3])
    if learned(law.likelihood):
        by_phi = slope(lambda v: law.log_prob(eta, x, v[0]), [phi], 0)
        pairs["dispersion_slope"] = float(by_phi), float((sizes[0] / phi + sizes[1] + 1) / phi)
    return pairs
