"""The masses of bins according to mpmath in 60 digits, of η, φ and two edges that are its numbers."""

import mpmath as mp
from exact_laws import normal_mass


def two_sided(centre, lower, upper, below):
    """A symmetric law's mass, without a difference of numbers near 1; `below` is its CDF left of the centre."""
    lower, upper = lower - centre, upper - centre
    if lower >= 0:
        return below(-lower) - below(-upper)
    return below(upper) - below(lower) if upper <= 0 else 1 - below(lower) - below(-upper)


def gaussian_mass(eta, phi, lower, upper):
    return two_sided(eta[0], lower, upper, lambda x: mp.erfc(-x / mp.sqrt(2 * phi)) / 2)


def laplace_mass(eta, phi, lower, upper):
    return two_sided(eta[0], lower, upper, lambda x: mp.exp(x / phi) / 2)


def logistic_mass(eta, phi, lower, upper):
    return two_sided(eta[0], lower, upper, lambda x: mp.exp(x / phi) / (1 + mp.exp(x / phi)))


def beta_below(alpha, beta, x):
    """I_x(α, β) = xᵅ(1−x)ᵝ/(α B) Σ ∏ (α+β+k)/(α+1+k) x, whose terms are all positive (DLMF 8.17.8)."""
    if x in (0, 1):
        return x
    term = total = mp.mpf(1)
    k = 0
    while term > total * mp.mpf(10) ** -50:
        term *= (alpha + beta + k) / (alpha + 1 + k) * x
        total, k = total + term, k + 1
    log_beta = mp.loggamma(alpha) + mp.loggamma(beta) - mp.loggamma(alpha + beta)
    return mp.exp(alpha * mp.log(x) + beta * mp.log1p(-x) - log_beta) * total / alpha


def student_t_mass(eta, phi, lower, upper):
    """By the beta density of ν/(ν + t²), or of t²/(ν + t²) near 0, where its series ends sooner; ν = 5."""
    nu, half = mp.mpf(5), mp.mpf(1) / 2

    def below(x):
        if x == -mp.inf:
            return mp.mpf(0)
        t = x * x / phi
        if t > nu / 10:
            return beta_below(nu / 2, half, nu / (nu + t)) / 2
        return (1 - beta_below(half, nu / 2, t / (nu + t))) / 2

    return two_sided(eta[0], lower, upper, below)


def scaled(mass, power):
    """Of a decoder that gives s = 1e-3 + exp(η₂)."""
    return lambda eta, phi, lower, upper: mass(eta, phi * (mp.mpf("1e-3") + mp.exp(eta[1])) ** power, lower, upper)


def cb_mass(eta, phi, lower, upper):
    a, lower, upper = eta[0] / phi, max(lower, mp.mpf(0)), min(upper, mp.mpf(1))
    return (mp.exp(a * upper) - mp.exp(a * lower)) / mp.expm1(a) if a else upper - lower


def beta_parameters(eta, phi):
    return [(mp.log1p(mp.exp(value)) + mp.mpf(1e-4) - 1) / phi + 1 for value in eta]


def beta_mass(eta, phi, lower, upper):
    """Differences of I_x(α, β)."""
    alpha, beta = beta_parameters(eta, phi)
    lower, upper = max(lower, mp.mpf(0)), min(upper, mp.mpf(1))
    if (lower + upper) / 2 > alpha / (alpha + beta):
        alpha, beta, lower, upper = beta, alpha, 1 - upper, 1 - lower
    return beta_below(alpha, beta, upper) - beta_below(alpha, beta, lower)


def truncated_mass(eta, phi, lower, upper):
    mu, sigma = eta[0], mp.sqrt(phi)
    edges = [(min(max(edge, mp.mpf(0)), mp.mpf(1)) - mu) / sigma for edge in (lower, upper, -mp.inf, mp.inf)]
    return normal_mass(*edges[:2]) / normal_mass(*edges[2:])


def censored_mass(eta, phi, lower, upper):
    return gaussian_mass(eta, phi, -mp.inf if lower < 0 else lower, mp.inf if upper >= 1 else upper)


def logit_normal_mass(eta, phi, lower, upper):
    ends = [-mp.inf if edge <= 0 else mp.inf if edge >= 1 else mp.log(edge / (1 - edge)) for edge in (lower, upper)]
    return normal_mass(*((end - eta[0]) / mp.sqrt(phi) for end in ends))
