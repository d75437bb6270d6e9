"""A step as one CUDA graph, which a GPU takes without waiting for a program to start each kernel.

Recorded is what is done on the device: of a lone run transform, noise, forward, backward, clipping, optimiser, moving
average and ledger, of a stack's runs all but transform, noise and average. What changes from step to step is read at
fixed places: the batch, the KL's multiplier and the learning rates.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from vaekl.system.errors import VaeklError, first_line
from vaekl.training.buffers import Buffers

if TYPE_CHECKING:
    from vaekl.training.joint import JointStep
    from vaekl.training.trainer import Trainer

#: steps before the one that is recorded, in which libraries set themselves up
_WARM_UP = 3
#: by how much of what a step changes a number, on average, the recorded step may miss the step as it is
_TOLERANCE = 0.01


class Recorder:
    """Takes the steps of a trainer: the first as they are, then by a graph of one.

    Args:
        trainer: on a GPU, with Adam or AdamW in one kernel.

    Raises:
        VaeklError: its optimiser is another one.
    """

    def __init__(self, trainer: "Trainer") -> None:
        self._trainer = trainer
        is_adam = isinstance(trainer.optimizer, torch.optim.Adam | torch.optim.AdamW)
        if not (is_adam and all(group["fused"] for group in trainer.optimizer.param_groups)):
            raise VaeklError(
                "trainer.compile=graph takes optim=adam or adamw with optim.fused=true, whose step is one kernel: set "
                "one of them, or trainer.compile=true."
            )
        self._recording = Recording(trainer.device, [trainer.generator], self._state)
        self._numbers = Numbers(trainer.device)
        self._stored = torch.empty(0)
        self._gradients: list[Tensor] = []

    def step(self, stored: Tensor) -> Tensor:
        """Take one, and return the means of `LEDGER`, [5].

        Args:
            stored: images as the data set stores them, [B, *S].

        Raises:
            VaeklError: the step cannot be recorded, or is another one then.
        """
        trainer, recording = self._trainer, self._recording
        rates, logs = trainer.rates(trainer.step), trainer.plan.logs_after(trainer.step + 1)
        multiplier, *places = self._numbers.set([trainer.schedule(trainer.step), *rates])
        if not recording.is_made:
            # the norm that is logged is not recorded
            if not recording.is_warm or (logs and trainer.plan.log_every > 1):
                return recording.take(lambda: trainer.advance(stored, multiplier, rates))
            self._stored, buffers = stored.clone(), Buffers(trainer.objective)

            def step(rates: Sequence[float | Tensor]) -> Tensor:
                ledger = trainer.advance(self._stored, multiplier, rates)
                buffers.put_back()
                return ledger

            recording.make(lambda: step(rates), lambda: capturable(trainer.optimizer, lambda: step(places)))
            self._gradients = [weight.grad for weight in trainer.networks if weight.grad is not None]
        self._stored.copy_(stored)
        ledger = recording.replayed()
        for group, rate in zip(trainer.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate  # which a checkpoint has
        if logs and trainer.plan.clip_norm is None:
            trainer.gradient_norm = get_total_norm(self._gradients)
        return ledger

    def _state(self) -> list[Tensor]:
        trainer = self._trainer
        average = [] if trainer.average is None else [*trainer.average.parameters(), *trainer.average.buffers()]
        own = [*trainer.objective.parameters(), *trainer.objective.buffers(), *average]
        return [*own, *memory_of(trainer.optimizer)]


class JointRecorder:
    """The same for the steps that the runs of a stack take together.

    Args:
        joint: their steps.
    """

    def __init__(self, joint: "JointStep") -> None:
        self._joint = joint
        self._recording = Recording(joint.device, [], joint.state)
        self._numbers = Numbers(joint.device)
        self._batch: tuple[Tensor, Tensor] = torch.empty(0), torch.empty(0)
        self._norms = torch.empty(0)

    def step(self, waiting: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Take one; returns the means of `LEDGER`, [N, 5], and the norms of the gradients, [N].

        Args:
            waiting: the places of the runs that wait for it.
        """
        joint, recording = self._joint, self._recording
        rates = joint.rates(waiting)
        places = self._numbers.set(rates)
        if not recording.is_made:
            self._batch = joint.batch()

        def step(rates: Sequence[float | Tensor]) -> Tensor:
            ledger, self._norms = joint.take(*self._batch, rates)
            return ledger

        if not recording.is_made:
            if not recording.is_warm:
                return recording.take(lambda: step(rates)), self._norms
            recording.make(lambda: step(rates), lambda: capturable(joint.optimizer, lambda: step(places)))
        for place, values in zip(self._batch, joint.batch(), strict=True):
            place.copy_(values)
        return recording.replayed(), self._norms


