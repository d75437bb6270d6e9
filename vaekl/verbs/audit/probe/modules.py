"""A model whose loss calls the model itself: its parts are replaced by ones that return designed outputs."""

import copy
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from vaekl.verbs.audit.probe.roles import role_of

#: shapes of x on which a model is tried, where none is given
_SHAPES = ((2, 4, 4), (12,), (1, 28, 28), (784,), (3, 32, 32), (3, 64, 64), (1, 32, 32), (1, 64, 64), (1, 8, 8))
_ENCODERS, _DECODERS = ("encode", "encoder"), ("decode", "decoder")
#: heads of an encoder by their names; the last two are those of PyTorch's example
_HEADS = (
    ("mu", r"(mu|mean|loc)(_?(layer|head|linear|fc))?$|^fc_?21$"),
    ("spread", r"(log_?var|var|log_?std|std|sigma|log_?sigma|scale)(_?(layer|head|linear|fc))?$|^fc_?22$"),
)


@dataclass(frozen=True)
class Output:
    """What a part of a model returns: where in it the roles are.

    Args:
        tree: how it is nested.
        leaves: role -> its place; the role "both" is μ and the second parameter beside each other.
        shapes: of the leaves, without the batch.
        values: the leaves that have no role.
    """

    tree: TreeSpec
    leaves: dict[str, int]
    shapes: list[tuple[int, ...]]
    values: list[Any]

    def filled(self, designed: dict[str, Tensor]) -> Any:
        """The same with designed tensors."""
        values = list(self.values)
        for role, place in self.leaves.items():
            if role == "both":
                values[place] = torch.cat([designed["mu"], designed["spread"]], 1)
            elif role == "z":
                values[place] = designed["mu"]
            else:
                values[place] = designed[role].reshape(len(designed[role]), *self.shapes[place])
        return tree_unflatten(values, self.tree)


@dataclass
class Stubbed:
    """A model's loss as a function of x̂, x, μ and the second parameter of q(z|x).

    Args:
        owner: a copy of the model.
        method: of it, which takes the data.
        extra: what its other arguments are given.
        nested: what is made of x for the first, as (x, labels).
        outputs: of the parts that are replaced.
    """

    owner: nn.Module
    method: str
    extra: list[Any]
    nested: Callable[[Tensor], Any]
    outputs: dict[str, Output] = field(default_factory=dict)

    def __call__(self, x_hat: Tensor, x: Tensor, mu: Tensor, spread: Tensor) -> Any:
        """The loss."""
        designed = {"x_hat": x_hat, "x": x, "mu": mu, "spread": spread}
        before = {name: getattr(self._holder(name), self._attribute(name)) for name in self.outputs}
        method = getattr(self.owner, self.method)
        try:
            for name, output in self.outputs.items():
                _replace(self._holder(name), self._attribute(name), lambda *_, o=output, **__: o.filled(designed))
            return method(self.nested(x), *self.extra)
        finally:
            for name, value in before.items():
                _replace(self._holder(name), self._attribute(name), value)

    def _holder(self, name: str) -> Any:
        part = getattr(self.owner, name)
        return part if isinstance(part, nn.Module) else self.owner

    def _attribute(self, name: str) -> str:
        return "forward" if isinstance(getattr(self.owner, name), nn.Module) else name


def _replace(holder: Any, name: str, value: Any) -> None:
    object.__setattr__(holder, name, value)


def doubled(owner: nn.Module) -> nn.Module:
    """A copy in double precision, whose logging goes nowhere: the user's own module stays what it is."""
    twin = copy.deepcopy(owner).double()
    for part in twin.modules():
        for name, value in vars(part).items():
            if isinstance(value, Tensor) and value.is_floating_point():
                setattr(part, name, value.double())
    for name in ("log", "log_dict"):
        _replace(twin, name, lambda *_, **__: None)
    return twin


def stubbed(
    owner: nn.Module, method: str, shape: tuple[int, ...] | None
) -> Iterator[tuple[Stubbed, tuple[int, ...], tuple[int, ...] | None]]:
    """Ways to replace a model's parts, with the shape of x and of the latents that they are of.

    Args:
        owner: a model in double precision.
        method: that takes the data and returns the loss.
        shape: of x, if given.
    """
    first, *others = inspect.signature(getattr(owner, method)).parameters.values()
    extra = [0 for each in others if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]
    forms: list[Callable[[Tensor], Any]] = [lambda x: x, lambda x: (x, torch.zeros(len(x), dtype=torch.long))]
    if first.name in ("batch", "data"):
        # two images would be unpacked as (x, labels) too
        forms.reverse()
        forms.append(lambda x: {"x": x, "image": x, "data": x, "input": x})
    for size in [shape] if shape is not None else _SHAPES:
        x = torch.full((2, *size), 0.5)
        x[0] = 0.3
        for outputs, latents in _parts(owner, method, x):
            for nested in forms:
                yield Stubbed(owner, method, extra, nested, outputs), size, latents


