"""A pixel's red, green and blue under one mixture of logistics, beside sums over all colours by NumPy."""

from itertools import product

import numpy as np
import pytest
import torch
from cli_helpers import built
from scipy import stats
from scipy.special import expit, log_softmax

from vaekl.data.spec import DataSpec
from vaekl.distributions import of
from vaekl.model.likelihoods import LogisticMixture, Mixture
from vaekl.run.execute import execute
from vaekl.system.errors import VaeklError

ONE = torch.ones(1, 1, 1, dtype=torch.float64)


def masses(location, scale, levels):
    """Of each level, [..., K]; the end levels take the tails."""
    edges = np.concatenate([[-np.inf], (np.arange(1, levels) - 0.5) / (levels - 1), [np.inf]])
    z = (edges - np.asarray(location)[..., None]) / scale
    low, high = z[..., :-1], z[..., 1:]
    return np.where(low + high < 0, expit(high) - expit(low), expit(-low) - expit(-high))


def joint(eta, levels):
    """P(r, g, b) of every colour [K, K, K], of η [4, components, 3]; equation 3 of PixelCNN++, levels in [−½, ½]."""
    log_weight, location = log_softmax(eta[0].mean(1)), eta[1]
    scale, c = 5e-4 + np.exp(eta[2]), np.tanh(eta[3])
    x, total = np.arange(levels) / (levels - 1) - 0.5, 0
    for j, weight in enumerate(np.exp(log_weight)):
        red = masses(location[j, 0], scale[j, 0], levels)
        green = masses(location[j, 1] + c[j, 0] * x, scale[j, 1], levels)
        blue = masses(location[j, 2] + c[j, 1] * x[:, None] + c[j, 2] * x, scale[j, 2], levels)
        total = total + weight * red[:, None, None] * green[:, :, None] * blue
    return total


def case(components, levels, seed=0, widths=(-4, -1), locations=(0, 1)):
    """A family, η of one pixel as NumPy and as a tensor, and the probability of every colour."""
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=(4, components, 3))
    eta[1], eta[2] = rng.uniform(*locations, eta[1].shape), rng.uniform(*widths, eta[2].shape)
    family = LogisticMixture(components, levels=levels, channels="coupled")
    return family, torch.tensor(eta.reshape(1, -1, 3, 1, 1)), joint(eta, levels)


