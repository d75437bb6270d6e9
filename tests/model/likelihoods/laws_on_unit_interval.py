"""The exact laws of binary values and of [0, 1]: E, ln p, moments, and how large the terms are that they add up."""

import mpmath as mp
from exact_laws import CensoredByMpmath, logit_normal_moments
from law_parts import CLAMP, normal, normal_mass, sigmoid, softplus


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
