"""A function's kernels as a tape: recorded once, then played on the same memory without the program that started them.

Of a small step most time goes into starting its kernels: Python, autograd and `torch.vmap` decide each time anew what
is to be done, and memory is taken and given back. A tape does what a CUDA graph does, on a CPU.
"""

from collections.abc import Callable, Iterator
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

#: operators whose result depends on no values, only on the form of a tensor or on numbers
_CONSTANT = ("new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like", "lift_fresh")


class NotRecordableError(RuntimeError):
    """A function does more than its kernels, or too much to be kept."""


class Tape(TorchDispatchMode):
    """Notes the operators that are called inside it, below autograd, and keeps all their results.

    Played, each is computed from what the memory of its arguments holds then, and written where its result was. Numbers
    of Python stay what they were at the recording, and so do values that are read past PyTorch's operators, as
    `tensor.numpy()` and `tensor.tolist()` do.

    Args:
        draws: whether random numbers may be drawn, anew each time.
        limit: bytes of results that are kept at most.

    Raises:
        NotRecordableError: a value is asked for, random numbers are drawn that may not be, or the limit is passed.
    """

    def __init__(self, draws: bool = False, limit: float = inf) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._refused = [torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape]
        self._refused += [] if draws else [torch.Tag.nondeterministic_seeded]
        self._limit, self._kept = limit, 0
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # else PyTorch imports its compiler, which takes a second, to keep it away from here
        return False

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call an operator and take it down."""
        kwargs = kwargs or {}
        if any(tag in operator.tags for tag in self._refused) and not _picks_by_number(operator, args):
            raise NotRecordableError(f"{operator} depends on more than memory")
        result = operator(*args, **kwargs)
        # a tensor may get other memory later
        args, kwargs, place = tree_map_only(Tensor, Tensor.detach, (args, kwargs, result))
        if _computes(operator, args, kwargs, place):
            self._calls.append(_into(place, operator, args, kwargs))
            self._kept += sum(memory.nbytes() for memory in _memory_of(place))
        elif any(value.alias_info is not None and value.alias_info.is_write for value in _arguments(operator)):
            self._calls.append((operator, args, kwargs))
        if self._kept > self._limit:
            raise NotRecordableError(f"its results take more than {self._limit:,} bytes")
        return result

    @torch.no_grad()
    def play(self) -> None:
        """Compute everything again."""
        for function, args, kwargs in self._calls:
            function(*args, **kwargs)


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """Those among arguments or results, also in lists and dictionaries."""
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _arguments(operator: Any) -> Any:
    return operator._schema.arguments


def _memory_of(tree: Any) -> list[torch.UntypedStorage]:
    return [tensor.untyped_storage() for tensor in tensors_in(tree)]


def _picks_by_number(operator: Any, args: Any) -> bool:
    """Whether values are picked by their places; what is picked by a mask has another size each time."""
    masks = (torch.bool, torch.uint8)
    return operator is torch.ops.aten.index.Tensor and all(own.dtype not in masks for own in tensors_in(args[1]))


def _is_constant(operator: Any, args: Any, kwargs: Any) -> bool:
    is_random = torch.Tag.nondeterministic_seeded in operator.tags
    return operator._schema.name.removeprefix("aten::") in _CONSTANT or not (is_random or [*tensors_in((args, kwargs))])


def _computes(operator: Any, args: Any, kwargs: Any, result: Any) -> bool:
    """Whether a result is more than arguments, views of them, or memory that is still to be filled."""
    if operator.namespace == "profiler" or "empty" in operator._schema.name:
        return False
    given, own = ({memory.data_ptr() for memory in _memory_of(tree)} for tree in ((args, kwargs), result))
    return not own <= given or (bool(own) and _is_constant(operator, args, kwargs))


def _into(result: Any, operator: Any, args: Any, kwargs: Any) -> tuple[Callable[..., Any], Any, dict[str, Any]]:
    """The call that writes to where a result is."""
    copy = torch.ops.aten.copy_.default
    if operator in (torch.ops.aten.clone.default, torch.ops.aten._to_copy.default):
        return copy, (result, args[0]), {}
    if isinstance(result, Tensor) and _is_constant(operator, args, kwargs):
        return copy, (result, result.clone()), {}  # again, since something may have been made of it in its place
    for name in operator.overloadpacket.overloads():
        other = getattr(operator.overloadpacket, name)
        places = [value.name for value in _arguments(other) if value.is_out]
        others = [(value.name, str(value.type)) for value in _arguments(other) if not value.is_out]
        is_alike = others == [(value.name, str(value.type)) for value in _arguments(operator)]
        if is_alike and len(places) == 1 and isinstance(result, Tensor):
            return other, args, {**kwargs, places[0]: result}

    def copied(*args: Any, **kwargs: Any) -> None:
        for place, value in zip(tensors_in(result), tensors_in(operator(*args, **kwargs)), strict=True):
            place.copy_(value)

    return copied, args, kwargs