def colours(levels):
    return torch.tensor([*product(range(levels), repeat=3)]).view(-1, 3, 1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_every_colour_has_its_probability_and_they_sum_to_one(seed):
    family, eta, exact = case(2, 3, seed)
    x = colours(3)
    nats = family.log_prob(eta.expand(27, -1, -1, -1, -1), x, ONE)
    np.testing.assert_allclose(nats.sum((1, 2, 3)).exp(), exact.ravel(), rtol=1e-9)
    assert nats.sum((1, 2, 3)).exp().sum().item() == pytest.approx(1, abs=1e-12)
    energy, constant = family.parts(eta.expand(27, -1, -1, -1, -1), x, ONE)
    np.testing.assert_allclose(constant - energy.flatten(), np.log(exact.ravel()), rtol=1e-9)


def test_each_value_has_its_nats_given_the_channels_before_it():
    family, eta, exact = case(3, 3)
    nats = family.log_prob(eta.expand(27, -1, -1, -1, -1), colours(3), ONE).view(3, 3, 3, 3).exp()
    red, red_green = exact.sum((1, 2)), exact.sum(2)
    np.testing.assert_allclose(nats[..., 0], np.broadcast_to(red[:, None, None], (3, 3, 3)), rtol=1e-9)
    np.testing.assert_allclose(nats[..., 1], np.broadcast_to((red_green / red[:, None])[..., None], (3, 3, 3)))
    np.testing.assert_allclose(nats[..., 2], exact / red_green[..., None], rtol=1e-9)


def test_draws_are_of_the_joint_law_and_of_the_generator_alone():
    family, eta, exact = case(2, 3)
    many = eta.expand(4000, -1, -1, -1, -1)
    draws, again = (family.sample(many, ONE, torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(draws, again)
    place = (draws.flatten(1).numpy() @ [9, 3, 1]).astype(int)
    counts, expected = np.bincount(place, minlength=27), 4000 * exact.ravel()
    common = expected >= 5
    share = expected[common] * counts[common].sum() / expected[common].sum()
    assert stats.chisquare(counts[common], share).pvalue > 1e-3
    assert counts[~common].sum() <= 5 + 3 * expected[~common].sum()


def moments(exact):
    """Mean and variance of red, of green and of blue, whatever the others are."""
    k = np.arange(len(exact))
    margins = [exact.sum(tuple({0, 1, 2} - {axis})) for axis in range(3)]
    means = [(margin * k).sum() for margin in margins]
    return means, [(margin * (k - mean) ** 2).sum() for margin, mean in zip(margins, means, strict=True)]


def test_moments_are_exact_where_nothing_reaches_an_end():
    family, eta, exact = case(2, 65, widths=(-4, -3.7), locations=(0.45, 0.55))
    mean, variance = moments(exact)
    np.testing.assert_allclose(family.mean(eta, ONE).flatten(), mean, rtol=1e-6)
    np.testing.assert_allclose(family.variance(eta, ONE).flatten(), variance, rtol=1e-5)


@pytest.mark.parametrize("levels", [2, 3, 8])
def test_moments_of_few_levels_are_exact(levels):
    family, eta, exact = case(2, levels, widths=(-2, 0), locations=(-0.2, 1.2))
    mean, variance = moments(exact)
    np.testing.assert_allclose(family.mean(eta, ONE).flatten(), mean, rtol=1e-9)
    np.testing.assert_allclose(family.variance(eta, ONE).flatten(), variance, rtol=1e-9)
    assert "approximate" not in family.protocol


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 30))])
def test_moments_are_near_where_the_tails_reach_an_end(seed):
    family, eta, exact = case(3, 33, seed, widths=(-4, -2))
    mean, variance = moments(exact)
    off = (family.mean(eta, ONE).flatten().numpy() - mean) / np.sqrt(variance)
    assert off[0] == pytest.approx(0, abs=1e-9) and np.abs(off).max() < 0.06
    np.testing.assert_allclose(family.variance(eta, ONE).flatten(), variance, rtol=0.15)


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_outputs_are_finite_in_float32(size):
    family = LogisticMixture(2, levels=256, channels="coupled")
    eta = torch.full((2, 8, 3, 1, 1), size)
    eta[1, ::2] = -size
    eta.requires_grad_()
    nats = family.log_prob(eta, torch.tensor([[0, 128, 255]] * 2).view(2, 3, 1, 1), ONE.float())
    (slope,) = torch.autograd.grad(nats.sum(), eta)
    assert nats.isfinite().all() and slope.isfinite().all()
    assert family.sample(eta, ONE.float()).isfinite().all() and family.variance(eta, ONE.float()).isfinite().all()


@pytest.mark.parametrize("shape", [(1, 8, 8), (4, 8, 8), (3,), (3, 8), (3, 4, 4, 4)])
def test_data_without_three_channels_are_refused(shape):
    spec = DataSpec("mine", shape, 5, "levels")
    with pytest.raises(VaeklError, match=r"^likelihood\.channels=coupled .* 3 channels.*dataset=mine.*independent"):
        LogisticMixture(channels="coupled").check_spec(spec)
    LogisticMixture().check_spec(spec)
    with pytest.raises(VaeklError, match=r"likelihood\.channels"):
        LogisticMixture(channels="paired")


def test_a_value_alone_has_no_law():
    family, eta, exact = case(2, 3)
    law = of(family, eta)
    x = colours(3)[[5]]
    assert law.log_prob(x).sum().exp().item() == pytest.approx(exact.ravel()[5])
    for method in (law.entropy, law.enumerate_support, lambda: law.cdf(x)):
        with pytest.raises(NotImplementedError):
            method()
    assert not family.has_log_mass and LogisticMixture().has_log_mass


def test_a_mixture_of_discretized_logistics_has_one_name():
    with pytest.raises(VaeklError, match="is likelihood=logistic_mixture: use it"):
        Mixture("discretized_logistic", 2, {"scale": "decoder"})
    assert Mixture("discretized_logistic", 2).outputs == 4


def test_colours_train(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "colours.npz", x_train=images, x_test=images[:10])
    data = ["dataset=npz", f"dataset.path={tmp_path / 'colours.npz'}", "transform=levels", "trainer.steps=3"]
    coupled = ["likelihood=logistic_mixture", "likelihood.channels=coupled", "likelihood.components=2"]
    run = built(tmp_path, *data, *coupled)
    execute(run)
    assert "one distribution" in run.trainer.model.likelihood.protocol
