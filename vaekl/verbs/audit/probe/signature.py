"""Which argument of a loss is what: by name, then by what is left."""

import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from vaekl.verbs.audit.probe.caller import Slot
from vaekl.verbs.audit.probe.roles import class_role_of, role_of

_CORE = ("x_hat", "x", "mu", "spread")
#: in which a model's outputs are unpacked, where names do not say
_ORDERS = (
    ("x_hat", "mu", "spread"),
    ("x_hat", "x", "mu", "spread"),
    ("x_hat", "mu", "spread", "z"),
    ("x_hat", "z", "mu", "spread"),
    ("mu", "spread", "x_hat"),
    ("mu", "spread"),
    ("x_hat", "x", "mu", "spread", "z"),
)
_SIZES = {
    "batch_size": r"^(batch_?size|bs|n_?batch|batch_len)$",
    "values": r"^((input|original|data|in|x|n)_?dims?|(n_?|num_?)pixels|(image|img)_?size)$",
    "codes": r"^(latent_?dims?|z_?dim|n_?latents?|num_?latents?|nz|latent_?size|z_?size)$",
}
#: numbers that count steps: they are probed long after every warm-up
STEPS = re.compile(r"^(global_?|current_?|cur_?|train_?|n_?|num_?)?(step|steps|epoch|epochs|iter|iters|iteration|it)$")
DATA_SET = re.compile(r"^(n_?data|data_?set_?size|num_?data|n_?train|train_?size|num_?train\w*|train_images|n_?samples|"
                      r"data_?size|n_?obs|total_?size)$")  # fmt: skip
LONG_AFTER = 999_999_999.0
#: attributes of a model that its loss may be multiplied by
WEIGHTS = re.compile(
    r"^(beta|alpha|gamma|lamb\w*|kld?_?\w*|\w*_?weight|\w*capacity|c_max|free_?\w*|c|w_?kl|\w*_coef\w*)$"
)


def candidates(function: Callable[..., Any], numbers: Mapping[str, float]) -> Iterator[tuple[Slot, ...]]:
    """Ways to call a loss, the likeliest first.

    Args:
        function: the loss.
        numbers: that were typed for arguments of it.

    Raises:
        TypeError, ValueError: it has no signature that can be read.
    """
    parameters = list(inspect.signature(function).parameters.values())
    slots: list[Slot | None] = []
    for parameter in parameters:
        slots.append(_by_name(parameter, numbers, {each.role for each in slots if each}))
    if {"x_hat", "x", "mu"} <= {slot.role for slot in slots if slot}:
        slots = [slot or _of_classes(parameter) for slot, parameter in zip(slots, parameters, strict=True)]
    kinds = [parameter.kind for parameter in parameters]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        roles = {slot.role for slot in slots if slot}
        stars = [Slot("", role) for role in _CORE if role not in roles]
        place = kinds.index(inspect.Parameter.VAR_POSITIONAL)
        slots[place : place + 1] = stars
        parameters[place : place + 1] = [parameters[place]] * len(stars)
    if inspect.Parameter.VAR_KEYWORD in kinds:
        taken = {parameter.name for parameter in parameters}
        extra = [Slot(name, "number", "keyword", value) for name, value in numbers.items() if name not in taken]
        slots += extra
        parameters += [parameters[-1]] * len(extra)
    needed = [place for place, parameter in enumerate(parameters) if slots[place] is None and _is_required(parameter)]
    ways = list(_filled(parameters, slots, needed))
    yield from ways
    # a batch of a loader that makes dicts
    for way in ways:
        if any(slot.role == "x" for slot in way):
            yield tuple(replace(slot, role="bundle", order=("x",)) if slot.role == "x" else slot for slot in way)


