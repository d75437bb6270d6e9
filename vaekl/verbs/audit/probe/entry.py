"""The reading of a loss, whichever way it is called."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from vaekl.system.errors import VaeklError, did_you_mean
from vaekl.verbs.audit.probe.caller import CallError
from vaekl.verbs.audit.probe.energy import EXACT, LARGEST_RESIDUAL
from vaekl.verbs.audit.probe.kl import Kl, read_kl
from vaekl.verbs.audit.probe.modules import doubled, stubbed
from vaekl.verbs.audit.probe.reading import Reading, read_call
from vaekl.verbs.audit.probe.search import Call, working
from vaekl.verbs.audit.probe.signature import WEIGHTS
from vaekl.verbs.audit.probe.words import Words


def read(function: Callable[..., Any], words: Words, owner: Any = None) -> Reading:
    """The reading of a loss; of several ways to call it the one that is understood best.

    Args:
        function: the loss, or a method of a model that takes the data and returns it.
        words: what was typed beside it.
        owner: the object that it is a method of.

    Raises:
        VaeklError: it cannot be called, or has no number of a name that was typed.
    """
    with _double(), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calls = _calls(function, words, owner)
        if len(calls) > 1:
            calls = _with_best_kl(calls)
        readings, failure = [], CallError("")
        for call in calls:
            try:
                readings.append(_of_vectors(call, words, read_call(call, words)))
            except CallError as error:
                failure = error
        if not readings:
            raise VaeklError(
                f"it fails on some designed inputs ({failure}): give shape= and latents= as it wants them."
            )
        reading = min(readings, key=_unlikeliness)
        return reading if reading.kl.reads else _with_weights(reading)


def _with_weights(reading: Reading) -> Reading:
    """The reading with weights of 0 at 1, where there would be no KL with them."""
    call = reading.call
    names = [slot.name for slot in call.caller.numbers() if slot.number == 0 and WEIGHTS.match(slot.name.lower())]
    caller = call.caller
    for name in names:
        caller = caller.with_number(name, 1.0)
    reach = call.reach | {role for role in ("mu", "spread") if caller.has(role)}
    note = f"{' and '.join(names)} of 0, with which there is no KL, taken as 1"
    try:
        other = read_call(replace(call, caller=caller, reach=reach, notes=(*call.notes, note)), reading.words)
    except CallError:
        return reading
    return other if names and other.kl.kind and other.kl.weight else reading


def _calls(function: Callable[..., Any], words: Words, owner: Any) -> list[Call]:
    numbers = dict(words.numbers)
    if words.train_images is not None:
        numbers.setdefault("train_images", float(words.train_images))
    latents = None if words.latents is None else (words.latents,)
    if isinstance(owner, nn.Module):
        owner = doubled(owner)
        method = getattr(function, "__func__", None)
        function = owner if method is None else method.__get__(owner)
    failure, calls = None, []
    try:
        calls = working(function, numbers, words.shape, latents, owner)
    except VaeklError as error:
        failure = error
    if isinstance(owner, nn.Module) and not any({"x_hat", "mu"} <= call.reach for call in calls):
        name = getattr(function, "__name__", "forward")
        calls = _of_stubs(owner, name, words, numbers) or calls
    if not calls:
        assert failure is not None
        raise failure
    _check_numbers(words, calls)
    return calls


def _of_stubs(owner: nn.Module, method: str, words: Words, numbers: dict[str, float]) -> list[Call]:
    """Calls of a method that asks the model itself, whose parts return designed outputs."""
    try:
        for function, shape, latents in stubbed(owner, method, words.shape):
            try:
                calls = working(function, numbers, shape, latents, owner)
            except VaeklError:
                continue
            if any({"x_hat", "mu"} <= call.reach for call in calls):
                return calls
    except (TypeError, ValueError):  # a method without arguments, or without a signature
        pass
    return []


def _check_numbers(words: Words, calls: list[Call]) -> None:
    names = {slot.name for call in calls for slot in call.caller.numbers()}
    for name in words.numbers:
        if name not in names:
            there = f"it has {', '.join(sorted(names))}" if names else "it has none"
            raise VaeklError(
                f"no argument of it that is a number is called {name}{did_you_mean(name, names)}: {there}."
            )


def _of_vectors(call: Call, words: Words, reading: Reading) -> Reading:
    """The reading on vectors where images were guessed and their axes are reduced in different ways."""
    pixels = reading.pixels
    if words.shape is not None or pixels is None or pixels.channels in (None, pixels.values):
        return reading
    for kind, shape in (("vectors", (12,)), ("sequences", (3, 4))):
        sizes = replace(call.point.sizes, shape=shape)
        note = (
            f"taken as a loss of {kind}; the axes of images [C, H, W] are reduced in different ways, which "
            "shape=[3,64,64] shows"
        )
        try:
            other = read_call(replace(call, point=call.point.resized(sizes), notes=(*call.notes, note)), words)
        except CallError:
            continue
        if other.pixels is not None and other.pixels.is_plain:
            return other
    return reading


def _with_best_kl(calls: list[Call]) -> list[Call]:
    """Of several ways to call a loss those in which its KL is understood."""
    residuals = []
    for call in calls:
        try:
            kl = read_kl(call)
        except CallError:
            kl = Kl(residual=9.0)
        residuals.append(kl.residual + (0.0 if kl.is_right or kl.kink is not None else 1.0))
    return [call for call, residual in zip(calls, residuals, strict=True) if residual <= min(residuals) + EXACT]


def _unlikeliness(reading: Reading) -> tuple[bool, bool, float]:
    term = reading.reconstruction.term
    is_swapped = term is not None and term.family.name == "bce_swapped"
    return reading.doubt > LARGEST_RESIDUAL, is_swapped, round(reading.doubt, 7)


@contextmanager
def _double() -> Iterator[None]:
    """What the loss makes of new tensors is of double precision, as the inputs are; the random state stays."""
    before, state = torch.get_default_dtype(), torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
        torch.set_rng_state(state)
