"""What each control of the KL costs in a training step, against weighting=learned_precision without one.

    OMP_NUM_THREADS=1 python -m benchmarks.controls [ROUNDS]

Timed are whole steps of the trainer with the MLP of `workloads.py`, a Gaussian likelihood and a learned φ.
In each round a few steps of a control stand between as many of the plain loss, in one process; the last row is the
plain loss against itself.
"""

import sys
import time
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.tables import plain_table, summary
from benchmarks.workloads import LATENTS, MLP
from vaekl.data import Data, DataSpec, Split
from vaekl.data.transforms import AsStored
from vaekl.model.control import (
    Capacity,
    Control,
    Controller,
    Decomposed,
    FreeBits,
    Geco,
    InformationWeight,
    LearnedBeta,
    Mmd,
)
from vaekl.model.likelihoods import Gaussian
from vaekl.model.nets import mlp
from vaekl.model.vae import VAE
from vaekl.model.weighting import LearnedPrecision
from vaekl.system.devices import prepare
from vaekl.training.plan import Plan
from vaekl.training.schedules import ConstantSchedule, LearningRateSchedule
from vaekl.training.trainer import Trainer

ROUNDS = 60
STEPS = 10
CONTROLS: dict[str, Callable[..., Control]] = {
    "information_weight": partial(InformationWeight, weight=4.0),
    "capacity": Capacity,
    "controller": Controller,
    "geco": partial(Geco, rmse=0.15),
    "free_bits": FreeBits,
    "learned_beta": LearnedBeta,
    "mmd": Mmd,
    "decomposed": Decomposed,
    "decomposed, stratified": partial(Decomposed, estimator="stratified"),
    "none, against itself": partial(InformationWeight, weight=1.0),
}


def trainer(control: Callable[..., Control], total_steps: int) -> Trainer:
    """A trainer of the MLP on random images, all of which are one batch."""
    images = torch.rand(MLP.batch, *MLP.shape, generator=torch.Generator().manual_seed(0))
    spec = DataSpec("random", MLP.shape, None, "unit_interval")
    split = Split(images, None, AsStored())
    likelihood = Gaussian()
    torch.manual_seed(0)
    model = VAE(
        spec,
        mlp(MLP.shape, likelihood.outputs, LATENTS),
        likelihood,
        LearnedPrecision(likelihood, MLP.shape),
        LATENTS,
        control=control(likelihood, spec, 55_000),
    )
    return Trainer(
        model.train(),
        torch.optim.Adam(model.parameters(), lr=1e-3, fused=True),
        ConstantSchedule(total_steps),
        LearningRateSchedule(total_steps),
        Data(spec, spec, split, None, split),
        Plan(total_steps, MLP.batch),
        seed=0,
    )


def seconds(subject: Trainer, stored: torch.Tensor) -> float:
    """Of a few steps."""
    start = time.perf_counter()
    for _ in range(STEPS):
        subject.train_step(stored)
    return time.perf_counter() - start


def measure(smoke: bool = False, rounds: int = ROUNDS) -> list[dict[str, object]]:
    """Time every control.

    Args:
        smoke: two rounds, whose figures mean nothing.
        rounds: how often each is timed.

    Returns:
        A row for each control: `ms a step` (median) and the ratio to the plain loss's steps before and after it,
        `of learned_precision` (median), `low` and `high` (quartiles).
    """
    prepare(torch.device("cpu"))
    rounds = 2 if smoke else rounds
    total_steps = STEPS * (len(CONTROLS) + 1) * (rounds + 1)
    plain = trainer(InformationWeight, total_steps)
    subjects = {name: trainer(control, total_steps) for name, control in CONTROLS.items()}
    stored = plain.data.train.stored(slice(None))
    for subject in (plain, *subjects.values()):
        seconds(subject, stored)
    times: dict[str, list[float]] = {name: [] for name in subjects}
    ratios: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        before = seconds(plain, stored)
        for name, subject in subjects.items():
            now, after = seconds(subject, stored), seconds(plain, stored)
            times[name].append(1e3 * now / STEPS)
            ratios[name].append(2 * now / (before + after))
            before = after
    rows: list[dict[str, object]] = []
    for name in subjects:
        ratio = summary(ratios[name])
        figures = {"of learned_precision": ratio["median"], "low": ratio["low"], "high": ratio["high"]}
        rows.append({"control": name, "ms a step": summary(times[name])["median"], **figures, "rounds": rounds})
    return rows


def main(rounds: str = str(ROUNDS)) -> None:
    print(f"batch {MLP.batch}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(plain_table(measure(rounds=int(rounds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
