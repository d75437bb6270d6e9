"""Whether and when a run's objective is compiled."""

import itertools
import logging
import statistics
import time

import torch
from torch import nn

from vaekl.training.buffers import Buffers

#: seconds that torch.compile takes on a CPU, and the share of a step that it saves: measured in docs/performance.md
_COST, _GAIN = 30.0, {"cpu": 0.08, "cuda": 0.5}
#: the first steps are slower and left out; of the next ones the time is taken
_WARM_UP, _TIMED = 5, 20

# a warning of every process where CUDA is installed without a GPU, also when only the CPU is used
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


class Compiler:
    """Compiles a module at once, never, or where that saves more time than it costs.

    Undecided, it times the first steps and compiles if (share of a step that is saved) · (time of a step) · (steps to
    come) exceeds the cost.

    Args:
        module: compiled in place, by its next call.
        device: where the module computes; on a GPU its kernels become CUDA graphs.
        decision: whether to compile, or None for the choice by measurement.
    """

    def __init__(self, module: nn.Module, device: torch.device, decision: bool | None) -> None:
        self._module, self._device, self.decision = module, device, decision
        self._calls = 0
        self._marks: list[float] = []
        self._buffers: Buffers | None = None

    def decide(self, left: int) -> bool:
        """Call before each step: whether it is the one that compiles.

        Args:
            left: the number of steps to come.
        """
        undecided = self.decision is None
        if undecided and self._calls >= _WARM_UP:
            self._marks.append(self._now())
        if len(self._marks) > _TIMED:
            # the median leaves out the logs and validations between some of the steps
            seconds = statistics.median(after - before for before, after in itertools.pairwise(self._marks))
            self.decision = _GAIN[self._device.type] * seconds * left > _COST and self._works()
            self._marks = []
        compiles = bool(self.decision) and (undecided or self._calls == 0)
        if compiles:
            self._module.compile(mode="reduce-overhead" if self._device.type == "cuda" else None)
        if self.decision and self._device.type == "cuda":
            if compiles:
                self._buffers = Buffers(self._module)
            # what the former step has left in the graph's memory may be overwritten
            torch.compiler.cudagraph_mark_step_begin()
        self._calls += 1
        return compiles

    def keep_buffers(self) -> None:
        """Call after each step: copies what it has assigned to buffers out of the memory of the CUDA graph."""
        if self._buffers is not None:
            self._buffers.put_back()

    def _works(self) -> bool:
        """Whether torch.compile works here: on a CPU it needs a C++ compiler and Python's headers, on a GPU triton."""
        try:
            torch.compile(torch.sin)(torch.ones(8, device=self._device, requires_grad=True)).sum().backward()
        except Exception:
            return False
        return True

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
