"""What the optimiser sees: the slope that autograd gives beside the slope that the loss has."""

from dataclasses import dataclass
from typing import Any

from vaekl.verbs.audit.probe.caller import CallError
from vaekl.verbs.audit.probe.designed import Point
from vaekl.verbs.audit.probe.search import Call

_STEP = 1e-5


@dataclass(frozen=True)
class Slope:
    """Of the loss along one argument.

    Args:
        role: the argument's.
        real: by differences.
        seen: by autograd; None where it gives none at all.
    """

    role: str
    real: float
    seen: float | None

    @property
    def is_lost(self) -> bool:
        """Whether the loss has a slope and the optimiser gets none."""
        return abs(self.real) > 1e-9 and not self.seen

    @property
    def is_another(self) -> bool:
        """Whether the optimiser gets another slope than the loss has."""
        return (
            bool(self.seen)
            and self.seen is not None
            and abs(self.real - self.seen) > 1e-3 * max(abs(self.real), abs(self.seen))
        )


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
    return [Slope(role, _difference(call, point, role), _at_first(seen.get(role))) for role in roles]


def _at_first(slope: Any) -> float | None:
    return None if slope is None else float(slope.flatten()[0])


def _difference(call: Call, point: Point, role: str) -> float:
    if role == "x_scale":
        at = point.level[role]
        if not point.sizes.scalar_scale:
            return (call.caller.value(point.put(role, at + _STEP)) - call.caller.value(point.put(role, at - _STEP))) / (
                2 * _STEP
            )
        return (
            call.caller.value(point.everywhere(role, at + _STEP))
            - call.caller.value(point.everywhere(role, at - _STEP))
        ) / (2 * _STEP)
    value = point.at[role, 0, 0]
    above, below = (call.caller.value(point.put(role, value + sign * _STEP)) for sign in (1, -1))
    return (above - below) / (2 * _STEP)
