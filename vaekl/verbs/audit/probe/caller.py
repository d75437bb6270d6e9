"""Somebody's loss as a function of designed inputs: one number, and what autograd says of it."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from vaekl.system.errors import first_line
from vaekl.verbs.audit.probe import results
from vaekl.verbs.audit.probe.designed import Point
from vaekl.verbs.audit.probe.noise import held
from vaekl.verbs.audit.probe.roles import role_of

#: how many classes a classifier beside a VAE is taken to have
CLASSES = 10


class CallError(Exception):
    """The loss failed on designed inputs, or gave no finite number."""


@dataclass(frozen=True)
class Slot:
    """One argument of a loss.

    Args:
        name: of the parameter, of an attribute of its object, or "" of a further positional one.
        role: what it is given: a role of `roles`, "bundle", "number", or batch_size, values or codes for a size.
        how: "position", "keyword", or "attribute" or "parameter" of the object that the loss is a method of.
        number: what a number is set to.
        assumed: whether nobody gave that number.
        is_tensor: whether it is given as a tensor.
        order: roles of a bundle when it is unpacked.
    """

    name: str
    role: str
    how: str = "position"
    number: float = 0.0
    assumed: bool = False
    is_tensor: bool = False
    order: tuple[str, ...] = ()


@dataclass(frozen=True)
class Caller:
    """A loss with what each of its arguments is.

    Args:
        function: the loss.
        slots: its arguments.
        total: names of the parts of its result that are added up.
        samples: whether it may draw random numbers, which are then held.
        kind: what the second parameter of q(z|x) is, for a z that is drawn outside of the loss.
        owner: the object that the loss is a method of.
        used: the names by which parts of a bundle were asked for, by role.
    """

    function: Callable[..., Any]
    slots: tuple[Slot, ...]
    total: tuple[str, ...] = ()
    samples: bool = True
    kind: str = "logvar"
    owner: Any = None
    used: dict[str, str] = field(default_factory=dict)

    def has(self, role: str) -> bool:
        """Whether an argument has this role, or holds it."""
        return any(
            slot.role == role
            or (slot.role == "bundle" and role in slot.order)
            or (slot.role in ("posterior", "z", "kl") and role in ("mu", "spread"))
            for slot in self.slots
        )

    def name_of(self, role: str) -> str:
        """How the loss calls it."""
        names = [slot.name for slot in self.slots if slot.role == role and slot.name]
        return names[0] if names else self.used.get(role, "")

    def numbers(self) -> list[Slot]:
        """The arguments that are numbers."""
        return [slot for slot in self.slots if slot.role == "number"]

    def with_number(self, name: str, value: float) -> "Caller":
        """The same with another number."""
        slots = (replace(slot, number=value) if slot.name == name else slot for slot in self.slots)
        return replace(self, slots=tuple(slots))

    def value(self, point: Point) -> float:
        """The total, the mean over what it draws.

        Raises:
            CallError: it fails, or is not finite.
        """
        signs = (1.0, -1.0) if self.samples else (1.0,)
        with torch.no_grad():
            value = sum(float(self._total(self.tensors(point), point, sign)) for sign in signs) / len(signs)
        if not math.isfinite(value):
            raise CallError("it is not finite")
        return value

    def parts(self, point: Point, sign: float = 1.0) -> dict[str, float]:
        """Every number of the result, each averaged over what it is a number of."""
        with torch.no_grad():
            return {name: float(part.mean()) for name, part in self._run(self.tensors(point), point, sign).items()}

    def shape(self, point: Point) -> tuple[int, ...]:
        """The shape of what is returned as the total."""
        with torch.no_grad():
            return tuple(next(iter(self._run(self.tensors(point), point, 1.0).values())).shape)

    def gradients(self, point: Point) -> dict[str, Tensor]:
        """What autograd says of the total by role, where it says anything.

        Raises:
            CallError: the loss fails.
        """
        signs = (1.0, -1.0) if self.samples else (1.0,)
        slopes: dict[str, Tensor] = {}
        for sign in signs:
            inputs = {role: tensor.requires_grad_() for role, tensor in self.tensors(point).items()}
            total = self._total(inputs, point, sign)
            if not total.requires_grad:
                continue
            inputs |= {slot.role: self.parameter(slot) for slot in self.slots if slot.how == "parameter"}
            for role, slope in zip(
                inputs, torch.autograd.grad(total, list(inputs.values()), allow_unused=True), strict=True
            ):
                if slope is not None:
                    slopes[role] = slopes.get(role, torch.zeros_like(slope)) + slope / len(signs)
        return slopes

    def tensors(self, point: Point) -> dict[str, Tensor]:
        """What the arguments that are tensors hold; z only where it is no leaf, for it is made of μ and σ."""
        roles = dict.fromkeys(
            role
            for slot in self.slots
            if slot.how != "parameter"
            for role in (slot.order if slot.role == "bundle" else (slot.role,))
            if role in point.level
        )
        if {"posterior", "kl", "z"} & {slot.role for slot in self.slots} | ({"z"} & roles.keys()):
            roles |= dict.fromkeys(("mu", "spread"))
        return {role: point.tensor(role) for role in roles if role != "z"}

    def _total(self, tensors: dict[str, Tensor], point: Point, sign: float) -> Tensor:
        parts = self._run(tensors, point, sign)
        missing = [name for name in self.total if name not in parts]
        if missing:
            raise CallError(f"its result has no {missing[0]} any more")
        values = [parts[name] for name in self.total or list(parts)[:1]]
        means = [value if value.dim() == 0 else value.mean() for value in values]
        return means[0] if len(means) == 1 else torch.stack(means).sum()

    def _run(self, tensors: dict[str, Tensor], point: Point, sign: float) -> dict[str, Tensor]:
        try:
            with self._attributes(point), held(sign):
                positional = [self._argument(slot, tensors, point, sign) for slot in self._called("position")]
                named = {slot.name: self._argument(slot, tensors, point, sign) for slot in self._called("keyword")}
                return results.parts(self.function(*positional, **named))
        except Exception as error:  # whatever somebody's code does
            raise CallError(f"{type(error).__name__}: {first_line(error)}") from error

    def _called(self, how: str) -> list[Slot]:
        return [slot for slot in self.slots if slot.how == how]

    @contextmanager
    def _attributes(self, point: Point) -> Iterator[None]:
        """While inside, the object has the numbers and parameters that it is to be looked at with."""
        before = {slot.name: getattr(self.owner, slot.name) for slot in self.slots if slot.how == "attribute"}
        for slot in self.slots:
            if slot.how == "attribute":
                setattr(self.owner, slot.name, type(before[slot.name])(slot.number))
            elif slot.how == "parameter":
                self.parameter(slot).data.fill_(point.level[slot.role])
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self.owner, name, value)

    def parameter(self, slot: Slot) -> Tensor:
        """The module's parameter that a slot is."""
        parameters: dict[str, Tensor] = dict(self.owner.named_parameters())
        return parameters[slot.name]

    def _argument(self, slot: Slot, tensors: dict[str, Tensor], point: Point, sign: float) -> Any:
        if slot.role == "number" and slot.is_tensor:
            return torch.tensor(slot.number)
        if slot.role == "number":
            return int(slot.number) if float(slot.number).is_integer() and abs(slot.number) < 2**53 else slot.number
        if slot.role in ("batch_size", "values", "codes"):
            return {"batch_size": point.sizes.batch, "values": point.sizes.values, "codes": point.sizes.codes}[
                slot.role
            ]
        if slot.role == "classes":
            return torch.zeros(point.sizes.batch, dtype=torch.int64)
        if slot.role == "class_scores":
            return torch.full((point.sizes.batch, CLASSES), slot.number) * torch.arange(CLASSES)
        if slot.role in ("held_mu", "held_spread"):
            return replace(point, at={}, filled={}).tensor(slot.role.removeprefix("held_"))
        if slot.role == "bundle":
            return Bundle({role: self._tensor(role, tensors, sign) for role in slot.order}, slot.order, self.used)
        return self._tensor(slot.role, tensors, sign)

    def _tensor(self, role: str, tensors: dict[str, Tensor], sign: float) -> Any:
        if role == "z":
            return tensors["mu"] + sign * _sigma(tensors["spread"], self.kind)
        if role == "posterior":
            return Posterior(tensors["mu"], tensors["spread"])
        if role == "kl":
            return Posterior(tensors["mu"], tensors["spread"]).kl()
        return tensors[role]


