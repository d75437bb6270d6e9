"""The whole program as `vaekl train` runs it: metrics, TensorBoard, pictures, progress, checkpoints, validation.

python -m benchmarks.contenders.vaekl WORKLOAD DATA SCRATCH DEVICE (whole | bare) [WORD ...]

A turn lasts for whole validation periods, so that each has its share of everything but the pictures, of which a run
has about ten. `bare` is the loop without callbacks and validation.
"""

import sys
import time
from pathlib import Path
from typing import Any

# first, and before torch: what it sets is read when torch is loaded
from vaekl import cli

cli.prepare_process()

from benchmarks.data import CIFAR  # noqa: E402
from benchmarks.gate import Gate  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402
from vaekl.config.job import single  # noqa: E402
from vaekl.run.build import build  # noqa: E402
from vaekl.run.config import RunConfig  # noqa: E402
from vaekl.run.execute import execute  # noqa: E402
from vaekl.system.console import Console  # noqa: E402
from vaekl.training.callback import Callback  # noqa: E402
from vaekl.training.trainer import Trainer  # noqa: E402

#: without callbacks nothing is due, but the gate must be reached
BARE = ("valid=0", "trainer.log_every=1000000", "trainer.valid_every=50", "trainer.epochs=100000")


class Since(Callback):
    """The moment at which a validation reached this place among the callbacks."""

    time = 0.0

    def validated(self, *_: Any) -> None:
        self.time = time.perf_counter()


class Turns(Callback):
    """Waits for a turn at the end of a validation period."""

    def __init__(self, gate: Gate, before: Since, pictures: Since) -> None:
        self.gate, self.marks, self.step = gate, (before, pictures), 0
        self.logged_at, self.waiting, self.validating, self.drawing = 0.0, 0.0, 0.0, 0.0

    def started(self, trainer: Trainer) -> None:
        self.step = trainer.step
        self.gate.ready(parameters=sum(p.numel() for p in trainer.model.parameters()))

    def logged(self, *_: Any) -> None:
        self.logged_at = time.perf_counter()

    def validated(self, trainer: Trainer, *_: Any) -> None:
        steps, self.step = trainer.step - self.step, trainer.step
        before, pictures = self.marks
        if self.logged_at:
            self.validating += time.perf_counter() - self.logged_at
            self.logged_at = 0.0
        self.drawing += pictures.time - before.time
        turn = self.gate.turn
        self.gate.step(
            steps * trainer.plan.batch_size, around=self.validating, pictures=self.drawing, left=_left(trainer)
        )
        if self.gate.turn != turn:
            self.validating = self.drawing = 0.0


def _left(trainer: Trainer) -> int:
    return trainer.plan.total_steps - trainer.step


def main(name: str, data: str, scratch: str, device: str, mode: str, *words: str) -> None:
    gate, folder = Gate(), Path(scratch)
    typed = [*WORKLOADS[name].words, f"data_dir={data}", f"output_dir={folder}", f"trainer.device={device}", *words]
    typed += [f"dataset.path={Path(data) / CIFAR}"] if name == "conv" else []

    job = single([*typed, *(BARE if mode == "bare" else ())])
    job.path.mkdir(parents=True, exist_ok=True)
    with (folder / "progress.txt").open("w", encoding="utf-8") as progress:
        run = build(RunConfig.of(job.content), job.path, Console(file=progress, force_terminal=True))
        before, pictures = Since(), Since()
        around: list[Callback] = []
        for callback in run.trainer.callbacks if mode == "whole" else ():
            drawn = type(callback).__name__ == "Images"
            around += [before, callback, pictures] if drawn else [callback]
        run.trainer.callbacks = [*around, Turns(gate, before, pictures)]
        execute(run)


if __name__ == "__main__":
    main(*sys.argv[1:])
