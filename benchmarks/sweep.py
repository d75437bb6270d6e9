"""Whole sweeps, from the command to the last results.json: one after another, by processes, by stacks, by both.

Two nets on the built-in digits, the MLP on MNIST and convolutions on CIFAR-10. The contenders take turns; each has one
thread a process. CPU seconds are those of all processes together, which other work on the machine changes least.
"""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import data
from benchmarks.contenders.stacked import layers_of
from benchmarks.environment import ROOT, SCRATCH
from benchmarks.tables import summary
from vaekl.system.cores import allowed_cores

ROUNDS = 3


@dataclass(frozen=True)
class Net:
    """What a sweep trains.

    Args:
        name: in the table.
        betas: how many β.
        seeds: and seeds of each.
        steps: of a run.
        hidden: units of the encoder's layers; none where the model's own are taken.
        latents: Z.
        dataset: digits, mnist or cifar10, of which the last is trained with convolutions.
    """

    name: str
    betas: int
    seeds: int
    steps: int
    hidden: tuple[int, ...]
    latents: int
    dataset: str = "digits"

    @property
    def runs(self) -> int:
        """How many."""
        return self.betas * self.seeds

    def words(self, folder: Path) -> list[str]:
        """What is typed after `vaekl train -m`."""
        betas = ",".join(f"{10 ** (-3 + 4 * place / (self.betas - 1)):.3g}" for place in range(self.betas))
        return [
            *self._data(),
            *([f"model.hidden=[{','.join(map(str, self.hidden))}]"] if self.hidden else []),
            f"model.latents={self.latents}",
            "weighting=fixed_beta",
            f"weighting.beta={betas}",
            f"seed={','.join(map(str, range(self.seeds)))}",
            f"trainer.steps={self.steps}",
            f"output_dir={folder}",
        ]

    def _data(self) -> list[str]:
        if self.dataset == "digits":
            return ["dataset=digits"]
        folder, _ = data.prepare(SCRATCH)
        if self.dataset == "mnist":
            return ["dataset=mnist", f"dataset.root={folder}", "likelihood=cb"]
        file = folder / data.CIFAR
        return ["dataset=npz", f"dataset.path={file}", "model=conv", "likelihood=gaussian", "trainer.batch_size=128"]


NETS = (
    Net("64-128-8", 9, 5, 1200, (128,), 8),
    Net("64-500-500-20", 4, 3, 600, (500, 500), 20),
    Net("784-500-500-20", 3, 2, 300, (500, 500), 20, "mnist"),
    Net("convolutions", 2, 2, 60, (), 20, "cifar10"),
)
_HAND = "stacked loop by hand"


def measure(smoke: bool = False, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Seconds of each contender, and how many times as fast it is as one run after the other in the same round."""
    nets = [replace(net, betas=2, seeds=2, steps=40) for net in NETS[:2]] if smoke else list(NETS)
    rows = []
    for net in nets:
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders(net)}
        for number in range(1 if smoke else rounds):
            names = list(taken)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                taken[name].append(_once(net, contenders(net)[name], name))
        first = next(iter(taken.values()))
        for name, turns in taken.items():
            row: dict[str, Any] = {"net": net.name, "runs": net.runs, "contender": name}
            for place, what in enumerate(("wall", "CPU")):
                of = summary([turn[place] for turn in turns])
                ratio = summary([base[place] / turn[place] for base, turn in zip(first, turns, strict=True)])
                row |= {f"{what} s": of["median"], f"{what} s low": of["low"], f"{what} s high": of["high"]}
                row |= {f"{what}: times as fast": ratio["median"]}
                row |= {f"{what}: from": ratio["low"], f"{what}: to": ratio["high"]}
            rows.append(row)
    return rows


def contenders(net: Net) -> dict[str, list[str]]:
    """Their words; the first is what the others are compared with."""
    by_hand: dict[str, list[str]] = {_HAND: []} if net.dataset == "digits" else {}
    return {
        "one after another": ["hydra/launcher=basic"],
        "processes": ["sweep.stack=off"],
        "one stack": [f"sweep.stack={net.runs}"],
        "processes × stacks": [f"sweep.stack={-(-net.runs // allowed_cores())}"],
        "as it is typed": [],
    } | by_hand


def _once(net: Net, words: Sequence[str], name: str) -> tuple[float, float]:
    """Seconds by the clock, and of all processors together."""
    folder = SCRATCH / "sweep"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "vaekl", "train", "-m", *net.words(folder), *words]
    if name == _HAND:
        hidden = ",".join(map(str, net.hidden))
        sizes = [str(net.runs), str(net.steps), hidden, str(net.latents)]
        command = [sys.executable, "-m", "benchmarks.contenders.stacked", *sizes, str(folder / "all.pt")]
    before, begun = _cpu(), time.perf_counter()
    with open(folder / "output.txt", "w", encoding="utf-8") as output:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, env=environment, check=True)
    seconds, cpu = time.perf_counter() - begun, _cpu() - before
    output_lines = (folder / "output.txt").read_text(encoding="utf-8").splitlines()
    plan = [line for line in output_lines if line.startswith(f"{net.runs} runs")][:1]
    sys.stderr.write(f"  {net.name}, {name}: {seconds:.1f} s, {cpu:.1f} s of CPU; {' '.join(plan)}\n")
    sys.stderr.flush()
    if name != _HAND and len(list(folder.glob("*/*/results.json"))) != net.runs:
        raise RuntimeError(f"{name} did not finish")
    return seconds, cpu


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def products(net: Net = NETS[0], steps: int = 100) -> dict[str, float]:
    """A step's matrix products for all runs and nothing else, one thread: what arithmetic alone takes."""
    torch.set_num_threads(1)
    layers = layers_of([64, *net.hidden, net.latents])
    made = [
        (torch.randn(net.runs, 100, a), torch.randn(net.runs, a, b), torch.randn(net.runs, 100, b)) for a, b in layers
    ]
    begun = time.process_time()
    for _ in range(steps):
        for number, (x, weight, slope) in enumerate(made):
            torch.baddbmm(weight[:, :1], x, weight)
            torch.bmm(x.mT, slope)
            if number:
                torch.bmm(slope, weight.mT)
    seconds = (time.process_time() - begun) / steps
    count = sum(2 * net.runs * 100 * a * b * (3 if number else 2) for number, (a, b) in enumerate(layers))
    return {"ms a step": 1e3 * seconds, "GFLOP/s": count / seconds / 1e9, "GFLOP a step": count / 1e9}


if __name__ == "__main__":
    sys.stdout.write(f"{products()}\n")
