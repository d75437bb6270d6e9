"""A function of kernels as a CUDA graph, or a tape on a CPU: taken as it is, recorded, compared, and then played."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor

from vaekl.system.errors import VaeklError, first_line
from vaekl.training.tape import Tape

T = TypeVar("T")
#: steps before the one that is recorded, in which libraries set themselves up
_WARM_UP = 3
#: by how much of what a step changes a number, on average, the recorded step may miss the step as it is
_TOLERANCE = 0.01
#: with the batch that it was recorded with, and with the next one
_COMPARISONS = 2
_CURE = "set trainer.compile=true or false."


class Recording:
    """A step that is taken as it is for some times, then recorded, and then played.

    Args:
        device: where its kernels are.
        noises: from which the step draws.
        state: gives all numbers that it changes.
    """

    def __init__(self, device: torch.device, noises: Sequence[torch.Generator], state: Callable[[], list[Tensor]]):
        self._is_on_gpu = device.type == "cuda"
        self._stream = Stream(device) if self._is_on_gpu else Program()
        self._noises, self._state = noises, state
        self._taken = self._comparisons = 0
        self._replay: Callable[[], None] | None = None
        self._results: list[Tensor] = []

    @property
    def is_warm(self) -> bool:
        """Whether it was taken often enough to be recorded."""
        return self._taken >= _WARM_UP

    @property
    def is_made(self) -> bool:
        """Whether it is recorded."""
        return self._replay is not None

    def take(self, step: Callable[[], T]) -> T:
        """Take it as it is; returns what it returns."""
        self._taken += 1
        with self._stream.taken():
            return step()

    def make(self, step: Callable[[], list[Tensor]]) -> None:
        """Record it; afterwards it is not taken yet.

        Args:
            step: takes it, its numbers from their places; returns its results.

        Raises:
            VaeklError: it cannot be recorded.
        """
        back = self._way_back()

        def record() -> None:
            self._results = step()

        try:
            self._replay = self._stream.recorded(record, self._noises)
        except Exception as error:  # whatever a model does that cannot be recorded
            raise VaeklError(f"the step cannot be recorded ({first_line(error)}): {_CURE}") from error
        finally:
            back()

    def replayed(self, as_it_is: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Play it; returns its results, which the next step overwrites.

        Args:
            as_it_is: takes the same step, its numbers from the program.

        Raises:
            VaeklError: it is another step than that, with the batch of the recording or the next one.
        """
        assert self._replay is not None
        if self._comparisons < _COMPARISONS:
            self._compare(as_it_is)
        self._replay()
        return self._results

    def _compare(self, as_it_is: Callable[[], list[Tensor]]) -> None:
        assert self._replay is not None
        self._comparisons += 1
        back, former = self._way_back(), self._numbers()
        with self._stream.taken():
            results = [result.clone() for result in as_it_is()]
        expected = [*self._numbers(), *results]
        back()
        try:
            self._replay()
        except Exception as error:  # an operator may do something else where no gradient is wanted of it
            back()
            raise VaeklError(f"the step cannot be played ({first_line(error)}): {_CURE}") from error
        played, before = [*self._numbers(), *self._results], [*former, *map(torch.zeros_like, results)]
        is_same = all(self._is_same(*numbers) for numbers in zip(played, expected, before, strict=True))
        back()
        if not is_same:
            raise VaeklError(f"the step is another one when it is recorded: {_CURE}")

    def _way_back(self) -> Callable[[], None]:
        """What sets all numbers and noises to what they are now."""
        former, noises = self._numbers(), [own.get_state() for own in self._noises]

        def back() -> None:
            for tensor, before in zip(self._state(), former, strict=True):
                tensor.detach().copy_(before)
            for own, state in zip(self._noises, noises, strict=True):
                own.set_state(state)

        return back

    def _is_same(self, one: Tensor, other: Tensor, before: Tensor) -> bool:
        one, other, before = one.double(), other.double(), before.double()
        if not self._is_on_gpu:  # where the same kernels give the same bits
            return torch.equal(one.nan_to_num(), other.nan_to_num())
        return _mean(one - other) <= _TOLERANCE * _mean(other - before) + 1e-6 * _mean(other)

    def _numbers(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._state()]


class Numbers:
    """Numbers of a program at places on a device.

    On a CPU they have all their digits, so that a step is to the bit the one that takes them from the program.

    Args:
        device: where they are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._dtype = device, torch.float32 if device.type == "cuda" else torch.float64
        self._places: list[Tensor] = []
        self._set: list[float] = []

    def set(self, numbers: Sequence[float]) -> list[Tensor]:
        """Put those that have changed there; returns the places, [] each, which stay the same."""
        if not self._places:
            self._places = [torch.full((), number, device=self._device, dtype=self._dtype) for number in numbers]
            self._set = list(numbers)
        for place, before, number in zip(self._places, self._set, numbers, strict=True):
            if number != before:
                place.fill_(number)
        self._set = list(numbers)
        return self._places


class Stream:
    """A stream of a GPU's, on which a step is taken some times and then recorded.

    What a library keeps for each stream must be there before the recording, and no gradient may belong to another one.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Inside, kernels are started on this stream, after all before them; what follows waits for them."""
        usual = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            yield
        usual.wait_stream(self._stream)

    def recorded(self, step: Callable[[], None], noises: Sequence[torch.Generator]) -> Callable[[], None]:
        """What takes the step again, by a CUDA graph.

        Args:
            step: to be recorded.
            noises: from which it draws.
        """
        graph = torch.cuda.CUDAGraph()
        for own in noises:
            graph.register_generator_state(own)
        # by thread, since images of a file are read ahead by another one, which may use the GPU meanwhile
        with (
            torch.cuda.device(self._stream.device),
            torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
        ):
            step()
        return graph.replay


class Program:
    """What `Stream` is on a CPU."""

    def taken(self) -> AbstractContextManager[None]:
        """Inside, kernels are started."""
        return nullcontext()

    def recorded(self, step: Callable[[], None], noises: Sequence[torch.Generator]) -> Callable[[], None]:
        """What takes the step again, by a tape.

        Args:
            step: to be recorded.
            noises: from which it draws.
        """
        tape = Tape(draws=True)
        with tape:
            step()
        return tape.play


def capturable(optimizer: torch.optim.Optimizer, step: Callable[[], T]) -> T:
    """A step of which Adam may be recorded, with tensors as learning rates; afterwards its settings are as before."""
    groups = optimizer.param_groups
    before: list[dict[str, Any]] = [{key: group[key] for key in ("lr", "capturable")} for group in groups]
    for group in groups:
        group["capturable"] = True
    try:
        return step()
    finally:
        for group, settings in zip(groups, before, strict=True):
            group.update(settings)


def memory_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """What an optimiser remembers of its parameters."""
    return [value for kept in optimizer.state.values() for value in kept.values()]


def _mean(values: Tensor) -> float:
    """The mean magnitude of those that are finite; of others training itself speaks."""
    return values.double().nan_to_num(0, 0, 0).abs().mean().item()
