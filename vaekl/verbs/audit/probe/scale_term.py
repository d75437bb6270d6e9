"""A scale of p(x|z) that the loss is given: what the error is divided by, and the logarithm that belongs to it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vaekl.verbs.audit.probe.caller import CallError
from vaekl.verbs.audit.probe.energy import EXACT, Term
from vaekl.verbs.audit.probe.fits import Array, fit
from vaekl.verbs.audit.probe.search import Call

#: s -> D, which the error is divided by
_DIVISORS: dict[str, Callable[[Array], Array]] = {
    "exp(s)": np.exp,
    "exp(2·s)": lambda s: np.exp(2 * s),
    "s": lambda s: s,
    "s²": lambda s: s**2,
    "softplus(s)": lambda s: np.logaddexp(0, s),
    "softplus(s)²": lambda s: np.logaddexp(0, s) ** 2,
    "exp(−s)": lambda s: np.exp(-s),
}
_PLACES = (np.array([-1.2, -0.6, 0.0, 0.4, 0.9, 1.5]), np.array([0.3, 0.5, 0.8, 1.2, 1.9, 2.6]))


@dataclass(frozen=True)
class ScaleTerm:
    """Σ (error/D + share · ln D).

    Args:
        divisor: D as a function of the argument s; "" where no function fits.
        share: of the logarithm that belongs to the density: 1 is right, 0 is none.
        weight: the error's coefficient at D = 1, of one value.
        residual: of the fit.
        single: whether there is one scale for all values.
    """

    divisor: str
    share: float = 0.0
    weight: float = 0.0
    residual: float = 0.0
    single: bool = False


def read_scale(call: Call, term: Term) -> ScaleTerm | None:
    """What the loss makes of a predicted scale; None where it has none, or does not depend on it."""
    if "x_scale" not in call.reach:
        return None
    size = term.at(0.8, 1.0) - term.at(call.point.level["x_hat"], 1.0)
    ratio = size / term.weight
    best = ScaleTerm("", residual=1.0)
    for places in _PLACES:
        try:
            points = [call.point.everywhere("x_scale", float(s)) for s in places]
            whole = np.array([call.caller.value(point) for point in points])
            steps = np.array([call.caller.value(point.put("x_hat", 0.8)) for point in points]) - whole
        except CallError:
            continue
        for name, divisor_of in _DIVISORS.items():
            divisor = divisor_of(places)
            if not (divisor > 0).all():
                continue
            error = fit(steps, 1 / divisor)
            if error.residual > max(best.residual, EXACT):
                continue
            weight = error.coefficients[0] / ratio
            both = fit(whole, 1 / divisor, np.log(divisor), np.ones_like(places))
            residual = max(error.residual, both.residual)
            if residual < best.residual:
                count = call.point.sizes.values * call.point.sizes.batch
                share = both.coefficients[1] / (weight * count)
                best = ScaleTerm(name, share, weight, residual, call.point.sizes.scalar_scale)
        if best.residual < EXACT:
            break
    return best
