"""What the optimiser sees: the slope that autograd gives beside the slope that the loss has."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaekl.verbs.audit.probe.caller import CallError
from vaekl.verbs.audit.probe.designed import Point
from vaekl.verbs.audit.probe.search import Call

#: of x̂; of a latent, which a KL of weight 1e-6 beside thousands of nats of error needs; and in single precision
_STEP, _LATENT_STEP, _COARSE_STEP = 1e-5, 1e-2, 0.03
#: by how many roundings of the loss a difference of two values may be off
_ROUNDINGS = 16


@dataclass(frozen=True)
class Slope:
    """Of the loss along one argument.

    Args:
        role: the argument's.
        real: by differences.
        seen: by autograd; None where it gives none at all.
        tolerance: by what share the two may differ.
        rounding: by how much the first may be off, since the loss is rounded.
    """

    role: str
    real: float
    seen: float | None
    tolerance: float = 1e-3
    rounding: float = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether the loss has a slope and the optimiser gets none."""
        return abs(self.real) > max(1e-9, self.rounding) and not self.seen

    @property
    def is_another(self) -> bool:
        """Whether the optimiser gets another slope than the loss has."""
        size = max(abs(self.real), abs(self.seen or 0.0))
        return bool(self.seen) and abs(self.real - (self.seen or 0.0)) > self.tolerance * size + self.rounding


def slopes(call: Call) -> list[Slope]:
    """Along every argument on which the loss depends, at a place that is no kink."""
    point = call.point.put("x_hat", 0.62).put("mu", 1.3)
    if "spread" in call.reach:
        point = point.put("spread", 1.2)
    roles = [role for role in ("x_hat", "mu", "spread", "x_scale") if role in call.reach]
    try:
        seen = call.caller.gradients(point)
    except CallError:
        seen = {}
    return [_slope(call, point, role, first_of(seen.get(role))) for role in roles]


def first_of(slope: Tensor | None) -> float | None:
    """A slope along the first value of the first image, if there is any."""
    return None if slope is None else float(slope.flatten()[0])


def _slope(call: Call, point: Point, role: str, seen: float | None) -> Slope:
    value, coarse = point.at.get((role, 0, 0), point.level[role]), is_coarse(call)
    step = _COARSE_STEP if coarse else _LATENT_STEP if role in ("mu", "spread") else _STEP
    above, below = (call.caller.value(point.moved(role, value + sign * step)) for sign in (1, -1))
    digits = torch.finfo(torch.float32 if coarse else torch.float64).eps
    rounding = _ROUNDINGS * digits * max(abs(above), abs(below)) / (2 * step)
    return Slope(role, (above - below) / (2 * step), seen, 0.05 if coarse else 1e-3, rounding)


def is_coarse(call: Call) -> bool:
    """Whether the loss counts in single precision, which a step of 1e-9 does not reach."""
    if "x_hat" not in call.reach:
        return False
    values = [call.caller.value(call.point.put("x_hat", x_hat)) for x_hat in (0.8, 0.8 + 1e-9)]
    return values[0] == values[1]
