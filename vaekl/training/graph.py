"""A step as one CUDA graph, or as a tape on a CPU, which is taken without a program that starts each kernel.

Recorded is what is done on the device: of a lone run transform, noise, forward, backward, clipping, optimiser, moving
average and ledger, of a stack's runs all but the average. What changes from step to step is read at fixed places: the
images as they are stored, the KL's multiplier and the learning rates.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from vaekl.system.errors import VaeklError
from vaekl.training.buffers import Buffers
from vaekl.training.recording import Numbers, Recording, capturable, memory_of

if TYPE_CHECKING:
    from vaekl.training.joint import JointStep
    from vaekl.training.trainer import Trainer


class Recorder:
    """Takes the steps of a trainer: the first as they are, then by a recording of one.

    Args:
        trainer: with Adam or AdamW in one kernel.

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

    It draws for all of them, also for those that have ended.

    Args:
        joint: their steps.
    """

    def __init__(self, joint: "JointStep") -> None:
        self._joint = joint
        self._recording = Recording(joint.device, [own.generator for own in joint.trainers], joint.state)
        self._numbers = Numbers(joint.device)
        self._norms = torch.empty(0)

    def step(self, waiting: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Take one; returns the means of `LEDGER`, [N, 5], and the norms of the gradients, [N].

        Args:
            waiting: the places of the runs that wait for it.
        """
        joint, recording = self._joint, self._recording
        rates = joint.rates(waiting)
        places = self._numbers.set(rates)
        if not recording.is_warm:
            return recording.take(lambda: self._take(joint.feed.draw(waiting), rates)), self._norms
        if not recording.is_made:
            everywhere = range(len(joint.members))

            def step(rates: Sequence[float | Tensor]) -> Tensor:
                return self._take(joint.feed.draw(everywhere), rates)

            recording.make(lambda: step(rates), lambda: capturable(joint.optimizer, lambda: step(places)))
        return recording.replayed(), self._norms

    def _take(self, batch: tuple[Tensor, Tensor], rates: Sequence[float | Tensor]) -> Tensor:
        ledger, self._norms = self._joint.take(*batch, rates)
        return ledger
