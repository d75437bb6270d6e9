"""How contenders take turns: one trains, all others wait for a line on stdin.

A contender says `{"ready": ...}`; to each line `go SECONDS` it answers with one line of JSON, `images` and `seconds`.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any

import torch


class Gate:
    """The contender's side: called after every step, it blocks between turns.

    Args:
        source: where turns are read from; None means stdin.
        target: where answers go; None means stdout, which then belongs to the gate alone.
        clock: in seconds.
    """

    def __init__(
        self,
        source: IO[str] | None = None,
        target: IO[str] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._source, self._clock = source or sys.stdin, clock
        if target is None:
            # libraries print what they like
            target = os.fdopen(os.dup(1), "w")
            os.dup2(2, 1)
        self._target = target
        self._images, self._length, self._begun = 0, 0.0, 0.0
        self.turn = 0

    def ready(self, **facts: Any) -> None:
        """Set up; waits for the first turn."""
        self._say({"ready": True, "threads": torch.get_num_threads(), **facts})
        self._wait()

    def step(self, images: int, **more: Any) -> None:
        """So many images were trained on since the last call; waits if the turn is over."""
        self._images += images
        seconds = self._clock() - self._begun
        if seconds >= self._length:
            if torch.cuda.is_initialized():  # a GPU may be many steps behind
                torch.cuda.synchronize()
                seconds = self._clock() - self._begun
            self._say({"images": self._images, "seconds": seconds, **more})
            self._wait()

    def _say(self, answer: dict[str, Any]) -> None:
        self._target.write(json.dumps(answer) + "\n")
        self._target.flush()

    def _wait(self) -> None:
        line = self._source.readline()
        if not line.startswith("go "):
            # what the loop around us would still do, such as testing, is nobody's business
            os._exit(0)
        self.turn += 1
        self._length, self._images = float(line.split()[1]), 0
        self._begun = self._clock()
