"""The reconstruction that the optimiser sees, where a part of the value has no gradient: read by the slopes alone."""

from dataclasses import replace

import numpy as np

from vaekl.verbs.audit.probe.caller import CallError
from vaekl.verbs.audit.probe.designed import Point
from vaekl.verbs.audit.probe.energy import DOMAINS, EXACT, FURTHER, PLAIN, Domain, Family, Term, fits
from vaekl.verbs.audit.probe.fits import Array
from vaekl.verbs.audit.probe.gradients import first_of
from vaekl.verbs.audit.probe.pixels import Reconstruction
from vaekl.verbs.audit.probe.search import Call

_STEP = 1e-6


def read_seen(call: Call) -> Reconstruction | None:
    """The term whose slope autograd gives along one x̂; None where no family has that slope."""
    slopes_of = {_slope_of(family): family for family in (*PLAIN, *FURTHER)}
    for domain in DOMAINS:
        values = _grid(call, domain)
        if values is None:
            continue
        with np.errstate(all="ignore"):
            for term in fits(values, *domain.grids(), tuple(slopes_of)):
                if term.residual < EXACT:
                    families = tuple((slopes_of[family], weight) for family, weight in term.families)
                    seen = Term(families, term.parameter, term.residual)
                    return Reconstruction(seen, domain.name, data_part="?", residual=term.residual, is_seen_part=True)
    return None


def seen_slope(call: Call, point: Point) -> float | None:
    """What autograd gives along the first x̂ of the first image."""
    try:
        return first_of(call.caller.gradients(point).get("x_hat"))
    except CallError:
        return None


def _grid(call: Call, domain: Domain) -> Array | None:
    values = np.empty((len(domain.a), len(domain.b)))
    for row, a in enumerate(domain.a):
        for column, b in enumerate(domain.b):
            slope = seen_slope(call, call.point.put("x_hat", a).put("x", b))
            if slope is None or not np.isfinite(slope):
                return None
            values[row, column] = slope
    return values


def _slope_of(family: Family) -> Family:
    def values(a: Array, b: Array, parameter: float) -> Array:
        above, below = (family.values(a + sign * _STEP, b, parameter) for sign in (1, -1))
        slopes: Array = (above - below) / (2 * _STEP)
        return slopes

    return replace(family, values=values)
