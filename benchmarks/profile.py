"""Where a steady training step of vaekl spends its time, by classes of operations."""

import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

from vaekl import cli

cli.prepare_process()

from torch.profiler import ProfilerActivity, profile  # noqa: E402

from benchmarks import data  # noqa: E402
from benchmarks.environment import SCRATCH  # noqa: E402
from benchmarks.workloads import CONV, MLP, Workload  # noqa: E402
from vaekl.config.job import single  # noqa: E402
from vaekl.run.build import build  # noqa: E402
from vaekl.run.config import RunConfig  # noqa: E402
from vaekl.system.console import Console  # noqa: E402
from vaekl.training.trainer import Trainer  # noqa: E402

#: the first class of which a part is in an operation's name takes it
_CLASSES = {
    "GEMM and convolution": ("addmm", "aten::mm", "conv", "mkldnn", "aten::bmm"),
    "optimiser": ("adam", "Optimizer", "zero_grad"),
    "random numbers": ("randn", "normal_", "uniform", "aten::rand"),
    "gathering images": ("index_select", "aten::index"),
    "element by element": (
        "relu", "threshold", "exp", "log", "mul", "add", "sub", "div", "sum", "pow", "square", "sigmoid", "softplus",
        "mean", "neg", "cross_entropy",
    ),
    "copies and fills": ("copy", "fill", "zero", "clone", "cat", "stack"),
}  # fmt: skip
_REST, _PYTHON = "other operations", "Python between operations"


def kind(operation: str) -> str:
    """The class of an operation.

    >>> kind("aten::addmm"), kind("aten::add_")
    ('GEMM and convolution', 'element by element')
    """
    return next((name for name, parts in _CLASSES.items() if any(part in operation for part in parts)), _REST)


def measure(smoke: bool = False) -> list[dict[str, Any]]:
    """A row a class: its share of a step under the profiler, for both networks."""
    folder, _ = data.prepare(SCRATCH)
    shares_of = {one.name: _shares(one, folder, 10 if smoke else 100) for one in (MLP, CONV)}
    names = [*_CLASSES, _REST, _PYTHON]
    rows: list[dict[str, Any]] = [
        {"class": name, **{net: f"{shares.get(name, 0.0):.1%}" for net, shares in shares_of.items()}} for name in names
    ]
    for name in ("ms a step under the profiler", "ms a step without it"):
        rows.append({"class": name, **{net: shares[name] for net, shares in shares_of.items()}})
    return rows


def _shares(workload: Workload, folder: Path, steps: int) -> dict[str, float]:
    shares: dict[str, float] = {}
    words = [*workload.words, f"data_dir={folder}", f"output_dir={SCRATCH / 'profile'}"]
    words += [f"dataset.path={folder / data.CIFAR}"] if workload is CONV else []

    job = single(words)
    trainer = build(RunConfig.of(job.content), job.path, Console(sys.stderr)).trainer
    trainer.model.train()
    batches = trainer.data.train.stream(trainer.batches_to_come())
    _steps(trainer, batches, 10)
    bare = _steps(trainer, batches, steps)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        wall = _steps(trainer, batches, steps)
    inside = 0.0
    for event in profiled.key_averages():
        seconds = event.self_cpu_time_total / 1e6
        shares[kind(event.key)] = shares.get(kind(event.key), 0.0) + seconds / wall
        inside += seconds
    shares[_PYTHON] = max(0.0, 1 - inside / wall)
    shares["ms a step under the profiler"], shares["ms a step without it"] = 1e3 * wall / steps, 1e3 * bare / steps
    return shares


def _steps(trainer: Trainer, batches: Any, count: int) -> float:
    begun = time.perf_counter()
    for stored in itertools.islice(batches, count):
        trainer.train_step(stored)
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(json.dumps(measure("--smoke" in sys.argv)))
