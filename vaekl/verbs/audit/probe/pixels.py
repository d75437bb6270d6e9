"""The reconstruction: what one value adds to the loss, and whether the values add up at all."""

from dataclasses import dataclass

import numpy as np

from vaekl.verbs.audit.probe.caller import Caller, CallError
from vaekl.verbs.audit.probe.designed import X_HAT, Point, X
from vaekl.verbs.audit.probe.energy import DOMAINS, EXACT, LARGEST_RESIDUAL, Domain, Term, best_term, data_part
from vaekl.verbs.audit.probe.fits import Array, fit
from vaekl.verbs.audit.probe.search import Call


@dataclass(frozen=True)
class Reconstruction:
    """What the loss makes of x̂ and x.

    Args:
        term: one value's, and its coefficient in the loss on the base sizes; None where it depends on no x̂.
        domain: on which values it was looked at.
        together: "" where values add up, else rmse, log_mean_square, log_mean_absolute or unknown.
        across_batch: whether what is not a sum goes over the batch.
        data_part: what stands beside it that depends on x alone; see `data_part`.
        weight: the coefficient of `together`.
        residual: of what was told.
        is_seen_part: whether it is read by its gradient, since another part of the value has none.
    """

    term: Term | None
    domain: str = ""
    together: str = ""
    across_batch: bool = False
    data_part: str = ""
    weight: float = 0.0
    residual: float = 0.0
    is_seen_part: bool = False


def read_reconstruction(call: Call) -> Reconstruction:
    """The term of one value, on the first domain on which a family fits."""
    if "x_hat" not in call.reach:
        return Reconstruction(None)
    if (together := _together(call)) is not None:
        return together
    if call.caller.value(call.point.put("x_hat", 0.8)) == call.caller.value(call.point):
        return Reconstruction(None)  # other values alone change the loss
    best: tuple[Term, Domain, Array] | None = None
    for domain in DOMAINS:
        values = _grid(call, domain)
        if values is None:
            continue
        term = best_term(values, domain, call.caller.has("theta"))
        if best is None or term.residual < 0.5 * best[0].residual:
            best = (term, domain, values)
        if term.residual < EXACT:
            break
    if best is None:
        return Reconstruction(None, residual=1.0)
    term, domain, values = best
    part = data_part(values, domain, term) if term.residual < LARGEST_RESIDUAL else "?"
    return Reconstruction(term, domain.name, data_part=part, residual=term.residual)


def _grid(call: Call, domain: Domain) -> Array | None:
    """The loss where one x̂ and its x take the domain's values; None where it has none."""
    values = np.empty((len(domain.a), len(domain.b)))
    try:
        for row, a in enumerate(domain.a):
            for column, b in enumerate(domain.b):
                values[row, column] = call.caller.value(call.point.put("x_hat", a).put("x", b))
    except CallError:
        return None
    return values


def _together(call: Call) -> Reconstruction | None:
    """What the loss makes of all values at once, where they do not add up."""
    last = call.point.sizes.values - 1
    # neighbours, the two ends, and two images
    pairs = [((0, 0), (0, 1)), ((0, 0), (0, last)), ((0, 0), (1, 0))]
    left = [_interaction(call.caller, call.point, *pair) for pair in pairs]
    if max(left) < 1e-5:
        return None
    within = max(left[:2]) >= 1e-5
    whole = _of_all_errors(call, across_batch=left[2] >= 1e-5)
    if whole is not None:
        return whole
    return Reconstruction(None, together="unknown", across_batch=not within, residual=max(left))


def _interaction(caller: Caller, point: Point, first: tuple[int, int], second: tuple[int, int]) -> float:
    """How much two values change the loss together beside what each does, as a share of that."""

    def at(*places: tuple[int, int]) -> float:
        moved_point = point
        for image, place in places:
            moved_point = moved_point.put("x_hat", 0.9, image, place)
        return caller.value(moved_point)

    start, one, other, both = at(), at(first), at(second), at(first, second)
    size = max(abs(one - start), abs(other - start), 1e-30)
    return abs(both - one - other + start) / size


def _of_all_errors(call: Call, across_batch: bool) -> Reconstruction | None:
    """Whether it is the root or the logarithm of a sum of errors, over an image or over the batch."""
    sizes, values = call.point.sizes, np.linspace(0.05, 0.95, 10)
    try:
        losses = np.array([call.caller.value(call.point.put("x_hat", float(a))) for a in values])
    except CallError:
        return None
    count = sizes.values * (sizes.batch if across_batch else 1)
    squares = (count - 1) * (X_HAT - X) ** 2 + (values - X) ** 2
    absolute = (count - 1) * abs(X_HAT - X) + np.abs(values - X)
    one = np.ones_like(values)
    for name, function in (
        ("rmse", np.sqrt(squares)),
        ("log_mean_square", np.log(squares)),
        ("log_mean_absolute", np.log(absolute)),
    ):
        result = fit(losses, function, one)
        if result.residual < EXACT:
            return Reconstruction(
                None,
                together=name,
                across_batch=across_batch,
                weight=result.coefficients[0],
                residual=result.residual,
            )
    return None