class Recording:
    """A step that is taken as it is for some times, then recorded, and then taken by the graph.

    Args:
        device: a GPU.
        noises: from which the step draws.
        state: gives all numbers that it changes.
    """

    def __init__(self, device: torch.device, noises: Sequence[torch.Generator], state: Callable[[], list[Tensor]]):
        self._stream, self._noises, self._state = Stream(device), noises, state
        self._taken = 0
        self._replay: Callable[[], None] | None = None
        self._ledger = torch.empty(0)

    @property
    def is_warm(self) -> bool:
        """Whether it was taken often enough to be recorded."""
        return self._taken >= _WARM_UP

    @property
    def is_made(self) -> bool:
        """Whether it is recorded."""
        return self._replay is not None

    def take(self, step: Callable[[], Tensor]) -> Tensor:
        """Take it as it is; returns its ledger."""
        self._taken += 1
        with self._stream.taken():
            return step()

    def replayed(self) -> Tensor:
        """Take it by the graph; returns its ledger, which the next step overwrites."""
        assert self._replay is not None
        self._replay()
        return self._ledger

    def make(self, as_it_is: Callable[[], Tensor], step: Callable[[], Tensor]) -> None:
        """Record it, and compare what that does with the step as it is; afterwards it is not taken yet.

        Args:
            as_it_is: takes it, its numbers from the program.
            step: the same, its numbers from their places; returns the ledger.

        Raises:
            VaeklError: it cannot be recorded, or is another one then.
        """
        former, noise = self._numbers(), [own.get_state() for own in self._noises]

        def back() -> None:
            for tensor, before in zip(self._state(), former, strict=True):
                tensor.detach().copy_(before)
            for own, state in zip(self._noises, noise, strict=True):
                own.set_state(state)

        with self._stream.taken():
            ledger = as_it_is().clone()
        expected = [*self._numbers(), ledger]
        back()

        def record() -> None:
            self._ledger = step()

        cure = "set trainer.compile=true or false."
        try:
            self._replay = self._stream.recorded(record, self._noises)
            self._replay()
        except RuntimeError as error:
            raise VaeklError(f"the step cannot be recorded as a CUDA graph ({first_line(error)}): {cure}") from error
        for one, other, before in zip([*self._numbers(), self._ledger], expected, [*former, 0 * ledger], strict=True):
            if _mean(one - other) > _TOLERANCE * _mean(other - before) + 1e-6 * _mean(other):
                raise VaeklError(f"the step is another one when it is recorded as a CUDA graph: {cure}")
        back()

    def _numbers(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._state()]


class Numbers:
    """Numbers of a program at places on a device.

    Args:
        device: where they are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._places: list[Tensor] = []
        self._set: list[float] = []

    def set(self, numbers: Sequence[float]) -> list[Tensor]:
        """Put those that have changed there; returns the places, [] each, which stay the same."""
        if not self._places:
            self._places = [torch.full((), number, device=self._device) for number in numbers]
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
            step: to be recorded; it is not taken by that.
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


def capturable(optimizer: torch.optim.Optimizer, step: Callable[[], Tensor]) -> Tensor:
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
    return values.double().abs().mean().item()
