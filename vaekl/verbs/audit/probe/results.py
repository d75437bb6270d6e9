"""What a loss returns: its total, and the terms that it names beside it."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

#: what totals are called; the first that is there is taken
_TOTALS = ("loss", "total_loss", "total", "loss_total", "vae_loss", "nelbo", "neg_elbo", "elbo", "objective")


def parts(result: Any) -> dict[str, Tensor]:
    """The numbers of a result under their names, the total first, as far as names or places say.

    Raises:
        TypeError: there is no tensor in it.
    """
    items = dict(_items(result))
    named = {name: value for name, value in items.items() if isinstance(value, Tensor) and value.is_floating_point()}
    if not named:
        # as of .item(), through which no gradient goes
        named = {name: torch.tensor(value) for name, value in items.items() if isinstance(value, float)}
    if not named:
        raise TypeError(f"it returns {type(result).__name__} without a tensor")
    order = [name for total in _TOTALS for name in named if name.lower() == total]
    return {name: named[name] for name in dict.fromkeys([*order, *named])}


def _items(result: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(result, Tensor | float):
        yield "", result
    elif isinstance(result, Mapping):
        for key, value in result.items():
            yield from _nested(str(key), value)
    elif hasattr(result, "_fields"):
        yield from zip(result._fields, result, strict=True)
    elif isinstance(result, tuple | list):
        for place, value in enumerate(result):
            yield from _nested(f"[{place}]", value)
    elif dataclasses.is_dataclass(result):
        for field in dataclasses.fields(result):
            yield field.name, getattr(result, field.name)
    elif hasattr(result, "__dict__"):
        yield from vars(result).items()


def _nested(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value, or those of a dict in it, as of (loss, logs)."""
    if isinstance(value, Mapping):
        yield from ((f"{name}.{key}", inner) for key, inner in value.items())
    else:
        yield name, value
