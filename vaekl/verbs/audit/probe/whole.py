"""Whether what was read of one value and of one latent holds of all of them: all are moved at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from vaekl.verbs.audit.probe.caller import CallError
from vaekl.verbs.audit.probe.designed import Point
from vaekl.verbs.audit.probe.energy import DOMAINS
from vaekl.verbs.audit.probe.fits import Array
from vaekl.verbs.audit.probe.gradients import is_coarse
from vaekl.verbs.audit.probe.kl import VARIANCES, Kl, of_one_image
from vaekl.verbs.audit.probe.pixels import Reconstruction
from vaekl.verbs.audit.probe.search import Call

_MU = (-1.1, -0.4, 0.3, 0.9, 1.7)
_SPREAD, _POSITIVE = (-1.3, -0.7, 0.3, 0.8, 1.4), (0.3, 0.55, 0.8, 1.4, 1.9)
#: by what share of what was moved the loss may differ from the sum of its terms; and where it is of single precision
_SHARE, _COARSE_SHARE = 1e-5, 1e-2
#: where small errors are looked at, on which values, how large they are, and what a sum's rounding may cost
_NEAR, _OF_SMALL_ERRORS, _SMALL_ERRORS = 0.4, ("real", "x̂ real, x in [0, 1]", "in [0, 1]"), (0.05, 0.02, 0.01, 0.004)
_ROUNDING = 1e-13
#: places that are moved one at a time to say why a sum is none
_PLACES = 64


@dataclass(frozen=True)
class Whole:
    """What does not hold of all values and latents together.

    Args:
        values, latents: a sentence each; "" where the terms add up as they were read of one, or nothing was told.
        entangled: the share by which the two terms, moved together, are no sum.
        failure: why none of it could be looked at; "" where it was.
    """

    values: str = ""
    latents: str = ""
    entangled: float = 0.0
    failure: str = ""


def read_whole(call: Call, reconstruction: Reconstruction, kl: Kl) -> Whole:
    """The loss where every x̂, x, μ and σ has another value, beside the sum of what one of each adds."""
    share = _COARSE_SHARE if is_coarse(call) else _SHARE
    draw = np.random.default_rng(0)
    try:
        if "x_hat" in call.reach and _is_still(call, "x_hat", 0.8):
            uneven = "the first value of an image counts in no term and others do: it is no one density of all of them"
            return Whole(values=uneven)
        if {"mu", "spread"} & call.reach and all(_is_still(call, role, 9.0) for role in ("mu", "spread")):
            return Whole(latents="the first latent counts in no term and others do: the KL is no plain sum over them")
        near, far, energy = _moved_values(call.point, reconstruction, draw)
        prior, posterior, divergence = _moved_latents(call, kl, draw)
        values = latents = ""
        value = call.caller.value
        if energy is not None and _differ(value(far) - value(near), energy, max(share, 20 * reconstruction.residual)):
            values = _why(
                call, lambda point, *at: point.put("x_hat", 0.8, *at), "values", "value", call.point.sizes.values
            )
        values = values or _near(call, reconstruction)
        if divergence is not None and _differ(
            value(posterior) - value(prior), divergence, max(share, 20 * kl.residual)
        ):
            latents = _why(call, _with_latent, "latents", "latent", call.point.sizes.codes)
        entangled = 0.0
        if {"mu", "spread"} & call.reach and "x_hat" in call.reach:
            alone = value(posterior) - value(prior)
            both = value(replace(far, filled={**far.filled, **posterior.filled})) - value(far)
            left = abs(both - alone) / max(abs(both), abs(alone), 1e-30)
            entangled = left if left > 10 * share else 0.0
    except CallError as error:
        return Whole(failure=str(error))
    return Whole(values, latents, entangled)


def _near(call: Call, reconstruction: Reconstruction) -> str:
    """Whether an error of a hundredth costs what the term says, which a fit over errors of all sizes does not see."""
    term, point = reconstruction.term, call.point.put("x", _NEAR)
    if term is None or "x − x̂" not in term.family.text or reconstruction.domain not in _OF_SMALL_ERRORS:
        return ""
    if is_coarse(call) or reconstruction.is_seen_part or not term.weight:
        return ""
    start = call.caller.value(point.put("x_hat", _NEAR))
    for error in _SMALL_ERRORS:
        cost = call.caller.value(point.put("x_hat", _NEAR + error)) - start
        right = term.at(_NEAR + error, _NEAR) - term.at(_NEAR, _NEAR)
        if abs(cost - right) > 0.05 * abs(right) + _ROUNDING * abs(start):
            return (
                f"small errors cost other than large ones: |x − x̂| = {error:g} adds {cost:.3g}, where "
                f"{term.family.text} has {right:.3g}"
            )
    return ""


def _moved_values(
    point: Point, reconstruction: Reconstruction, draw: np.random.Generator
) -> tuple[Point, Point, Array | None]:
    """Two points that differ in every x̂, and what each of them adds between the two; None where that was not told."""
    term, sizes = reconstruction.term, point.sizes
    domain = next((each for each in DOMAINS if each.name == reconstruction.domain), DOMAINS[2])
    shape = (sizes.batch, sizes.values)
    x, first, second = (draw.choice(np.array(places), shape) for places in (domain.b, domain.a, domain.a))
    near, far = (_filled(point, x=x, x_hat=x_hat) for x_hat in (first, second))
    if term is None or reconstruction.is_seen_part or not term.weight:
        return near, far, None
    with np.errstate(all="ignore"):
        added = sum(
            weight * (family.values(second, x, term.parameter) - family.values(first, x, term.parameter))
            for family, weight in term.families
        )
    return near, far, np.asarray(added)


def _moved_latents(call: Call, kl: Kl, draw: np.random.Generator) -> tuple[Point, Point, Array | None]:
    """The base point and one that differs in every latent, and what each latent adds; None where that was not told."""
    point, sizes = call.point, call.point.sizes
    shape = (sizes.batch, sizes.codes)
    is_positive = kl.kind in ("std", "var") or point.level["spread"] > 0
    mu, spread = draw.choice(np.array(_MU), shape), draw.choice(np.array(_POSITIVE if is_positive else _SPREAD), shape)
    moved = _filled(point, mu=mu, spread=spread) if "spread" in call.reach else _filled(point, mu=mu)
    if not kl.kind or not kl.weight or kl.kink is not None or kl.pieces:
        return point, moved, None
    one = of_one_image(call)
    step = call.caller.value(_with_latent(point, 0, 0)) - call.caller.value(point)
    single = one.caller.value(_with_latent(one.point, 0, 0)) - one.caller.value(one.point)
    variance_of = VARIANCES[kl.kind][1]
    before, after = variance_of(np.array(point.level["spread"])), variance_of(spread)
    added = kl.square * (mu**2 - point.level["mu"] ** 2)
    if "spread" in call.reach:
        added = added + kl.variance * (after - before) + kl.logarithm * np.log(after / before)
    # the coefficients are those of a batch of one image
    return point, moved, added * step / single


def _is_still(call: Call, role: str, value: float) -> bool:
    return role not in call.reach or call.caller.value(call.point.put(role, value)) == call.caller.value(call.point)


def _with_latent(point: Point, image: int, place: int) -> Point:
    return point.put("mu", 1.3, image, place).put("spread", 1.4, image, place)


def _filled(point: Point, **values: Array) -> Point:
    """The point with values at every place of some roles."""
    filled = {role: torch.from_numpy(array) for role, array in values.items()}
    return replace(point, filled={**point.filled, **filled})


def _differ(real: float, added: Array, share: float) -> bool:
    return abs(real - float(added.sum())) > share * float(np.abs(added).sum())


def _why(call: Call, moved: Callable[..., Point], plural: str, singular: str, count: int) -> str:
    """The sentence for values or latents that do not add up as the first of them does."""
    start = call.caller.value(call.point)

    def cost(image: int, place: int) -> float:
        return call.caller.value(moved(call.point, image, place)) - start

    places = sorted({int(place) for place in np.linspace(0, count - 1, min(count, _PLACES))})
    costs = [cost(0, place) for place in places]
    if _are_unlike(costs):
        end = "it is no one density of all of them" if singular == "value" else "the KL is no plain sum over them"
        return f"some {plural} of an image count more than others: {end}"
    if _are_unlike([cost(image, 0) for image in range(call.point.sizes.batch)]):
        return f"the {plural} of some images of a batch count more than those of others"
    return f"what one {singular} adds does not hold of all together: some count more than others, or act on each other"


def _are_unlike(costs: Sequence[float]) -> bool:
    return max(costs) - min(costs) > 1e-6 * max(map(abs, costs))
