"""Schedules: the KL's multiplier and the learning rate's factor at each step of a run.

The multiplier changes how a model is trained and never what is reported; each schedule reaches 1 before the run ends.
"""

from dataclasses import dataclass
from math import cos, pi
from typing import Protocol

from vaekl.system.checks import whole
from vaekl.system.errors import VaeklError


class Schedule(Protocol):
    """From a step, counted from 0, to the multiplier of the KL in the loss."""

    def __call__(self, step: int) -> float: ...


@dataclass(frozen=True)
class ConstantSchedule:
    """1 from the first step to the last.

    Args:
        total_steps: the run's length.
    """

    total_steps: int

    def __call__(self, step: int) -> float:
        return 1.0


@dataclass(frozen=True)
class LinearSchedule:
    """Rises from `start` to 1 in a straight line and stays there.

    Args:
        total_steps: the run's length.
        fraction: share of the run that the rise takes, in (0, 1).
        steps: its length in steps, instead of a fraction.
        start: the first multiplier.

    Raises:
        VaeklError: if the rise would end after the run.

    Source: Bowman et al. 2016; Sønderby et al. 2016.

    >>> [LinearSchedule(10, steps=4)(step) for step in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """

    total_steps: int
    fraction: float = 0.25
    steps: int | None = None
    start: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= 1:
            raise VaeklError(f"schedule.start must lie in [0, 1], not {self.start!r}.")
        if self.steps is None and not 0 < self.fraction * self.total_steps <= self.total_steps - 1:
            raise VaeklError(
                f"schedule.fraction={self.fraction!r} would not reach 1 inside a run of {self.total_steps} steps: "
                "choose a smaller number above 0, or a longer trainer.epochs."
            )
        if self.steps is not None and not 0 < self.steps < self.total_steps:
            raise VaeklError(
                f"schedule.steps={self.steps!r} cannot finish inside a run of {self.total_steps} steps, so the KL "
                "would never get its full weight: choose fewer steps, or a longer trainer.epochs."
            )

    def __call__(self, step: int) -> float:
        length = self.fraction * self.total_steps if self.steps is None else self.steps
        return self.start + (1 - self.start) * min(1.0, step / length)


@dataclass(frozen=True)
class CyclicalSchedule:
    """Rises from 0 to 1 over the first `ramp` share of each of `cycles` equal cycles, and holds 1 for the rest.

    Args:
        total_steps: the run's length.
        cycles: how many.
        ramp: the share of a cycle that the rise takes, in (0, 1).

    Raises:
        VaeklError: if a cycle would be shorter than two steps, or would have no step at 1.

    Source: Fu et al. 2019, equation 6.

    >>> [CyclicalSchedule(8, cycles=2)(step) for step in range(8)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0]
    """

    total_steps: int
    cycles: int = 4
    ramp: float = 0.5

    def __post_init__(self) -> None:
        whole(self.cycles, "schedule.cycles", 1)
        if not 0 < self.ramp < 1:
            raise VaeklError(f"schedule.ramp must lie between 0 and 1, not {self.ramp!r}: each cycle must end at 1.")
        length = self.total_steps / self.cycles
        if length < 2 or self.ramp * length > length - 1:
            raise VaeklError(
                f"schedule=cyclical with {self.cycles} cycles cannot finish inside a run of {self.total_steps} steps: "
                "choose fewer schedule.cycles, a shorter schedule.ramp, or a longer trainer.epochs."
            )

    def __call__(self, step: int) -> float:
        position = (step * self.cycles / self.total_steps) % 1.0
        return min(1.0, position / self.ramp)


@dataclass(frozen=True)
class LearningRateSchedule:
    """Factor of the learning rate: a linear warm-up, then constant, or a half cosine down to `final`.

    Args:
        total_steps: the run's length.
        warmup_steps: steps over which the factor rises to 1.
        final: the factor at the last step; 1 keeps it constant.

    Raises:
        VaeklError: if the warm-up cannot finish inside the run.

    Source: Loshchilov, Hutter 2017, for the cosine.

    >>> [round(LearningRateSchedule(5, final=0.0)(step), 2) for step in range(5)]
    [1.0, 0.85, 0.5, 0.15, 0.0]
    """

    total_steps: int
    warmup_steps: int = 0
    final: float = 1.0

    def __post_init__(self) -> None:
        if whole(self.warmup_steps, "lr_schedule.warmup_steps", 0) >= max(self.total_steps, 1):
            raise VaeklError(
                f"lr_schedule.warmup_steps={self.warmup_steps!r} cannot finish inside a run of {self.total_steps} "
                "steps: choose fewer, or a longer trainer.epochs."
            )
        if not 0 <= self.final <= 1:
            raise VaeklError(f"lr_schedule.final must lie in [0, 1], not {self.final!r}.")

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        progress = min(1.0, (step - self.warmup_steps) / max(1, self.total_steps - 1 - self.warmup_steps))
        return self.final + (1 - self.final) * 0.5 * (1 + cos(pi * progress))
