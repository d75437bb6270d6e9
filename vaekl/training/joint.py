"""One step for several runs whose models are alike: one kernel computes for all what each would need its own for.

What a step computes for a run depends on its place in the group, and on how many places there are, alone: those of runs
that have ended are kept, and go on with their last batch where nobody sees them.
"""

import copy
import itertools
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from vaekl.model.mapped import batched, linears_of
from vaekl.system.errors import VaeklError
from vaekl.training.alike import Number, set_in, settings
from vaekl.training.feed import Feed
from vaekl.training.graph import JointRecorder
from vaekl.training.recording import memory_of
from vaekl.training.rows import Rows
from vaekl.training.stack import Member
from vaekl.training.taped_gradient import TapedGradient

# of a single number for each run, such as a control's, a loop over the runs takes no time
warnings.filterwarnings(
    "ignore", message="There is a performance drop because we have not yet implemented the batching"
)


class JointStep:
    """The steps of some runs.

    Args:
        members: whose models are alike, each with its batch.
        numbers: in which these differ beside parameters and buffers.

    Attributes:
        objective: the first run's, which computes for all.
        remark: why no recorded step is played although `trainer.compile=graph`, in words, or empty.
    """

    def __init__(self, members: Sequence[Member], numbers: Sequence[Number]) -> None:
        self.trainers = trainers = [member.trained for member in members]
        first = trainers[0]
        self.members, self.feed = members, Feed(trainers, [member.waits_with for member in members])
        self.objective, self.optimizer, self.device = first.objective, first.optimizer, first.device
        self._linears, self._parts = linears_of(first.objective), dict(first.objective.named_modules())
        self._numbers = [(number, torch.tensor(number.values, device=first.device)) for number in numbers]
        objectives, optimizers = [own.objective for own in trainers], [own.optimizer for own in trainers]
        self._rows = [Rows(objectives, optimizers, index) for index in range(len(first.optimizer.param_groups))]
        buffers = [dict(objective.named_buffers()) for objective in objectives]
        self._buffers = {name: torch.stack([own[name] for own in buffers]) for name in buffers[0]}
        clips = [trainer.plan.clip_norm for trainer in trainers]
        self._clips = torch.tensor([inf if clip is None else clip for clip in clips], device=first.device)
        self._is_clipped = any(clip is not None for clip in clips)
        self._networks = sum(parameter.numel() for parameter in first.networks)
        self._taken, self._schedules = 0, torch.zeros(len(members), device=first.device)
        self._schedules_set: list[float | Tensor] = [0.0] * len(members)
        self._keys: list[Any] = [None] * len(members)
        self._slices: list[slice] = []
        for place in range(len(members)):
            self._take_in(place)
        self._slice()
        self._recorder = JointRecorder(self) if first.recorder is not None else None
        is_taped = self._recorder is None and first.device.type == "cpu"
        self._gradient = TapedGradient(self) if is_taped else self.gradient
        self.remark = ""

    def step(self) -> None:
        """Take the step of all members that wait for one, and give each its ledger."""
        waiting = [place for place, member in enumerate(self.members) if member.trainer is not None]
        if not waiting:
            return
        if back := [place for place in waiting if self.members[place].group is None]:  # gone back to a checkpoint
            for place in back:
                self._take_in(place)
            self._slice()
            if self._recorder is not None:  # the optimiser's parameters are others
                self._recorder = JointRecorder(self)
        self._set_schedules([member.waits_with.schedule for member in self.members])
        trainers = [self.members[place].trained for place in waiting]
        wants_norm = [own.plan.clip_norm is not None or own.plan.logs_after(own.step + 1) for own in trainers]
        ledger, norms = self._by_graph(waiting) or self.take(
            *self.feed.draw(waiting), self.rates(waiting), any(wants_norm)
        )
        for place, own, wants in zip(waiting, trainers, wants_norm, strict=True):
            if wants:
                own.gradient_norm = norms[place].clone()
        self._taken += 1
        for rows in self._rows:
            rows.counted()
        for place in waiting:
            self.members[place].ledger = ledger[place]

    def _by_graph(self, waiting: Sequence[int]) -> tuple[Tensor, Tensor] | None:
        """What `take` returns; None where the step is not recorded."""
        if self._recorder is None:
            return None
        try:
            return self._recorder.step(waiting)
        except VaeklError as error:
            self._recorder, self.remark = None, f"  {len(self.members)} runs take their steps as they are: {error}"
            return None

    def take(
        self, x: Tensor, noise: Tensor, rates: Sequence[float | Tensor], with_norms: bool = True
    ) -> tuple[Tensor, Tensor]:
        """What a step does on the device; returns the means of `LEDGER`, [N, 5], and the norms of the gradients, [N].

        Args:
            x: the images of all runs.
            noise: of their posteriors.
            rates: those of `rates`.
            with_norms: whether the norms are wanted; else there may be none.
        """
        ledger = self._gradient(x, noise)
        norms = self._clipped() if self._is_clipped or with_norms else ledger[:0, 0]
        groups = iter(zip(self.optimizer.param_groups, rates, strict=True))
        for part in self._slices:
            for rows in self._rows:
                group, rate = next(groups)
                group["lr"], group["params"][0].grad = rate, rows.gradient[part]
        self.optimizer.step()
        return ledger, norms

    def state(self) -> list[Tensor]:
        """All numbers that a step changes on the device."""
        return [*(rows.values for rows in self._rows), *self._buffers.values(), *memory_of(self.optimizer)]

    def gradient(self, x: Tensor, noise: Tensor) -> Tensor:
        """That of each run's loss, in its row; returns the means of `LEDGER`, [N, 5]. Buffers move by a step.

        Args:
            x: the images of all runs.
            noise: of their posteriors.
        """
        parameters: dict[str, Tensor] = {}
        for rows in self._rows:  # a leaf for each: of one for all, gradients would be put together by copies of copies
            parameters |= {name: part.requires_grad_() for name, part in rows.parameters().items()}
        if not self.objective.training:
            self.objective.train()
        numbers = [values for _, values in self._numbers]
        with batched(self._linears):
            losses, ledger, changed = torch.vmap(self._of_one)(
                parameters, self._buffers, numbers, x, noise, self._schedules
            )
        gradients = iter(torch.autograd.grad(losses.sum(), list(parameters.values())))
        for rows in self._rows:
            rows.set_gradients(gradients)
        for name, value in changed.items():
            self._buffers[name].copy_(value)
        return ledger

    def _of_one(
        self,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        numbers: list[Tensor],
        x: Tensor,
        noise: Tensor,
        schedule: Tensor,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        state = parameters | buffers
        with set_in(self._parts, [number for number, _ in self._numbers], numbers):
            loss, ledger = functional_call(self.objective, state, (x, noise, schedule))
        # what was assigned; what was changed in place was changed in all runs' tensor
        return loss, ledger, {name: state[name] for name in buffers if state[name] is not buffers[name]}

    def gradients(self) -> list[Tensor]:
        """Copies of those of each group of parameters, [N, T]."""
        return [rows.gradient.clone() for rows in self._rows]

    def buffers(self) -> list[Tensor]:
        """Copies of all buffers, [N, ...] each."""
        return [buffer.clone() for buffer in self._buffers.values()]

    def set_buffers(self, values: Iterable[Tensor]) -> None:
        """The inverse of `buffers`."""
        for buffer, value in zip(self._buffers.values(), values, strict=True):
            buffer.copy_(value)

    def difference(self) -> float:
        """How far a run's gradient lies from the one that it has alone, at most, over the latter's largest number.

        Nothing is changed by it.
        """
        before = self.buffers()
        own = [self._own_gradient(member) for member in self.members]
        self._set_schedules([member.waits_with.schedule for member in self.members])
        self.gradient(self.feed.x, self.feed.noise)
        self.set_buffers(before)
        farthest = 0.0
        joint = {name: gradient for rows in self._rows for name, gradient in rows.gradients().items()}
        for place, gradients in enumerate(own):
            largest = max(gradient.abs().max().item() for gradient in gradients.values())
            off = max((joint[name][place] - gradient).abs().max().item() for name, gradient in gradients.items())
            if isfinite(largest):  # else training says so
                farthest = max(farthest, off / max(largest, 1e-30) if isfinite(off) else inf)
        return farthest

    @staticmethod
    def _own_gradient(member: Member) -> dict[str, Tensor]:
        objective = member.trained.objective
        state = {name: value.detach().clone() for name, value in objective.named_buffers()}
        weights = {name: value.detach().clone().requires_grad_() for name, value in objective.named_parameters()}
        objective.train()
        loss, _ = functional_call(objective, state | weights, tuple(member.waits_with))
        return dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))

    def leave(self, member: Member) -> None:
        """Give a run that ends its parameters, buffers and memory for itself; its place stays."""
        trainer = member.trained
        for tensor in (*trainer.model.parameters(), *trainer.model.buffers()):
            tensor.data = tensor.data.clone()
        for memory in trainer.optimizer.state.values():
            memory.update({key: value.clone() for key, value in memory.items()})
        member.group = trainer.feed = None

    def _take_in(self, place: int) -> None:
        """Put a run's numbers into its place, and views of it into the run."""
        member = self.members[place]
        trainer = self.trainers[place] = member.trained
        for rows in self._rows:
            rows.take_in(place, trainer.objective, trainer.optimizer)
            rows.begun[place] -= self._taken
        for name, buffer in trainer.objective.named_buffers():
            self._buffers[name][place] = buffer
            buffer.data = self._buffers[name][place]
        self._keys[place] = settings(trainer), trainer.step - self._taken, [rows.begun[place] for rows in self._rows]
        self.feed.take_in(place, member.waits_with)
        member.group = self

    def _slice(self) -> None:
        """Divide the places into neighbours of equal settings, whose rows are one parameter to the optimiser."""
        keys = self._keys
        starts = [0, *(place for place in range(1, len(keys)) if keys[place] != keys[place - 1]), len(keys)]
        self._slices = [slice(start, stop) for start, stop in itertools.pairwise(starts)]
        optimizer = copy.copy(self.optimizer)
        optimizer.param_groups, optimizer.state = [], defaultdict(dict)
        for part in self._slices:
            for rows in self._rows:
                parameter, memory = rows.part(part, self._taken)
                group = dict(keys[part.start][0].groups[rows.index])
                optimizer.param_groups.append(group | {"params": [parameter], "lr": 0.0})
                if memory:
                    optimizer.state[parameter] = memory
        self.optimizer = optimizer

    def _set_schedules(self, schedules: list[float | Tensor]) -> None:
        """Put those that have changed onto the device, by kernels: a copy from the CPU would wait for the device."""
        if schedules != self._schedules_set and len(set(schedules)) == 1:
            self._schedules.fill_(schedules[0])
        else:
            for place, (before, now) in enumerate(zip(self._schedules_set, schedules, strict=True)):
                if now != before:
                    self._schedules[place].fill_(now)
        self._schedules_set = schedules

    def rates(self, waiting: Sequence[int]) -> list[float]:
        """The learning rate of each group of the optimiser's parameters.

        Args:
            waiting: the places of the runs that wait for the step; where none does, it is 0.
        """
        of_each = []
        for part in self._slices:
            alive = [self.members[place].trained for place in waiting if part.start <= place < part.stop]
            of_each += alive[0].rates(alive[0].step) if alive else [0.0] * len(self._rows)
        return of_each

    def _clipped(self) -> Tensor:
        """The norm of each run's gradient, [N], which is then shortened to the run's own greatest norm."""
        networks = self._rows[0].gradient[:, : self._networks]
        norms: Tensor = torch.linalg.vector_norm(networks, dim=1)
        if self._is_clipped:
            networks *= (self._clips / (norms + 1e-6)).clamp(max=1).unsqueeze(1)
        return norms
