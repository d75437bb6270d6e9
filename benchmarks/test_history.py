"""Small parts, timed for a history: `pytest-benchmark compare` shows how they came along. Run by `make bench`."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.workloads import CONV, MLP, Net, Workload, noise
from vaekl.data import generator
from vaekl.data.spec import DataSpec
from vaekl.model.likelihoods import Bernoulli, Beta, Categorical, ContinuousBernoulli, Gaussian, Laplace, Likelihood
from vaekl.model.nets import conv, mlp
from vaekl.model.vae import VAE, LossAndLedger
from vaekl.model.weighting import FixedBeta

Timer = Callable[..., Any]


@pytest.mark.parametrize(
    "likelihood",
    [Gaussian(), Laplace(), Bernoulli(), ContinuousBernoulli(), Beta(), Categorical(256)],
    ids=lambda one: one.name,
)
def test_likelihood(benchmark: Timer, likelihood: Likelihood) -> None:
    from benchmarks.likelihoods import batch, by_vaekl

    eta, x = batch(likelihood)
    loss = by_vaekl(likelihood)

    def both() -> None:
        eta.grad = None
        loss(eta, x).backward()

    benchmark(both)


def model_and_batch(workload: Workload) -> tuple[VAE, Tensor]:
    """vaekl's model on random images."""
    binary = workload is MLP
    likelihood: Likelihood = Bernoulli() if binary else Gaussian()
    spec = DataSpec("random", workload.shape, 2 if binary else None, "binary" if binary else "unit_interval")
    nets = (mlp if binary else conv)(workload.shape, 1, 20)
    x = torch.rand(workload.batch, *workload.shape)
    return VAE(spec, nets, likelihood, FixedBeta(likelihood, workload.shape, 1.0), 20), x.round() if binary else x


@pytest.mark.parametrize("workload", [MLP, CONV], ids=lambda one: one.name)
def test_step(benchmark: Timer, workload: Workload) -> None:
    model, x = model_and_batch(workload)
    objective, adam = LossAndLedger(model), torch.optim.Adam(model.parameters(), fused=True)

    def step() -> None:
        adam.zero_grad()
        objective(x, noise(x), 1.0)[0].backward()
        adam.step()

    benchmark(step)


@pytest.mark.parametrize("workload", [MLP, CONV], ids=lambda one: one.name)
def test_limit(benchmark: Timer, workload: Workload) -> None:
    model, x = Net(workload), torch.rand(workload.batch, *workload.shape)
    adam = torch.optim.Adam(model.parameters(), fused=True)

    def step() -> None:
        adam.zero_grad()
        model(x, noise(x)).backward()
        adam.step()

    benchmark(step)


def test_evaluation(benchmark: Timer) -> None:
    from vaekl.data import Split
    from vaekl.data.transforms import AsStored
    from vaekl.measures.elbo import evaluate

    model, x = model_and_batch(MLP)
    split = Split(x.repeat(20, 1, 1, 1), None, AsStored())
    benchmark(lambda: evaluate(model, split, generator("evaluation", 0)))