class Posterior(Normal):
    """q(z|x) as an object, with the names of `torch.distributions` and of latent diffusion's."""

    def __init__(self, mu: Tensor, logvar: Tensor) -> None:
        self.logvar, self.var, self.std = logvar, logvar.exp(), (0.5 * logvar).exp()
        super().__init__(mu, self.std, validate_args=False)

    def kl(self, other: Any = None) -> Tensor:
        """KL(q‖N(0, 1)) of each image."""
        if other is not None:
            other_var = other.stddev**2
            kl: Tensor = 0.5 * (self.var / other_var + (self.mean - other.mean) ** 2 / other_var - 1)
            kl = kl + 0.5 * (other_var.log() - self.logvar)
        else:
            kl = 0.5 * (self.mean**2 + self.var - 1 - self.logvar)
        return kl.flatten(1).sum(1)


class Bundle:
    """What a model returned: a tuple, a dict and an object with attributes in one, whichever the loss takes it for."""

    def __init__(self, values: dict[str, Any], order: tuple[str, ...], used: dict[str, str]) -> None:
        self._values, self._order, self._used = values, order, used

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, str):
            role = role_of(key)
            if role not in self._values:
                raise KeyError(key)
            self._used[role] = key
            return self._values[role]
        return self._values[self._order[key]]

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[Any]:
        return iter([self._values[role] for role in self._order])

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, key: str) -> bool:
        return role_of(key) in self._values


def _sigma(spread: Tensor, kind: str) -> Tensor:
    if kind == "logvar":
        return (0.5 * spread).exp()
    if kind == "logstd":
        return spread.exp()
    return spread.sqrt() if kind == "var" else spread
