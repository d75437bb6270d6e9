"""Every figure of a density in 60 digits, and how large the terms are of which it is made."""

from functools import cache

import mpmath as mp
import numpy as np
from law_parts import LEVELS
from likelihood_laws import LAWS


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
    """Every figure of one value with the size of its terms, as pairs of floats or of arrays over η or over levels.

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
    figures = [law.energy(eta, x, phi), constant(eta), *slopes, *law.moments(eta, phi)]
    names = ("energy", "constant", "energy_slope", "constant_slope", "mean", "variance")
    pairs = {key: (np.array(value, float), float(size)) for key, value, size in zip(names, figures, sizes, strict=True)}
    pairs["log_prob"] = float(law.log_prob(eta, x, phi)), float(sizes[0] / phi + sizes[1])
    total = np.array([of_constant - of_energy / phi for of_energy, of_constant in zip(*slopes, strict=True)], float)
    pairs["log_prob_slope"] = total, float(sizes[2] / phi + sizes[3])
    if law.data in ("binary", "levels"):
        each = [law.log_prob(eta, mp.mpf(k), phi) for k in range(2 if law.data == "binary" else LEVELS)]
        pairs["masses"] = np.array([mp.exp(value) for value in each], float), 0.0
    if learned(law.likelihood):
        by_phi = slope(lambda v: law.log_prob(eta, x, v[0]), [phi], 0)
        pairs["dispersion_slope"] = float(by_phi), float((sizes[0] / phi + sizes[1] + 1) / phi)
    return pairs
