"""How a term's weight depends on the sizes: what it is summed over, and what it is averaged over."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log

from vaekl.verbs.audit.probe.caller import CallError
from vaekl.verbs.audit.probe.designed import Point, Sizes
from vaekl.verbs.audit.probe.search import Call

#: whole numbers are meant; a half is that of a root
_WHOLE = 0.02


@dataclass(frozen=True)
class Scaling:
    """A weight as weight · B^batch · N^values · Z^codes.

    Args:
        sizes: on which it was measured.
        weight: of one value, or one latent, of one image there.
        batch, values, codes: powers; None where the loss takes no other size.
        channels: the power of the first axis of an image alone; the same as `values` where it is a plain mean or sum.
    """

    sizes: Sizes
    weight: float
    batch: float | None
    values: float | None
    codes: float | None
    channels: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether every power is 0 or −1, and that of the channels is that of all values."""
        powers = (self.batch, self.values, self.codes)
        return all(power in (None, 0, -1) for power in powers) and self.channels in (None, self.values)


#: what a term costs at a base point of some sizes; None where the loss takes no such sizes
Cost = Callable[[Call, Point], float | None]


def scaling(call: Call, weight: float, cost_at: Cost) -> Scaling:
    """The powers, from what one value or latent costs on sizes twice as large.

    Args:
        call: the loss, on the sizes on which `weight` was measured.
        weight: the term's.
        cost_at: what one value or latent costs.
    """
    sizes = call.point.sizes
    start = cost_at(call, call.point)

    def power(**larger: tuple[int, ...] | int) -> float | None:
        changed = replace(sizes, **larger)  # type: ignore[arg-type]
        factor = changed.batch * changed.values * changed.codes / (sizes.batch * sizes.values * sizes.codes)
        cost = cost_at(call, call.point.resized(changed))
        if cost is None or not start or cost / start <= 0:
            return None
        value = log(cost / start) / log(factor)
        return float(round(value)) if abs(value - round(value)) < _WHOLE else value

    shape = sizes.shape
    whole = (*shape[:1], *(2 * size for size in shape[1:])) if len(shape) > 1 else (2 * shape[0],)
    channels = power(shape=(2 * shape[0], *shape[1:])) if len(shape) > 1 else None
    latents = (2 * sizes.latents[0], *sizes.latents[1:])
    return Scaling(sizes, weight, power(batch=2 * sizes.batch), power(shape=whole), power(latents=latents), channels)


def step_cost(step: Callable[[Point], tuple[Point, Point]]) -> Cost:
    """What a step costs.

    Args:
        step: two points that differ in one value or latent.
    """

    def cost(call: Call, point: Point) -> float | None:
        first, second = step(point)
        try:
            return call.caller.value(second) - call.caller.value(first)
        except CallError:
            return None

    return cost
