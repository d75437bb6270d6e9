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
from vaekl.training.foreign import foreign_part
from vaekl.training.recording import Numbers, Recording, capturable, memory_of

if TYPE_CHECKING:
    from vaekl.training.joint import JointStep
    from vaekl.training.trainer import Trainer


class Recorder:
    """Takes the steps of a trainer: the first as they are, then by a recording of one.

    Args:
        trainer: with Adam or AdamW in one kernel.

    Raises:
        VaeklError: its optimiser is another one, or a part of the model is foreign.
    """

    def __init__(self, trainer: "Trainer") -> None:
        self._trainer = trainer
        is_adam = isinstance(trainer.optimizer, torch.optim.Adam | torch.optim.AdamW)
        if not (is_adam and all(group["fused"] for group in trainer.optimizer.param_groups)):
            raise VaeklError(
                "trainer.compile=graph takes optim=adam or adamw with optim.fused=true, whose step is one kernel: set "
                "one of them, or trainer.compile=true."
            )
        name = foreign_part([trainer.objective, trainer.data.train.transform])
        if trainer.device.type == "cpu" and name is not None:
            raise VaeklError(
                f"trainer.compile=graph plays a recorded step on a CPU, and {name} is neither PyTorch's nor vaekl's: a "
                "later step may be another one. Set trainer.compile=true or false."
            )
        self._recording = Recording(trainer.device, [trainer.generator], self._state)
        self._numbers = Numbers(trainer.device)
        self._stored = torch.empty(0)
        self._buffers = Buffers(trainer.objective)

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

        def step(rates: Sequence[float | Tensor]) -> list[Tensor]:
            return self._take(multiplier, rates)

        if not recording.is_made:
            # the norm that is logged is not recorded
            if not recording.is_warm or (logs and trainer.plan.log_every > 1):
                return recording.take(lambda: trainer.advance(stored, multiplier, rates))
            self._stored, self._buffers = stored.clone(), Buffers(trainer.objective)
            recording.make(lambda: capturable(trainer.optimizer, lambda: step(places)))
        self._stored.copy_(stored)
        ledger, trainer.last_x, *others = recording.replayed(lambda: step(rates))
        for group, rate in zip(trainer.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate  # which a checkpoint has
        if trainer.plan.clip_norm is not None:
            (trainer.gradient_norm,) = others
        elif logs:
            trainer.gradient_norm = get_total_norm(others)
        return ledger

    def _take(self, multiplier: Tensor, rates: Sequence[float | Tensor]) -> list[Tensor]:
        """The ledger, the images as the model sees them, and the gradient: its norm alone where it is clipped."""
        trainer = self._trainer
        ledger = trainer.advance(self._stored, multiplier, rates)
        self._buffers.put_back()
        if trainer.plan.clip_norm is not None:
            assert trainer.gradient_norm is not None
            return [ledger, trainer.last_x, trainer.gradient_norm]
        return [ledger, trainer.last_x, *(weight.grad for weight in trainer.networks if weight.grad is not None)]

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

    def step(self, waiting: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Take one; returns the means of `LEDGER`, [N, 5], and the norms of the gradients, [N].

        Args:
            waiting: the places of the runs that wait for it.
        """
        joint, recording = self._joint, self._recording
        rates = joint.rates(waiting)
        places = self._numbers.set(rates)
        if not recording.is_warm:
            return recording.take(lambda: joint.take(*joint.feed.draw(waiting), rates))

        def step(rates: Sequence[float | Tensor]) -> list[Tensor]:
            return [*joint.take(*joint.feed.draw(range(len(joint.members))), rates)]

        if not recording.is_made:
            recording.make(lambda: capturable(joint.optimizer, lambda: step(places)))
        ledger, norms = recording.replayed(lambda: step(rates))
        return ledger, norms
