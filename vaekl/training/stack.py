"""Several runs in one process: each is trained by code of its own, and waits at each step until one is taken for all.

A member of a stack is an ordinary run in a greenlet. Where its trainer would take a step alone it hands over its batch;
when every member has done so, those whose models differ in numbers only take one step together (`training/joint.py`),
and the others one after the other.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from greenlet import greenlet

    from vaekl.training.joint import JointStep
    from vaekl.training.trainer import Trainer

_MEMBER: "ContextVar[Member | None]" = ContextVar("member", default=None)


class Batch(NamedTuple):
    """What a step is taken with.

    Args:
        x: [B, *S].
        noise: of the posterior's samples, [B, Z] or [B, K, Z].
        schedule: the KL's multiplier, a tensor where a recorded step reads it.
    """

    x: Tensor
    noise: Tensor
    schedule: "float | Tensor"


class Member:
    """A run of a stack.

    Args:
        run: builds and trains it; must not raise.

    Attributes:
        trainer: while it is trained; None before and after.
        batch: with which it takes its next step, or has taken its last one.
        ledger: what that step has given; None while it waits for it.
        group: those with whom it takes its steps, once there are any; its place there stays its own to the end.
    """

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run
        self.trainer: Trainer | None = None
        self.batch: Batch | None = None
        self.ledger: Tensor | None = None
        self.group: JointStep | None = None
        self.greenlet: greenlet | None = None
        self._random_numbers: Tensor | None = None

    def start(self) -> None:
        """In the run's own greenlet, from its beginning to its end."""
        _MEMBER.set(self)
        self._run()

    @property
    def trained(self) -> "Trainer":
        """The trainer of a run that is trained now."""
        assert self.trainer is not None
        return self.trainer

    @property
    def waits_with(self) -> Batch:
        """The batch of a run that waits for a step."""
        assert self.batch is not None
        return self.batch

    def take(self, batch: Batch) -> Tensor:
        """Hand a batch over and wait for the step; returns its ledger."""
        self.batch = batch
        self._wait()
        assert self.ledger is not None
        return self.ledger

    def _wait(self) -> None:
        assert self.greenlet is not None
        assert self.greenlet.parent is not None
        self.ledger = None
        self.greenlet.parent.switch()

    def go_on(self) -> None:
        """Up to its next step, or its end; not where it waits for one."""
        assert self.greenlet is not None
        if self.trainer is None or self.ledger is not None:
            self.greenlet.switch()

    def step_alone(self) -> None:
        """Take its step without the others."""
        try:
            self.ledger = self.trained.take_alone(self.waits_with)
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Let the run see what has ended its step, as if it had taken it by itself."""
        assert self.greenlet is not None
        self.greenlet.throw(error)

    @contextmanager
    def own_random_numbers(self) -> Iterator[None]:
        """Inside, torch's own generator, from which layers such as dropout draw, is that of a run by itself."""
        before = torch.get_rng_state()
        torch.set_rng_state(before if self._random_numbers is None else self._random_numbers)
        try:
            yield
        finally:
            self._random_numbers = torch.get_rng_state()
            torch.set_rng_state(before)


@contextmanager
def joined(trainer: "Trainer") -> Iterator[None]:
    """Let a run of a stack take its steps with the others; any other run takes them alone, as ever."""
    member = _MEMBER.get()
    if member is None:
        yield
        return
    member.trainer, trainer.take = trainer, member.take
    try:
        yield
    finally:
        if member.group is not None:
            member.group.leave(member)
        member.trainer = trainer.take = None


def train(runs: Sequence[Callable[[], None]], say: Callable[[str], Any]) -> None:
    """Train several runs to their ends, each step of all of them at once.

    Args:
        runs: builds and trains one each; they must not raise.
        say: where it is said which runs take their steps alone, and why.
    """
    from greenlet import greenlet

    from vaekl.training.alike import grouped

    members = [Member(run) for run in runs]
    for member in members:
        member.greenlet = greenlet(member.start)
    left = members
    groups: list[JointStep] | None = None
    draws = True  # whether some run may draw from torch's own generator: while it is built, or in a step alone
    while left:
        for member in left:
            with member.own_random_numbers() if draws else nullcontext():
                member.go_on()
        left = [member for member in left if member.greenlet]
        if groups is None:
            groups = grouped(left, say)
        draws = any(member.group is None for member in left)
        for group in groups:
            try:
                group.step()
            except Exception as error:  # each run says what ended it
                for member in left:
                    if member.group is group:
                        member.fail(error)
            if group.remark:
                say(group.remark)
                group.remark = ""
        for member in left:
            if member.group is None and member.trainer is not None and member.batch is not None:
                with member.own_random_numbers():
                    member.step_alone()
