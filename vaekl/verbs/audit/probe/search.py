"""The call of a loss that works: what its arguments are, on which shapes, and which of its results is minimised."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from vaekl.system.errors import VaeklError
from vaekl.verbs.audit.probe.caller import Caller, CallError, Slot
from vaekl.verbs.audit.probe.designed import Point, Sizes, base
from vaekl.verbs.audit.probe.roles import parametrisation
from vaekl.verbs.audit.probe.signature import attributes, candidates

#: shapes of x, and whether x̂ is flat beside it, where no shape is given
_SHAPES = (
    ((2, 4, 4), False), ((12,), False), ((1, 4, 4), False), ((3, 4, 4), False), ((1, 28, 28), False),
    ((784,), False), ((1, 28, 28), True), ((3, 32, 32), False), ((3, 64, 64), False), ((1, 8, 8), True),
)  # fmt: skip
_LATENTS = ((4,), (2, 2, 2), (2,), (20,), (128,))


@dataclass(frozen=True)
class Call:
    """A loss that can be called, and where it is looked at from.

    Args:
        caller: the loss with its arguments.
        point: the base point.
        reach: what the total depends on: x_hat, mu, spread and the like.
        notes: what was assumed, in sentences.
    """

    caller: Caller
    point: Point
    reach: frozenset[str]
    notes: tuple[str, ...] = ()


def working(
    function: Callable[..., Any],
    numbers: Mapping[str, float],
    shape: tuple[int, ...] | None,
    latents: tuple[int, ...] | None,
    owner: Any = None,
) -> list[Call]:
    """The calls that work, the likeliest first: several where names do not say what an argument is.

    Args:
        function: the loss.
        numbers: that were typed for arguments of it.
        shape: S of x, if given.
        latents: the shape of z, if given.
        owner: the object that it is a method of.

    Raises:
        VaeklError: none works.
    """
    try:
        choices = [(*slots, *attributes(owner, numbers)) for slots in candidates(function, numbers)]
    except (TypeError, ValueError) as error:
        raise VaeklError(f"its arguments cannot be read ({error}): name a function written in Python.") from error
    # an argument that nobody knows is a number, or else a tensor of one
    choices += [tuple(replace(slot, is_tensor=slot.assumed) for slot in slots) for slots in choices if _assumes(slots)]
    remaining = list(choices)
    failures: dict[tuple[Slot, ...], str] = {}
    partial: list[Call] = []
    for points in _all_points(shape, latents, choices):
        calls: list[Call] = []
        for slots in tuple(remaining):
            for point in points:
                caller, failure = _completed(Caller(function, slots, owner=owner), point, numbers)
                if caller is None:
                    failures.setdefault(slots, str(failure))
                    if _is_of_any_shape(failure):
                        remaining.remove(slots)
                        break
                elif (call := _with_total(caller, point)) is not None:
                    calls.append(_with_parameters(call))
                    break
                else:
                    failures.setdefault(slots, "no result depends on x̂, μ or σ")
        whole = [call for call in calls if "x_hat" in call.reach and {"mu", "spread"} & call.reach]
        if whole:
            most = max(len(call.reach) for call in whole)
            best = [call for call in whole if len(call.reach) == most]
            return best if _is_open(choices) else best[:1]
        partial += calls
        if not remaining:
            break
    if partial:
        return sorted(partial, key=lambda call: -len(call.reach))[:1]
    unclear = [slot.name for slot in choices[0] if slot.assumed] if choices else []
    unknown = f"; what {' and '.join(unclear)} may be its name does not say" if unclear else ""
    missing = next((each for each in failures.values() if each.startswith("ModuleNotFoundError: ")), "")
    if missing:
        raise VaeklError(f"it imports what is not there ({missing}): install that, or check its name.")
    raise VaeklError(
        f"it could not be called on designed inputs ({next(iter(failures.values()), 'it takes none')}{unknown}): name "
        "its arguments x_hat, x, mu, logvar, or give shape=[C,H,W] latents=Z as it wants them."
    )


def _assumes(slots: tuple[Slot, ...]) -> bool:
    return any(slot.assumed for slot in slots)


def _is_open(choices: list[tuple[Slot, ...]]) -> bool:
    """Whether the choices differ in what an argument is, and not in how a model's outputs are unpacked alone."""
    roles = {tuple(slot.role for slot in slots) for slots in choices}
    return len({each for each in roles if "bundle" not in each}) > 1


def _all_points(
    shape: tuple[int, ...] | None, latents: tuple[int, ...] | None, choices: list[tuple[Slot, ...]]
) -> Iterator[list[Point]]:
    """Base points on one choice of sizes after another."""
    shapes = ((shape, False), (shape, True)) if shape is not None else _SHAPES
    roles = {role for slots in choices for slot in slots for role in (slot.role, *slot.order)}
    scalars = (False, True) if "x_scale" in roles else (False,)
    for dtype in (torch.float64, torch.float32):
        for each_shape, flat in shapes:
            for each_latents in (latents,) if latents is not None else _LATENTS:
                for scalar in scalars:
                    point = base(Sizes(2, each_shape, each_latents, flat, scalar), dtype)
                    # a scale that is given as σ is no scale at 0
                    points = [point, point.everywhere("spread", 1.0)]
                    if "x_scale" in roles or "prior_spread" in roles:
                        points += [each.everywhere("x_scale", 1.0).everywhere("prior_spread", 1.0) for each in points]
                    yield points


