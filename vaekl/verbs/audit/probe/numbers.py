"""What the numbers among a loss's arguments do: which term they weigh, or none."""

from dataclasses import dataclass, replace
from math import log

from vaekl.verbs.audit.probe.caller import CallError, Slot
from vaekl.verbs.audit.probe.search import Call
from vaekl.verbs.audit.probe.signature import STEPS

#: steps at which a schedule is looked at
_TIMES = (0, 1, 10, 100, 1000, 3000, 10_000, 30_000, 100_000, 1_000_000)


@dataclass(frozen=True)
class Number:
    """What one of them does.

    Args:
        name: of the argument or attribute.
        value: that it was probed at.
        reconstruction: the power of it that the reconstruction's weight has; None where it is no power.
        kl: the same of the KL's weight.
        does: nothing, weighs, schedule or other.
        where: "argument", or "attribute" of the object.
        ramp: of a schedule: (step, share of the final weight of the KL); the last is the first at the full weight, if
            there is one.
    """

    name: str
    value: float
    reconstruction: float | None
    kl: float | None
    does: str
    where: str = "argument"
    ramp: tuple[tuple[int, float], ...] = ()


def read_numbers(call: Call) -> list[Number]:
    """Every number of the call, each by what the loss makes of another one."""
    return [_read(call, slot) for slot in call.caller.numbers()]


def _read(call: Call, slot: Slot) -> Number:
    where = "attribute" if slot.how == "attribute" else "argument"
    start = _costs(call, slot.name, slot.number)
    if STEPS.match(slot.name.lower()):
        return _schedule(call, slot, start, where)
    other = 2 * slot.number + (1.0 if slot.number == 0 else 0.0)
    moved = _costs(call, slot.name, other)
    if start is None or moved is None:
        return Number(slot.name, slot.number, None, None, "other", where)
    if all(_is_still(at, slot.name, slot.number, other) for at in (call, *_earlier(call))):
        return Number(slot.name, slot.number, 0.0, 0.0, "nothing", where)
    factor = other / slot.number if slot.number else 0.0
    powers = [_power(a, b, factor) for a, b in zip(start[:2], moved[:2], strict=True)]
    weighs = all(power is not None for power in powers) and any(powers)
    return Number(slot.name, slot.number, powers[0], powers[1], "weighs" if weighs else "other", where)


def _schedule(call: Call, slot: Slot, final: tuple[float, ...] | None, where: str) -> Number:
    costs = {time: _costs(call, slot.name, time) for time in _TIMES}
    ramp = tuple((time, now[1] / final[1]) for time, now in costs.items() if now and final and final[1])
    moves = any(abs(share - 1) > 1e-6 for _, share in ramp)
    if moves and abs(ramp[-1][1] - 1) < 1e-6:
        ramp = (*ramp, (_first_step(call, slot, ramp, final), 1.0))
    return Number(slot.name, slot.number, None, None, "schedule" if moves else "nothing", where, ramp)


def _first_step(call: Call, slot: Slot, ramp: tuple[tuple[int, float], ...], final: tuple[float, ...] | None) -> int:
    """The first step at which the KL has its last weight, by halving."""
    low = max(time for time, share in ramp if abs(share - 1) > 1e-6)
    high = min(time for time, _ in ramp if time > low)
    while high - low > 1:
        middle = (low + high) // 2
        now = _costs(call, slot.name, middle)
        if now is not None and final is not None and abs(now[1] / final[1] - 1) < 1e-6:
            high = middle
        else:
            low = middle
    return high


def _is_still(call: Call, name: str, value: float, other: float) -> bool:
    """Whether nothing of the loss changes with a number."""
    before, after = _costs(call, name, value), _costs(call, name, other)
    if before is None or after is None:
        return before is after
    return all(abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1e-12) for a, b in zip(before, after, strict=True))


def _earlier(call: Call) -> list[Call]:
    """The call at steps of a warm-up, during which a number may matter that matters no more after it."""
    schedules = [slot.name for slot in call.caller.numbers() if STEPS.match(slot.name.lower())]
    return [replace(call, caller=call.caller.with_number(name, step)) for name in schedules for step in (1.0, 300.0)]


def _power(before: float, after: float, factor: float) -> float | None:
    if before == 0 and after == 0:
        return 0.0
    if factor <= 0 or before * after <= 0:
        return None
    power = log(after / before) / log(factor)
    return float(round(power)) if abs(power - round(power)) < 1e-4 else None


def _costs(call: Call, name: str, value: float) -> tuple[float, ...] | None:
    """What steps of x̂, of μ and of σ cost, near the prior and far from it, and the loss itself."""
    caller, point = call.caller.with_number(name, value), call.point
    try:
        start = caller.value(point)
        steps = [caller.value(point.put("x_hat", 0.8)) - start, caller.value(point.put("mu", 60.0)) - start]
        steps += [caller.value(point.put("mu", 0.4)) - start, caller.value(point.put("x_hat", 0.53)) - start]
        if "spread" in call.reach:
            steps.append(caller.value(point.put("spread", 0.6)) - start)
    except CallError:
        return None
    return (*steps, start)
