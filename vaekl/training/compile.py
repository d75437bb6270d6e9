"""Whether and when a run's objective is compiled."""

import itertools
import logging
import statistics
import time

import torch
from torch import nn

#: what torch.compile costs on a CPU, seconds, and what part of a step it then saves: see docs/performance.md
_COST, _GAIN = 30.0, 0.08
#: steps that are not counted, because they warm up, and steps that are
_WARM_UP, _COUNTED = 5, 20

# it warns where CUDA is installed and no GPU is there, though the CPU was asked for
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


class Compiler:
    """Compiles a module at once, never, or as soon as it is known that the steps to come win the time back.

    Undecided, it times the first steps and compiles where saved · left > cost.

    Args:
        module: compiled in place, by its next call.
        device: where the module computes; on a GPU its kernels become CUDA graphs.
        decision: whether to compile, or None for the choice by measurement.
    """

    def __init__(self, module: nn.Module, device: torch.device, decision: bool | None) -> None:
        self._module, self._device, self.decision = module, device, decision
        self._calls = 0
        self._marks: list[float] = []

    def decide(self, left: int) -> bool:
        """Before each step, with the number of steps to come: whether this step is the one that compiles."""
        undecided = self.decision is None
        if undecided and self._calls >= _WARM_UP:
            self._marks.append(self._now())
        if len(self._marks) > _COUNTED:
            # the median leaves out what is not of the step: logs, validations
            step = statistics.median(after - before for before, after in itertools.pairwise(self._marks))
            self.decision = _GAIN * step * left > _COST and self._can()
            self._marks = []
        compiles = bool(self.decision) and (undecided or self._calls == 0)
        if compiles:
            self._module.compile(mode="reduce-overhead" if self._device.type == "cuda" else None)
        self._calls += 1
        return compiles

    def _can(self) -> bool:
        """Whether there is all that torch.compile needs: a C++ compiler with Python's headers, or triton."""
        try:
            torch.compile(torch.sin)(torch.ones(8, device=self._device, requires_grad=True)).sum().backward()
        except Exception:
            return False
        return True

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
