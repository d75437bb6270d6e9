"""Which runs of a stack have models that differ in numbers only, so that their steps can be taken together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vaekl.system.errors import first_line
from vaekl.training.equal import surely_equal
from vaekl.training.rows import MEMORY
from vaekl.training.stack import Member
from vaekl.training.trainer import Trainer

#: how far a gradient may lie from that of the run alone, of its largest number
_TOLERANCE = 1e-3
_OF_EVERY_MODULE = set(vars(nn.Module()))


class Number(NamedTuple):
    """An attribute of a module that is another number, or other numbers, in each run."""

    module: str
    name: str
    values: list[Any]


class Settings(NamedTuple):
    """Those of an optimiser's step."""

    groups: list[dict[str, Any]]
    rates: list[float]
    schedule: Any
    restores: int


def settings(trainer: Trainer) -> Settings:
    """Of a run's optimiser; the numbers of runs in which they are equal may lie in one tensor."""
    groups = [
        {key: value for key, value in group.items() if key not in ("params", "lr")}
        for group in trainer.optimizer.param_groups
    ]
    return Settings(groups, trainer.full_rates, trainer.lr_schedule, trainer.restores)


def refusal(trainer: Trainer) -> str | None:
    """Why a run cannot take its steps with others, in words; None where it can."""
    optimizer = trainer.optimizer
    groups = optimizer.param_groups
    if type(optimizer) not in MEMORY or any(group.get("dampening") for group in groups):
        return f"{type(optimizer).__name__} is not Adam, AdamW or SGD without dampening"
    if trainer.compiler.decision is not False:
        return "trainer.compile is neither false nor graph"
    parameters = list(trainer.model.parameters())
    if any(parameter.dtype != torch.float32 or not parameter.requires_grad for parameter in parameters):
        return "not all of its parameters are trained in float32"
    first = {id(parameter) for parameter in groups[0]["params"]}
    in_rows = [id(parameter) for parameter in parameters if id(parameter) in first]
    if in_rows[: len(trainer.networks)] != [*map(id, trainer.networks)]:
        return "its optimiser has not all parameters of the networks in its first group"
    return None


def grouped(members: Sequence[Member], say: Callable[[str], Any]) -> list[Any]:
    """The joint steps of members that wait with their first batches; those in none take their steps alone.

    Args:
        members: in their order.
        say: where it is said why some take theirs alone.
    """
    kinds: list[list[Member]] = []
    alone: dict[str, int] = {}

    def refuse(reason: str, count: int = 1) -> None:
        alone[reason] = alone.get(reason, 0) + count

    for member in members:
        if member.trainer is None or member.batch is None:
            continue
        if (reason := refusal(member.trainer)) is not None:
            refuse(reason)
            continue
        kind = next((kind for kind in kinds if _numbers([kind[0], member]) is not None), None)
        if kind is None:
            kinds.append([member])
        else:
            kind.append(member)
    groups = []
    for kind in kinds:
        if len(kind) == 1:
            refuse("no other run here has such a model")
        else:
            groups += _joint(kind, refuse)
    for reason, count in alone.items():
        say(f"  {count} of {len(members)} runs take their steps alone: {reason}")
    return groups


def _joint(members: list[Member], refuse: Callable[[str, int], None]) -> list[Any]:
    from vaekl.training.joint import JointStep

    # neighbours of equal settings are one tensor to the optimiser; how often a run went back is no part of its place
    keys: list[Any] = []
    for member in members:
        if (key := settings(member.trained)[:3]) not in keys:
            keys.append(key)
    members = sorted(members, key=lambda member: keys.index(settings(member.trained)[:3]))
    numbers = _numbers(members)
    assert numbers is not None
    try:
        group = JointStep(members, numbers)
        off = group.difference()
    except Exception as error:  # whatever a model does that cannot be mapped over several
        reason = f"its model cannot be mapped over several runs ({first_line(error)})"
    else:
        if off <= _TOLERANCE:
            return [group]
        reason = f"its gradient would be another one, by {off:.1g}"
    for member in members:
        if member.group is not None:
            member.group.leave(member)
    if not numbers:
        refuse(reason, len(members))
        return []
    equal: dict[str, list[Member]] = {}  # some numbers must be numbers
    for place, member in enumerate(members):
        equal.setdefault(repr([number.values[place] for number in numbers]), []).append(member)
    groups = []
    for part in equal.values():
        if len(part) == 1:
            refuse(reason, 1)
        else:
            groups += _joint(part, refuse)
    return groups


def _numbers(members: Sequence[Member]) -> list[Number] | None:
    """The numbers in which some runs' models differ, or None where they differ in more."""
    trainers, batches = [member.trained for member in members], [member.waits_with for member in members]
    forms = [[(part.shape, part.dtype) for part in batch[:2]] for batch in batches]
    counts = [[len(group["params"]) for group in trainer.optimizer.param_groups] for trainer in trainers]
    kinds = [(type(own.optimizer), own.optimizer.param_groups[0].get("fused")) for own in trainers]
    if any(part[place] != part[0] for part in (forms, counts, kinds) for place in range(len(members))):
        return None
    modules = [dict(trainer.objective.named_modules()) for trainer in trainers]
    tensors = [
        {name: value.shape for name, value in (*own.objective.named_parameters(), *own.objective.named_buffers())}
        for own in trainers
    ]
    if any(own.keys() != modules[0].keys() for own in modules) or any(own != tensors[0] for own in tensors):
        return None
    numbers = []
    for path in modules[0]:
        parts = [own[path] for own in modules]
        if any(type(part) is not type(parts[0]) for part in parts):
            return None
        for name in {name for part in parts for name in vars(part)} - _OF_EVERY_MODULE:
            values = [vars(part).get(name) for part in parts]
            if isinstance(values[0], nn.Module) or all(surely_equal(values[0], value) for value in values[1:]):
                continue
            if not all(_is_number(value) and type(value) is type(values[0]) for value in values):
                return None
            numbers.append(Number(path, name, values))
    return sorted(numbers, key=lambda number: number[:2])


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is tuple and bool(value) and all(type(part) is float for part in value))


@contextmanager
def set_in(parts: Mapping[str, nn.Module], numbers: Sequence[Number], values: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the numbers of a module's parts are tensors."""
    before = [(parts[number.module], number.name, vars(parts[number.module]).get(number.name)) for number in numbers]
    for number, value in zip(numbers, values, strict=True):
        object.__setattr__(parts[number.module], number.name, tuple(value.unbind()) if value.dim() else value)
    try:
        yield
    finally:
        for part, name, former in before:
            object.__setattr__(part, name, former)