def _parts(owner: nn.Module, method: str, x: Tensor) -> Iterator[tuple[dict[str, Output], tuple[int, ...] | None]]:
    """Which parts can be replaced, the model as a whole first."""
    if method != "forward" and (whole := _output(owner, x, x)) is not None and whole[1] is not None:
        yield {"forward": whole[0]}, whole[1]
    decoders = [name for name in _DECODERS if hasattr(owner, name)]
    for name in _ENCODERS:
        if not hasattr(owner, name):
            continue
        encoder = getattr(owner, name)
        made = _output(encoder, x, None) or _output(encoder, x.flatten(1), None)
        if made is not None and made[1] is not None:
            yield from _with_decoder(owner, decoders, {name: made[0]}, made[1], x)
    heads = _heads(owner)
    sizes = {part.out_features for part in heads.values() if isinstance(part, nn.Linear)}
    if len(heads) == 2 and len(sizes) == 1:
        latents = (sizes.pop(),)
        outputs = {name: _single(role, latents) for (role, name) in _head_names(owner).items()}
        yield from _with_decoder(owner, decoders, outputs, latents, x)


def _with_decoder(
    owner: nn.Module, names: list[str], outputs: dict[str, Output], latents: tuple[int, ...], x: Tensor
) -> Iterator[tuple[dict[str, Output], tuple[int, ...]]]:
    for name in names:
        with suppress(Exception), torch.no_grad():  # whatever the model does
            out = getattr(owner, name)(torch.zeros(2, *latents))
            if isinstance(out, Tensor) and out.numel() == x.numel():
                yield {**outputs, name: _single("x_hat", tuple(out.shape[1:]))}, latents


def _head_names(owner: nn.Module) -> dict[str, str]:
    names: dict[str, str] = {}
    for name, part in owner.named_children():
        for role, pattern in _HEADS:
            if isinstance(part, nn.Module) and re.search(pattern, name.lower()):
                names.setdefault(role, name)
    return names


def _heads(owner: nn.Module) -> dict[str, nn.Module]:
    return {role: getattr(owner, name) for role, name in _head_names(owner).items()}


def _single(role: str, shape: tuple[int, ...]) -> Output:
    return Output(tree_flatten(torch.zeros(1))[1], {role: 0}, [shape], [None])


def _output(part: Callable[..., Any], data: Tensor, x: Tensor | None) -> tuple[Output, tuple[int, ...] | None] | None:
    """Where in what a part returns its roles are, and the shape of the latents."""
    try:
        with torch.no_grad():
            torch.manual_seed(0)
            values, tree = tree_flatten(part(data))
            torch.manual_seed(1)
            again, _ = tree_flatten(part(data))
    except Exception:  # whatever the model does on a shape that it is not made for
        return None
    leaves: dict[str, int] = {}
    shapes = [tuple(value.shape[1:]) if isinstance(value, Tensor) else () for value in values]
    names = _names(tree, len(values))
    of_latents: list[int] = []
    for place, value in enumerate(values):
        if not isinstance(value, Tensor) or value.dim() < 2 or len(value) != len(data):
            continue
        if x is not None and value.numel() == x.numel():
            same = value.shape == x.shape and bool(torch.equal(value, x))
            leaves.setdefault("x" if same else "x_hat", place)
        elif (role := role_of(names[place])) in ("mu", "spread", "z"):
            leaves[str(role)] = place
        else:
            of_latents.append(place)
    drawn = [place for place in of_latents if not torch.equal(values[place], again[place])]
    fixed = [place for place in of_latents if place not in drawn]
    for role, place in zip(
        [role for role in ("mu", "spread") if role not in leaves] if len(fixed) > 1 else [], fixed, strict=False
    ):
        leaves[role] = place
    if drawn:
        leaves.setdefault("z", drawn[0])
    if len(fixed) == 1 and "mu" not in leaves and shapes[fixed[0]][0] % 2 == 0 and x is None:
        leaves["both"] = fixed[0]
        half = shapes[fixed[0]]
        return Output(tree, leaves, shapes, values), (half[0] // 2, *half[1:])
    latents = shapes[leaves["mu"]] if {"mu", "spread"} <= leaves.keys() else None
    return Output(tree, leaves, shapes, values), latents


def _names(tree: TreeSpec, count: int) -> list[str]:
    """The names of the leaves of a dict or a named tuple."""
    context = tree.context
    if isinstance(context, list) and len(context) == count:
        return [str(name) for name in context]
    fields = getattr(context, "_fields", None)
    return list(fields) if fields is not None and len(fields) == count else [""] * count
