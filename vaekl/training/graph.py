"""A whole step of a lone run as one CUDA graph, which a GPU takes without waiting for a program to start each kernel.

Recorded is what `Trainer.advance` does: transform, noise, forward, backward, clipping, optimiser, moving average and
ledger. What changes from step to step it reads at fixed places: the batch, the KL's multiplier and the learning rates.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from vaekl.system.errors import VaeklError, first_line
from vaekl.training.buffers import Buffers

if TYPE_CHECKING:
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
        self._stream, self._taken = Stream(trainer.device), 0
        self._replay: Callable[[], None] | None = None
        # where the recorded step reads and writes: its batch, the multiplier and rates, the ledger and the gradients
        self._stored = self._ledger = torch.empty(0)
        self._places: list[Tensor] = []
        self._numbers: list[float] = []
        self._gradients: list[Tensor] = []

    def step(self, stored: Tensor) -> Tensor:
        """Take one, and return the means of `LEDGER`, [5].

        Args:
            stored: images as the data set stores them, [B, *S].

        Raises:
            VaeklError: the step cannot be recorded, or is another one then.
        """
        trainer = self._trainer
        schedule, rates = trainer.schedule(trainer.step), trainer.rates(trainer.step)
        logs = trainer.plan.logs_after(trainer.step + 1)
        if self._replay is None:
            # the norm that is logged is not recorded
            if self._taken < _WARM_UP or (logs and trainer.plan.log_every > 1):
                self._taken += 1
                with self._stream.taken():
                    return trainer.advance(stored, torch.full((), schedule, device=trainer.device), rates)
            self._prepare(stored, schedule, rates)
        self._stored.copy_(stored)
        self._set(schedule, rates)
        assert self._replay is not None
        self._replay()
        if logs and trainer.plan.clip_norm is None:
            trainer.gradient_norm = get_total_norm(self._gradients)
        return self._ledger

    def _set(self, schedule: float, rates: list[float]) -> None:
        """Put the numbers that have changed into their places."""
        for place, before, number in zip(self._places, self._numbers, (schedule, *rates), strict=True):
            if number != before:
                place.fill_(number)
        self._numbers = [schedule, *rates]
        for group, rate in zip(self._trainer.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate  # which a checkpoint has

    def _prepare(self, stored: Tensor, schedule: float, rates: list[float]) -> None:
        """Record the step, and compare what it does with the step as it is; afterwards it is not taken yet."""
        trainer = self._trainer
        self._stored, self._numbers = stored.clone(), [schedule, *rates]
        self._places = [torch.full((), number, device=trainer.device) for number in self._numbers]
        former, noise = [tensor.clone() for tensor in _state(trainer)], trainer.generator.get_state()

        def back() -> None:
            for tensor, before in zip(_state(trainer), former, strict=True):
                tensor.copy_(before)
            trainer.generator.set_state(noise)

        buffers = Buffers(trainer.objective)
        with self._stream.taken():
            ledger = trainer.advance(stored, self._places[0], rates)
            buffers.put_back()
        as_it_is = [tensor.clone() for tensor in [*_state(trainer), ledger]]
        back()
        try:
            self._replay = self._stream.recorded(self._record, trainer.generator)
            self._replay()
        except RuntimeError as error:
            raise VaeklError(
                f"the step cannot be recorded as a CUDA graph ({first_line(error)}): set trainer.compile=true or false."
            ) from error
        for one, other, before in zip([*_state(trainer), self._ledger], as_it_is, [*former, ledger * 0], strict=True):
            if _mean(one - other) > _TOLERANCE * _mean(other - before) + 1e-6 * _mean(other):
                raise VaeklError(
                    f"the step at {trainer.step:,} is another one when it is recorded as a CUDA graph: set "
                    "trainer.compile=true or false."
                )
        back()

    def _record(self) -> None:
        """What is recorded; the optimiser takes its learning rates from their places."""
        trainer, groups = self._trainer, self._trainer.optimizer.param_groups
        before: list[dict[str, Any]] = [{key: group[key] for key in ("lr", "capturable")} for group in groups]
        buffers = Buffers(trainer.objective)
        try:
            for group in groups:
                group["capturable"] = True
            self._ledger = trainer.advance(self._stored, self._places[0], self._places[1:])
            buffers.put_back()
        finally:
            for group, settings in zip(groups, before, strict=True):
                group.update(settings)
        self._gradients = [weight.grad for weight in trainer.networks if weight.grad is not None]


def _state(trainer: "Trainer") -> list[Tensor]:
    """All numbers that a step changes."""
    average = [] if trainer.average is None else [*trainer.average.parameters(), *trainer.average.buffers()]
    memory = [value for kept in trainer.optimizer.state.values() for value in kept.values()]
    own = [*trainer.objective.parameters(), *trainer.objective.buffers(), *average, *memory]
    return [tensor.detach() for tensor in own]


def _mean(values: Tensor) -> float:
    return values.double().abs().mean().item()


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

    def recorded(self, step: Callable[[], None], noise: torch.Generator) -> Callable[[], None]:
        """What takes the step again, by a CUDA graph.

        Args:
            step: to be recorded; it is not taken by that.
            noise: from which it draws.
        """
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(noise)
        # by thread, since images of a file are read ahead by another one, which may use the GPU meanwhile
        with (
            torch.cuda.device(self._stream.device),
            torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
        ):
            step()
        return graph.replay
