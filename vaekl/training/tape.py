"""A function's kernels as a tape: recorded once, then played on the same memory without the program that started them.

Of a small step most time goes into starting its kernels: Python, autograd and `torch.vmap` decide each time anew what
is to be done, and memory is taken and given back. A tape does what a CUDA graph does, on a CPU.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

if TYPE_CHECKING:
    from vaekl.training.joint import JointStep

#: bytes of results above which no tape is kept: such kernels take longer than to start them
_LARGEST = 2**28
_KNOWN = ("vaekl", "torch", "builtins", "collections", "functools", "pathlib")


#: operators that take no values from a tensor, but its form
_FORMS = ("new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like")


class NotRecordableError(RuntimeError):
    """A function does more than its kernels."""


class Tape(TorchDispatchMode):
    """Notes the operators that are called inside it, below autograd, and keeps all their results.

    Played, each is computed from what the memory of its arguments holds then, and written where its result was. Numbers
    of Python stay what they were at the recording.

    Args:
        draws: whether random numbers may be drawn, anew each time.

    Raises:
        NotRecordableError: a value is asked for, or random numbers are drawn that may not be.
    """

    def __init__(self, draws: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._refused = [torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape]
        self._refused += [] if draws else [torch.Tag.nondeterministic_seeded]
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self._memory: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # else PyTorch imports its compiler, which takes a second, to keep it away from here
        return False

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call an operator and take it down."""
        kwargs = kwargs or {}
        if any(tag in operator.tags for tag in self._refused):
            raise NotRecordableError(f"{operator} depends on more than memory")
        result = operator(*args, **kwargs)
        self._memory |= {own.data_ptr(): own.nbytes() for own in _memory_of(result)}
        # a tensor may get other memory later
        args, kwargs, place = tree_map_only(Tensor, Tensor.detach, (args, kwargs, result))
        is_written = any(value.alias_info is not None and value.alias_info.is_write for value in _arguments(operator))
        if is_written:
            self._calls.append((operator, args, kwargs))
        elif _computes(operator, args, kwargs, place):
            self._calls.append(_into(place, operator, args, kwargs))
        return result

    @property
    def size(self) -> int:
        """Bytes of all results."""
        return sum(self._memory.values())

    @torch.no_grad()
    def play(self) -> None:
        """Compute everything again."""
        for function, args, kwargs in self._calls:
            function(*args, **kwargs)


class TapedGradient:
    """`JointStep.gradient`, played once it was seen that a tape gives the same bits.

    Where a part of the model is neither PyTorch's nor vaekl's nothing is recorded: its program may do something else in
    a later step.

    Args:
        joint: the steps of some runs on a CPU.
    """

    def __init__(self, joint: "JointStep") -> None:
        self._joint = joint
        self._tape: Tape | None = None
        self._is_compared = False
        self._ledger = torch.empty(0)
        self._is_refused = not _is_known(joint.objective, set())

    def __call__(self, x: Tensor, noise: Tensor) -> Tensor:
        """The means of `LEDGER`, [N, 5], at the same place in each step; x and the noise are as well."""
        if self._is_refused:
            return self._joint.gradient(x, noise)
        if self._tape is None:
            return self._recorded(x, noise)
        if not self._is_compared:
            self._is_compared = True
            if not self._is_same(x, noise):
                self._is_refused, self._tape = True, None
                return self._joint.gradient(x, noise)
        self._tape.play()
        return self._ledger

    def _recorded(self, x: Tensor, noise: Tensor) -> Tensor:
        tape, before = Tape(), self._joint.buffers()
        try:
            with tape:
                self._ledger = self._joint.gradient(x, noise)
        except NotRecordableError:
            self._is_refused = True
            self._joint.set_buffers(before)
            return self._joint.gradient(x, noise)
        self._is_refused = tape.size > _LARGEST
        self._tape = None if self._is_refused else tape
        return self._ledger

    def _is_same(self, x: Tensor, noise: Tensor) -> bool:
        """Whether the tape gives in this step what the program gives; nothing is changed by it."""
        joint, tape = self._joint, self._tape
        assert tape is not None
        before = joint.buffers()
        ledger = joint.gradient(x, noise)
        expected = [ledger, *joint.gradients(), *joint.buffers()]
        joint.set_buffers(before)
        tape.play()
        played = [self._ledger, *joint.gradients(), *joint.buffers()]
        joint.set_buffers(before)
        return all(torch.equal(one, other) for one, other in zip(played, expected, strict=True))


def _is_known(value: Any, seen: set[int]) -> bool:
    """Whether an object and all in it, such as a module's parts and hooks, are of no program but PyTorch's and vaekl's.

    Args:
        value: any object.
        seen: those that are looked at already.
    """
    if id(value) in seen or isinstance(value, Tensor):
        return True
    seen.add(id(value))
    if str(getattr(value, "__module__", type(value).__module__)).split(".")[0] not in _KNOWN:
        return False
    parts: list[Any] = [*getattr(value, "__dict__", {}).values()] if not isinstance(value, type) else []
    if isinstance(value, partial):
        parts += [value.func, value.args, value.keywords]
    if isinstance(value, dict):
        parts += value.values()
    elif isinstance(value, list | tuple | set | frozenset | deque):
        parts += value
    return all(_is_known(part, seen) for part in parts)


def _arguments(operator: Any) -> Any:
    return operator._schema.arguments


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """Those among arguments or results, also in lists and dictionaries."""
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _memory_of(tree: Any) -> list[torch.UntypedStorage]:
    return [tensor.untyped_storage() for tensor in tensors_in(tree)]


def _computes(operator: Any, args: Any, kwargs: Any, result: Any) -> bool:
    """Whether a result is more than a view of an argument, or memory that is still to be filled."""
    if operator.namespace == "profiler" or "empty" in operator._schema.name:
        return False
    given, own = ({memory.data_ptr() for memory in _memory_of(tree)} for tree in ((args, kwargs), result))
    return not own or not own <= given


def _into(result: Any, operator: Any, args: Any, kwargs: Any) -> tuple[Callable[..., Any], Any, dict[str, Any]]:
    """The call that writes to where a result is."""
    copy = torch.ops.aten.copy_.default
    if operator in (torch.ops.aten.clone.default, torch.ops.aten._to_copy.default):
        return copy, (result, args[0]), {}
    is_random = torch.Tag.nondeterministic_seeded in operator.tags
    is_constant = operator.__name__.split(".")[0] in _FORMS or not ([*tensors_in((args, kwargs))] or is_random)
    if isinstance(result, Tensor) and is_constant:
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
