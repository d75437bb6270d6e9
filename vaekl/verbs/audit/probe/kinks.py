"""A KL that is no straight line in the loss: free bits, a capacity, a square."""

from dataclasses import dataclass, replace

import numpy as np

from vaekl.verbs.audit.probe.caller import CallError
from vaekl.verbs.audit.probe.energy import EXACT
from vaekl.verbs.audit.probe.fits import Array, fit
from vaekl.verbs.audit.probe.search import Call

#: nats of one latent at which the loss is looked at
_NATS = np.array(
    [0, 0.03, 0.1, 0.2, 0.35, 0.6, 1, 1.6, 2.5, 4, 6, 9, 14, 20, 30, 45, 70, 100, 150, 220, 330, 500, 800, 808]
)


@dataclass(frozen=True)
class Kink:
    """The loss as a function of one latent's KL.

    Args:
        shape: linear, floor (nothing below a number of nats), cap (nothing above it), distance (γ·|KL − C|),
            square (γ·(KL − C)²) or unknown.
        weight: v, γ or the like.
        nats: where it bends.
        over: what is compared with that number: latent, image (the sum over latents) or batch (a mean over images).
        residual: of the fit.
    """

    shape: str
    weight: float
    nats: float = 0.0
    over: str = ""
    residual: float = 0.0

    def bend(self, kl: Array) -> Array:
        """What is made of a KL, without the weight."""
        if self.shape == "floor":
            return np.maximum(kl, self.nats)
        if self.shape == "cap":
            return np.minimum(kl, self.nats)
        if self.shape == "distance":
            return np.abs(kl - self.nats)
        if self.shape == "square":
            return (kl - self.nats) ** 2
        return kl


def find_kink(call: Call) -> Kink | None:
    """How the loss grows with one latent's ½μ², the others at the prior; None where μ plays no part."""
    if "mu" not in call.reach:
        return None
    try:
        losses = np.array([call.caller.value(call.point.put("mu", float(np.sqrt(2 * nats)))) for nats in _NATS])
    except CallError:
        return None
    one = np.ones_like(losses)
    straight = fit(losses, _NATS, one)
    if straight.residual < EXACT:
        return Kink("linear", straight.coefficients[0], residual=straight.residual)
    squared = fit(losses, _NATS**2, _NATS, one)
    if squared.residual < EXACT and squared.coefficients[0]:
        weight, slope = squared.coefficients[:2]
        return Kink("square", weight, -slope / (2 * weight), "image", squared.residual)
    slopes = np.diff(losses) / np.diff(_NATS)
    last, first = slopes[-1], slopes[0]
    if abs(first) < 1e-9 * abs(last):
        nats = float(_NATS[-1] - (losses[-1] - losses[0]) / last)
        return _checked(Kink("floor", float(last), nats, _floor_over(call, nats) if nats > 0 else ""), losses)
    if first and abs(last) < 1e-9 * abs(first):
        return _checked(Kink("cap", float(first), float((losses[-1] - losses[0]) / first), "latent"), losses)
    if 0 < first / last < 1:
        # the first step is from below the floor to above it
        nats = float(_NATS[-1] - (losses[-1] - losses[0]) / last)
        early = _checked(Kink("floor", float(last), nats, _floor_over(call, nats)), losses)
        if early.residual < EXACT:
            return early
    if abs(first + last) < 1e-6 * abs(last):
        nats = float((_NATS[-1] - (losses[-1] - losses[0]) / last) / 2)
        return _checked(Kink("distance", float(last), nats, "image"), losses)
    return Kink("unknown", float(last), residual=straight.residual)


def _checked(kink: Kink, losses: Array) -> Kink:
    result = fit(losses, kink.bend(_NATS), np.ones_like(losses))
    if result.residual > 1e-4:
        return Kink("unknown", kink.weight, residual=result.residual)
    return Kink(kink.shape, kink.weight, float(f"{kink.nats:.8g}"), kink.over, result.residual)


def _floor_over(call: Call, nats: float) -> str:
    """What is compared with the floor: two latents, or two images, at three quarters of it each."""
    if _rises(call, float(np.sqrt(1.5 * nats)), (0, 1)):
        return "image"
    # the mean over two images, of which one lies below the floor and one above
    two = replace(call, point=call.point.resized(replace(call.point.sizes, batch=2)))
    return "batch" if not _rises(two, float(np.sqrt(2.4 * nats)), None) else "latent"


def _rises(call: Call, mu: float, other: tuple[int, int] | None) -> bool:
    """Whether μ at one latent, and at another one too, costs more than none."""
    point = call.point.put("mu", mu)
    moved = call.caller.value(point if other is None else point.put("mu", mu, *other))
    start = call.caller.value(call.point)
    return abs(moved - start) > 1e-9 * max(1.0, abs(start))
