"""Whether a state that was read from a file has the form that a run would have written: keys, kinds and shapes.

PyTorch's fused optimisers read and write a tensor as if it had its parameter's size, whatever its own is. So each
tensor of a checkpoint is held against a template before anything is loaded.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from vaekl.store.read import AFRESH
from vaekl.system.errors import VaeklError

#: no state of an optimiser is nested deeper
_DEPTH = 8


class MisfitError(VaeklError):
    """A checkpoint is readable, but holds something that the run would not have written.

    Args:
        place: its dotted place, such as optimizer.state.3.exp_avg; empty for the whole.
        what: is wrong there, such as "has shape 4, where this run's has 16×4".
        file: the checkpoint, if it is known.
    """

    def __init__(self, place: str, what: str, file: Path | None = None) -> None:
        super().__init__(place, what, file)
        self.place, self.what, self.file = place, what, file

    @property
    def reason(self) -> str:
        """Place and fault, as part of a sentence."""
        return f"{f'its {self.place}' if self.place else 'it'} {self.what}"

    def __str__(self) -> str:
        file = f" {self.file}" if self.file is not None else ""
        return (
            f"the checkpoint{file} is not damaged, but not this run's either: {self.reason}: restore it and "
            f"config.yaml as the run wrote them, or {AFRESH}."
        )


@dataclass(frozen=True)
class Rule:
    """What a value may be where the run does not say exactly which one it is.

    Args:
        words: what it must be, such as "a whole number from 0 to 10".
        fits: whether a value is that.
    """

    words: str
    fits: Callable[[Any], bool]


def whole_number(least: int, most: int) -> Rule:
    """An int from `least` to `most`, and no bool."""
    return Rule(f"a whole number from {least} to {most}", lambda value: type(value) is int and least <= value <= most)


def check_matches(value: Any, template: Any, place: str = "") -> None:
    """Hold a state against one of the form that it must have.

    A tensor must have the template's type, dtype, layout, shape and strides (a template that is a view stands for its
    copy), and a storage for its elements alone, which no other tensor shares unless their templates do. A dict must
    have the same keys, a list or tuple the same length, and another value the same type and value. A `Rule` in the
    template decides by itself.

    Args:
        value: what was read.
        template: nested dicts, lists, tuples, tensors, scalars and rules.
        place: the dotted name of the value.

    Raises:
        MisfitError: names the first place that differs.
    """
    _match(value, template, place, {})


def check_sound(value: Any, place: str, depth: int = 0) -> None:
    """Refuse tensors that are no plain ones, with a storage for their elements alone; nothing else is looked at.

    Raises:
        MisfitError: names the first such place.
    """
    if depth > _DEPTH:
        _misfit(place, "is nested too deeply")
    if isinstance(value, Tensor):
        _check_plain(value, place)
    elif isinstance(value, dict | list | tuple | set):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in inside:
            check_sound(child, _below(place, key), depth + 1)


def _match(value: Any, template: Any, place: str, storages: dict[int, tuple[str, int]]) -> None:
    if isinstance(template, Rule):
        if not template.fits(value):
            _misfit(place, f"is {shown(value)}, where this run's is {template.words}")
    elif isinstance(template, Tensor):
        _match_tensor(value, template, place, storages)
    elif isinstance(template, dict):
        if type(value) not in (dict, OrderedDict):
            _misfit(place, f"is {shown(value)}, where this run's is a table")
        for key in template:
            if key not in value:
                _misfit(place, f"lacks {_name(key)}")
        for key in value:
            if key not in template:
                _misfit(place, f"has {_name(key)}, which this run's has not")
        for key, child in template.items():
            _match(value[key], child, _below(place, key), storages)
    elif type(value) is not type(template):
        _misfit(place, f"is {shown(value)}, where this run's is {shown(template)}")
    elif isinstance(template, list | tuple):
        if len(value) != len(template):
            _misfit(place, f"has {len(value)} entries, where this run's has {len(template)}")
        for number, child in enumerate(template):
            _match(value[number], child, _below(place, number), storages)
    elif value != template:
        _misfit(place, f"is {shown(value)}, where this run's is {shown(template)}")


def _match_tensor(value: Any, template: Tensor, place: str, storages: dict[int, tuple[str, int]]) -> None:
    if not isinstance(value, Tensor):
        _misfit(place, f"is {shown(value)}, where this run's is {shown(template)}")
    _check_plain(value, place)
    if type(value) is not type(template) or value.requires_grad != template.requires_grad:
        _misfit(place, "is no plain tensor")
    for what, own, expected in (
        ("type", value.dtype, template.dtype),
        ("shape", _shape(value), _shape(template)),
        ("strides", _strides(value), _strides(torch.empty_like(template, device="meta"))),
    ):
        if own != expected:
            _misfit(place, f"has {what} {own}, where this run's has {expected}")
    if value.numel():
        own_storage, expected_storage = (t.untyped_storage().data_ptr() for t in (value, template))
        other, others_storage = storages.setdefault(own_storage, (place, expected_storage))
        if others_storage != expected_storage:
            _misfit(place, f"shares its memory with {other}")


def _check_plain(value: Tensor, place: str) -> None:
    if type(value) not in (Tensor, nn.Parameter) or value.layout != torch.strided:
        _misfit(place, "is no plain tensor")
    if value.is_nested or value.is_quantized:
        _misfit(place, "is no plain tensor")
    if value.device.type not in ("cpu", "cuda"):
        _misfit(place, f"is on the device {value.device.type}")
    if value.is_conj() or value.is_neg() or value._backward_hooks:
        _misfit(place, "is no plain tensor")
    elements = value.numel() * value.element_size()
    if value.untyped_storage().nbytes() != elements or value.storage_offset():
        _misfit(place, f"has a storage of {value.untyped_storage().nbytes()} bytes for elements of {elements}")
    if _strides(value) != _strides(torch.empty_like(value, device="meta")):
        _misfit(place, f"has elements that overlap: shape {_shape(value)}, strides {_strides(value)}")


def _misfit(place: str, what: str) -> NoReturn:
    raise MisfitError(place, what)


def _below(place: str, key: Any) -> str:
    return f"{place}.{_name(key)}" if place else _name(key)


def _name(key: Any) -> str:
    """A key as it may be printed."""
    if type(key) is int and abs(key) < 2**63:
        return str(key)
    return key if type(key) is str and re.fullmatch(r"[\w.]{1,120}", key, re.ASCII) else "an entry of another name"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "()"


def _strides(tensor: Tensor) -> tuple[int, ...]:
    """Of the dimensions in which there are several elements: the others' strides mean nothing."""
    if not tensor.numel():
        return ()
    return tuple(stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)


def shown(value: Any) -> str:
    """A value as it may be printed: a stranger's may hold anything."""
    if isinstance(value, Tensor):
        return "a tensor"
    if value is None or type(value) in (bool, float) or (type(value) is int and abs(value) < 2**63):
        return str(value)
    kinds = {str: "text", int: "a huge number", bytes: "bytes", list: "a list", tuple: "a tuple"}
    return kinds.get(type(value), "a table" if isinstance(value, dict) else "of another kind")