def attributes(owner: Any, numbers: Mapping[str, float]) -> tuple[Slot, ...]:
    """The numbers of an object that its loss may be multiplied by."""
    weights = [(name, value) for name, value in _plain_attributes(owner) if WEIGHTS.match(name.lower())]
    steps = [(name, LONG_AFTER) for name, _ in _plain_attributes(owner) if STEPS.match(name.lower())]
    return tuple(Slot(name, "number", "attribute", numbers.get(name, value)) for name, value in (*weights, *steps))


def _plain_attributes(owner: Any) -> list[tuple[str, float]]:
    content = getattr(owner, "__dict__", {})
    return [
        (name, value)
        for name, value in content.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and not name.startswith("_")
    ]


def _by_name(parameter: inspect.Parameter, numbers: Mapping[str, float], taken: set[str]) -> Slot | None:
    name = parameter.name
    how = "keyword" if parameter.kind is inspect.Parameter.KEYWORD_ONLY else "position"
    if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
        return None
    if not _is_required(parameter):
        how = "keyword"
    if name in numbers:
        return Slot(name, "number", how, numbers[name])
    for size, pattern in _SIZES.items():
        if re.match(pattern, name.lower()):
            return Slot(name, size, how)
    if DATA_SET.match(name.lower()) and "train_images" in numbers:
        return Slot(name, "number", how, numbers["train_images"])
    if STEPS.match(name.lower()):
        return Slot(name, "number", how, LONG_AFTER)
    default = parameter.default
    if not _is_required(parameter):
        is_number = isinstance(default, int | float) and not isinstance(default, bool)
        return Slot(name, "number", how, float(default)) if is_number else None
    role = role_of(name)
    if role in ("mu", "spread") and role in taken:
        # of a second group of latents
        return Slot(name, f"held_{role}", how)
    if role in ("prior_mu", "prior_spread"):
        return Slot(name, role, how)  # of each group
    return Slot(name, role, how) if role is not None and role not in taken else None


def _of_classes(parameter: inspect.Parameter) -> Slot | None:
    """A classifier's argument, beside those of a VAE."""
    role = class_role_of(parameter.name) if _is_required(parameter) else None
    return Slot(parameter.name, role) if role is not None else None


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty and parameter.kind not in (
        inspect.Parameter.VAR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )


def _filled(
    parameters: list[inspect.Parameter], slots: list[Slot | None], needed: list[int]
) -> Iterator[tuple[Slot, ...]]:
    """Every way to give the arguments whose names say nothing a role, or to take one for all outputs of a model."""
    roles = {slot.role for slot in slots if slot}
    has_latents = bool(roles & {"mu", "posterior", "kl"})
    # the KL may be handed over, or q(z|x) as one object
    missing = [role for role in _CORE if role not in roles and not (has_latents and role in ("mu", "spread"))]
    if "mu" in roles and "spread" not in roles and needed:
        missing.append("spread")
    first = [place for place, slot in enumerate(slots) if slot is not None and slot.role == "x_hat"]

    def complete(choice: Mapping[int, Slot]) -> tuple[Slot, ...]:
        return tuple(
            chosen
            for place, parameter in enumerate(parameters)
            if (chosen := choice.get(place, slots[place])) is not None
            or (_is_required(parameter) and (chosen := Slot(parameter.name, "number", "position", 1.0, True)))
        )

    most = min(len(needed), len(missing))
    for places in itertools.combinations(needed, most):
        for order in itertools.permutations(missing, most):
            yield complete(
                {place: Slot(parameters[place].name, role) for place, role in zip(places, order, strict=True)}
            )
    if has_latents:
        return
    for place in [*needed, *first]:
        for roles_in_order in _ORDERS:
            others = [role for role in missing if role not in roles_in_order]
            rest = [other for other in needed if other != place]
            if len(others) > len(rest) and "x_hat" not in (*roles_in_order, *roles):
                continue
            choice = {place: Slot(parameters[place].name, "bundle", order=roles_in_order)}
            choice |= {other: Slot(parameters[other].name, role) for other, role in zip(rest, others, strict=False)}
            yield complete(choice)
