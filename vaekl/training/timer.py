"""What the clock asks for between two steps, however slow they are: a sign of life, and a checkpoint."""

import time
from dataclasses import dataclass
from enum import IntEnum
from math import inf

from vaekl.system import distributed
from vaekl.training.plan import Plan

#: seconds from the start to the first sign of life, and between those after it
_FIRST, _EVERY = 10.0, 60.0


class Due(IntEnum):
    """What happens after a step, the most urgent last."""

    NOTHING = 0
    PROGRESS = 1
    CHECKPOINT = 2
    STOP = 3


@dataclass(frozen=True)
class Progress:
    """How it goes, between two logs.

    Args:
        elbo_nats: average over the steps since the last log, nats.
        images_per_second: since the last sign of life.
        seconds_left: at that speed.
    """

    elbo_nats: float
    images_per_second: float
    seconds_left: float


class Timer:
    """Looks at the clock once a step. Of several processes the first one's clock counts.

    Args:
        save_minutes: between checkpoints; None for none by the clock.
    """

    def __init__(self, save_minutes: float | None) -> None:
        self._save_seconds = 60 * save_minutes if save_minutes is not None else inf
        self._progress_at = self._save_at = inf
        self._mark = (0, 0.0)
        self._vote = distributed.Vote()

    def start(self, step: int) -> None:
        """Begin to count."""
        now = time.monotonic()
        self._vote = distributed.Vote()
        self._mark = (step, now)
        self._progress_at, self._save_at = now + _FIRST, now + self._save_seconds

    def saved(self) -> None:
        """A checkpoint was written for another reason: the next one has time."""
        self._save_at = time.monotonic() + self._save_seconds

    def due(self, stop_requested: bool) -> Due:
        """What all processes are to do after this step; what the clock asks for is said once."""
        return Due(self._vote(Due.STOP if stop_requested else self._due()))

    def _due(self) -> Due:
        if not distributed.is_first():
            return Due.NOTHING
        now = time.monotonic()
        if now >= self._save_at:
            self._save_at = now + self._save_seconds
            return Due.CHECKPOINT
        if now >= self._progress_at:
            self._progress_at = now + _EVERY
            return Due.PROGRESS
        return Due.NOTHING

    def progress(self, elbo_nats: float, step: int, plan: Plan) -> Progress:
        """How it goes after a step, by the time since this was last called."""
        now = time.monotonic()
        seconds_a_step = (now - self._mark[1]) / max(1, step - self._mark[0])
        self._mark = (step, now)
        speed = plan.batch_size / seconds_a_step if seconds_a_step else inf
        return Progress(elbo_nats, speed, seconds_a_step * (plan.total_steps - step))
