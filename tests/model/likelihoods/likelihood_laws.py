"""What each density is, in 60 digits, and how large the terms are that it adds up; nothing here calls vaekl or torch.

`LAWS` names vaekl's likelihood beside each law, and leaves it alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp
from exact_laws import CensoredByMpmath, logit_normal_moments
from law_parts import CLAMP, LEVELS, identity, normal, sigmoid, softplus
from laws_on_levels import (
    Logistics,
    categorical_moments,
    categorical_sizes,
    decoder_logistics,
    decoder_sizes,
    masses,
    shared_sizes,
)
from laws_on_unit_interval import (
    bernoulli_moments,
    bernoulli_sizes,
    beta_energy,
    beta_log_prob,
    beta_moments,
    beta_sizes,
    cb_log_prob,
    cb_moments,
    cb_sizes,
    censored_log_prob,
    censored_sizes,
    cross_entropy,
    logit_normal_log_prob,
    logit_normal_sizes,
    truncated_log_prob,
    truncated_moments,
    truncated_sizes,
)

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


def double_exponential(off, phi):
    return -abs(off) / phi - mp.log(2 * phi)


def log_mean(eta):
    return min(eta, mp.mpf(17)) + mp.log1p(max(eta - 17, 0))


def poisson_energy(eta, x, phi):
    return mp.exp(log_mean(eta[0])) - x * log_mean(eta[0]) + mp.loggamma(x + 1)


def poisson_sizes(eta, x, phi, float64):
    """η is rounded, and with it μ."""
    mean, rounded = mp.exp(log_mean(eta[0])), 2 + abs(log_mean(eta[0]))
    off, size = abs(mean - x), mean * rounded
    return 2 + poisson_energy(eta, x, phi) + off * rounded, 0, size + off, 0, size, size


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
