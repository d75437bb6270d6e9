"""Steps of 1, 4, 16, 64 and 256 runs of the MLP in one stack: images/s in all and of each, and the memory of each.

The loop is the trainer's, with gathering, noise and the ledger, without callbacks and validation. A stack of one takes
its steps alone: what one run after the other reaches.
"""

import io
import time
from contextlib import closing
from functools import partial
from typing import Any

import torch

from benchmarks import data
from benchmarks.environment import SCRATCH
from benchmarks.gpu import now, part, say, write
from benchmarks.workloads import MLP
from vaekl.config.job import Job, single
from vaekl.run import build_data
from vaekl.run.build import build
from vaekl.run.config import RunConfig
from vaekl.system.console import Console
from vaekl.training import stack
from vaekl.training.joint import JointStep

SIZES = (1, 4, 16, 64, 256)
_WARM_UP = 5


class Clock:
    """Tells all runs of a stack at the same step that their time is over.

    Args:
        device: that does the steps.
        seconds: from the end of the warm-up.

    Attributes:
        steps: taken since then.
        seconds: that they took.
        joint: seconds of the program in joint steps, from the first on; the others are the runs' own loops.
    """

    def __init__(self, device: str, seconds: float) -> None:
        self._device, self._length = device, seconds
        self.steps, self.seconds, self.joint = -_WARM_UP, 0.0, 0.0
        self._begun = 0.0
        self._is_over = False

    def is_over(self, is_first: bool) -> bool:
        """Called by each run after its step, by the first run first."""
        if is_first:
            self.steps += 1
            if self.steps == 0:
                self._begun, self.joint = now(self._device), 0.0
            elif self.steps > 0 and time.perf_counter() - self._begun > self._length:
                self.seconds, self._is_over = now(self._device) - self._begun, True
        return self._is_over


def measure(job: Job, runs: int, device: str, seconds: float) -> dict[str, Any]:
    """A row of the table."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    clock, reasons, begun = Clock(device, seconds), [], time.perf_counter()

    def train(number: int) -> None:
        cfg = RunConfig.of({**job.content, "seed": number})
        trainer = build(cfg, job.path, Console(io.StringIO()), callbacks=[]).trainer
        trainer.model.train()
        with stack.joined(trainer), closing(trainer.data.train.stream(trainer.batches_to_come())) as batches:
            for stored in batches:
                trainer.train_step(stored)
                if clock.is_over(number == 0):
                    break

    take = JointStep.step

    def timed(joint: JointStep) -> None:
        before = time.perf_counter()
        take(joint)
        clock.joint += time.perf_counter() - before

    JointStep.step = timed  # type: ignore[method-assign]
    try:
        with build_data.shared():
            stack.train([partial(train, number) for number in range(runs)], reasons.append)
    finally:
        JointStep.step = take  # type: ignore[method-assign]
    rate = clock.steps * runs * MLP.batch / clock.seconds
    row = {
        "runs": runs,
        "images/s": rate,
        "images/s of a run": rate / runs,
        "ms a step": 1e3 * clock.seconds / clock.steps,
    }
    row |= {
        "share of joint steps": clock.joint / clock.seconds,
        "s to begin": time.perf_counter() - begun - clock.seconds,
    }
    row |= {"alone": "; ".join(reasons).strip()} if runs > 1 and reasons else {}
    return row | ({"peak MB": torch.cuda.max_memory_allocated() / 1e6} if device == "cuda" else {})


def main(device: str, seconds: float, smoke: bool) -> None:
    """All sizes for which there is time, on a GPU by a CUDA graph too, and one run once more at the end."""
    end, length = time.perf_counter() + 0.9 * seconds, 0.2 if smoke else 3.0
    folder, _ = data.prepare(SCRATCH)
    words = [*MLP.words, f"data_dir={folder}", f"trainer.device={device}", "trainer.steps=1000000"]
    jobs = {"as they are": single(words)}
    if device == "cuda":
        jobs["by a graph"] = single([*words, "trainer.compile=graph"])
    else:
        say("stacks: the memory of each run, and steps by a CUDA graph, are measured on a GPU alone")
    turns = [(runs, how) for runs in ((1, 2, 3) if smoke else SIZES) for how in jobs]
    rows: list[dict[str, Any]] = []
    for runs, how in turns if smoke else [*turns, turns[0]]:
        # to build a run takes the same time in each stack
        needed = length + rows[-1]["s to begin"] * runs / rows[-1]["runs"] if rows else 0.0
        if time.perf_counter() + needed > end:
            say(f"stacks: no time for {runs} runs {how}")
            write(f"{runs} runs {how}", f"no time: about {needed:.0f} s would be needed")
            continue
        rows.append({"steps": how, **measure(jobs[how], runs, device, length)})
        rows[-1]["times as fast"] = rows[-1]["images/s"] / rows[0]["images/s"]
        if device == "cuda" and runs > 1:
            rows[-1]["MB a run"] = (rows[-1]["peak MB"] - rows[0]["peak MB"]) / (runs - 1)
        say(f"stacks: {runs} runs {how}, {rows[-1]['images/s']:,.0f} images/s in all")
        write("steps", rows)


if __name__ == "__main__":
    part(main)