def _is_of_any_shape(error: CallError) -> bool:
    """Whether a failure would come on other shapes too."""
    cause = error.__cause__
    unpacked = isinstance(cause, ValueError) and "unpack" in str(cause)
    return unpacked or isinstance(cause, TypeError | AttributeError | NameError | KeyError | ImportError)


def _completed(caller: Caller, point: Point, numbers: Mapping[str, float]) -> tuple[Caller | None, CallError]:
    """The caller with the keywords that the loss takes out of **kwargs, as M_N of PyTorch-VAE; or why it fails."""
    failure = CallError("it asks for more and more keywords")
    for _ in range(4):
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="Using a (target|input) size")
                caller.value(point)
            return caller, failure
        except CallError as error:
            failure, cause = error, error.__cause__
            name = cause.args[0] if isinstance(cause, KeyError) and cause.args else None
            taken = [slot.name for slot in caller.slots]
            if not isinstance(name, str) or not name.isidentifier() or name in taken:
                return None, failure
            caller = replace(
                caller,
                slots=(*caller.slots, Slot(name, "number", "keyword", numbers.get(name, 1.0), name not in numbers)),
            )
    return None, failure


def _with_total(caller: Caller, point: Point) -> Call | None:
    """The call with the part of the result that is minimised: the first that depends on most."""
    samples = _draws(caller, point)
    kind = parametrisation(caller.name_of("spread")) or "logvar"
    caller = replace(caller, samples=samples or caller.has("z"), kind=kind)
    try:
        reach = {name: reach_of(replace(caller, total=(name,)), point) for name in caller.parts(point)}
    except CallError:
        return None
    whole = frozenset().union(*reach.values())
    if not whole:
        return None
    notes: list[str] = []
    most = max(reach.values(), key=len)  # the first of several
    total: tuple[str, ...] = (next(name for name, value in reach.items() if value == most),)
    if most != whole:
        rest = [name for name, value in reach.items() if value and not value & most]
        total = (*total, *rest[:1])
        notes.append(
            f"its terms are returned apart ({' and '.join(name or 'the first' for name in total)}): audited as their "
            "sum, and how they are weighted is seen nowhere"
        )
        most = frozenset().union(*(reach[name] for name in total))
    others = [name for name in reach if name not in total and name]
    if others and len(total) == 1:
        notes.append(f"{total[0]}; beside it the loss returns {', '.join(others)}")
    caller = replace(caller, total=total)
    return Call(caller, point, most, tuple(notes))


def _with_parameters(call: Call) -> Call:
    """The call with the one parameter of its module that the loss depends on as a scale, such as a learned ln σ."""
    owner = call.caller.owner
    if not isinstance(owner, nn.Module) or call.caller.has("x_scale"):
        return call
    sizes = replace(call.point.sizes, scalar_scale=True)
    for name, parameter in owner.named_parameters():
        if parameter.numel() != 1 or not parameter.is_floating_point():
            continue
        value = float(parameter.detach())
        slot = Slot(name, "x_scale", "parameter")
        trial = Call(
            replace(call.caller, slots=(*call.caller.slots, slot)),
            call.point.resized(sizes).everywhere("x_scale", value),
            call.reach,
            call.notes,
        )
        try:
            moved = trial.caller.value(trial.point.everywhere("x_scale", value + 0.3))
            if moved != trial.caller.value(trial.point):
                return replace(trial, reach=call.reach | {"x_scale"})
        except CallError:
            pass
        finally:
            parameter.data.fill_(value)
    return call


def _draws(caller: Caller, point: Point) -> bool:
    try:
        # at μ = 0 a KL by a draw is a function of the draw's square
        moved = point.everywhere("spread", 1.0).put("mu", 0.7)
        return caller.parts(moved, 1.0) != caller.parts(moved, -1.0)
    except CallError:
        return False


def reach_of(caller: Caller, point: Point) -> frozenset[str]:
    """What the total depends on."""
    start = caller.value(point)
    moves = {"x_hat": (0.8, 0.3), "mu": (1.0, 9.0), "spread": (0.7, 2.0, 6.5), "x_scale": (0.7, 1.5), "theta": (3.0,)}
    reached = set()
    for role, values in moves.items():
        for value in values if caller.has(role) else ():
            # the first alone, and where that is nothing all of them: a loss may leave out the first
            for moved_point in (point.moved(role, value), point.everywhere(role, value)):
                try:
                    moved = caller.value(moved_point)
                except CallError:
                    continue
                if abs(moved - start) > 1e-12 * max(1.0, abs(start)):
                    reached.add(role)
                    break
            if role in reached:
                break
    return frozenset(reached)
