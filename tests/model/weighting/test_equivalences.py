"""Losses as people write them, each walked by plain SGD beside the strategy that it is: see docs/equivalences.md.

Two losses that differ by a factor have gradients that differ by it, so that SGD takes both through the same parameters
when its learning rates differ by its reciprocal. Adam would hide any factor.
"""

from math import log

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional
from torch.testing import assert_close
from weighting_cases import SHAPE, images, model_of, noise_of

from vaekl.data.spec import DataSpec
from vaekl.model.control import FreeBits, InformationWeight
from vaekl.model.likelihoods import Gaussian, Laplace
from vaekl.model.weighting import FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision

STEPS, RATE, N = 40, 0.02, 24


def moved(step_loss, likelihood, weighting, rate):
    """The parameters of the networks before the first step and after each, and whether they went anywhere."""
    model = model_of(likelihood, weighting).train()
    networks = [*model.encoder.parameters(), *model.decoder.parameters()]
    optimizer = torch.optim.SGD(networks, rate)
    path = [torch.nn.utils.parameters_to_vector(networks).detach().clone()]
    for step in range(STEPS):
        optimizer.zero_grad()
        step_loss(model, images(seed=step % 4), noise_of(seed=step)).backward()
        optimizer.step()
        path.append(torch.nn.utils.parameters_to_vector(networks).detach().clone())
    assert (path[-1] - path[0]).norm() > 0.1
    return torch.stack(path)


def ours(model, x, noise):
    """vaekl's own loss."""
    return model.loss(model(x, noise), 1.0)


def plain(loss):
    """A loop as people write it: encoder, sample, decoder, and a loss of (x̂, x, μ, ln σ²)."""

    def step_loss(model, x, noise):
        mean, log_std = model.encoder(x)
        x_hat = model.decoder(mean + log_std.exp() * noise)[:, 0]
        return loss(x_hat, x, mean, 2 * log_std)

    return step_loss


def kl(mean, log_var):
    return -0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())


#: name -> (the loss as it is written, its family and strategy, by what it is larger than ours, our learning rate)
WRITTEN = {
    "sum of squares, β without the ½": (
        lambda x_hat, x, m, v: (functional.mse_loss(x_hat, x, reduction="sum") + 0.3 * kl(m, v)) / len(x),
        Gaussian(), lambda: FixedBeta(Gaussian(), SHAPE, 0.15), 2, 0.01,
    ),
    "half the sum of squares, β": (
        lambda x_hat, x, m, v: 0.5 * functional.mse_loss(x_hat, x, reduction="sum") / len(x) + 0.3 * kl(m, v) / len(x),
        Gaussian(), lambda: FixedBeta(Gaussian(), SHAPE, 0.3), 1, 0.01,
    ),
    "mean square error with a weight, as in tutorials": (
        lambda x_hat, x, m, v: functional.mse_loss(x_hat, x) + 0.00025 * kl(m, v) / len(x),
        Gaussian(), lambda: FixedDispersion(Gaussian(), SHAPE, 0.00025 * N / 2), 0.00025, 2e-5,
    ),
    "latent diffusion's sum of squares and 1e-6": (
        lambda x_hat, x, m, v: ((x - x_hat) ** 2).sum() / len(x) + 1e-6 * kl(m, v) / len(x),
        Gaussian(), lambda: FixedBeta(Gaussian(), SHAPE, 5e-7), 2, 0.01,
    ),
    "absolute error": (
        lambda x_hat, x, m, v: (functional.l1_loss(x_hat, x, reduction="sum") + 0.5 * kl(m, v)) / len(x),
        Laplace(), lambda: FixedBeta(Laplace(), SHAPE, 0.5), 1, 0.01,
    ),
    "the logarithm of the mean square error": (
        lambda x_hat, x, m, v: N / 2 * functional.mse_loss(x_hat, x).log() + kl(m, v) / len(x),
        Gaussian(), lambda: OptimalPrecision(Gaussian(), SHAPE), 1, 0.0004,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_a_loss_as_it_is_written_walks_as_its_strategy(name):
    written, likelihood, strategy, factor, rate = WRITTEN[name]
    theirs = moved(plain(written), likelihood, strategy(), rate / factor)
    assert_close(theirs, moved(ours, likelihood, strategy(), rate), rtol=1e-4, atol=2e-5)


def test_half_and_whole_squares_are_two_noise_levels():
    """Whoever drops the ½ at the same β has half the variance: the two walks part."""
    written, likelihood, strategy, *_ = WRITTEN["sum of squares, β without the ½"]
    theirs = moved(plain(written), likelihood, strategy(), RATE / 4)
    other = moved(ours, likelihood, FixedBeta(Gaussian(), SHAPE, 0.3), RATE / 2)
    assert (theirs[-1] - other[-1]).norm() > 0.01 * (theirs[-1] - theirs[0]).norm()


def test_both_knobs_are_one_while_the_noise_level_is_fixed():
    """E/φ + λ·KL = λ·(E/θ + KL) at θ = φ·λ: the effective β_KL decides the optimum, and φ alone what is reported."""

    def weighed(model, x, noise):
        control = InformationWeight(model.likelihood, model.spec, 40, 4.0)
        return model.weighting.loss(model(x, noise), *control.penalty(model(x, noise), 1.0))

    both = moved(weighed, Gaussian(), FixedDispersion(Gaussian(), SHAPE, 0.1), RATE / 4)
    one = moved(ours, Gaussian(), FixedDispersion(Gaussian(), SHAPE, 0.4), RATE)
    assert_close(both, one, rtol=1e-4, atol=1e-5)


def test_dai_and_wipf_s_gamma_is_a_learned_noise_level():
    """Σ(x − x̂)²/(2γ²) + N ln γ is E/φ − ln C at φ = γ² but for ½N ln 2π, and its best γ² is the mean square error."""
    x = images().double()
    x_hat = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    squares = (x - x_hat).square().flatten(1).sum(1).mean().item()

    def written(gamma):
        return squares / (2 * gamma**2) + N * log(gamma)

    for gamma in (0.05, 0.1, 0.7):
        phi = LearnedPrecision(Gaussian(), SHAPE, init=gamma**2).dispersion.double()
        log_prob = Gaussian().log_prob(x_hat.unsqueeze(1), x, phi).flatten(1).sum(1).mean().item()
        assert -log_prob == pytest.approx(written(gamma) + N / 2 * log(2 * torch.pi), rel=1e-5)
    best = minimize_scalar(written, bounds=(1e-3, 2), method="bounded", options={"xatol": 1e-9}).x
    assert best**2 == pytest.approx(squares / N, rel=1e-5)


def test_free_bits_are_no_weight_of_the_kl():
    """At the start the gradient of a floor is that of no β: it is 0 in some latents and the KL's own in others."""
    model = model_of(Gaussian(), FixedDispersion(Gaussian(), SHAPE))
    terms = model(images(), noise_of())
    floor = terms.kl.mean(0).sort().values[1].item() * 1.001
    spec = DataSpec("grey", SHAPE, None, "unit_interval")
    coefficient, penalty = FreeBits(Gaussian(), spec, 40, floor).train().penalty(terms, 1.0)
    (free,) = torch.autograd.grad((coefficient * penalty).mean(), terms.kl, retain_graph=True)
    (whole,) = torch.autograd.grad(terms.total_kl.mean(), terms.kl)
    assert sorted((free / whole).mean(0).tolist()) == [0, 0, 1]
