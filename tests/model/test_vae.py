"""The VAE's forward pass, recomputed from its parts."""

import numpy as np
import pytest
import torch
from helpers import grey, model_of, spec_of
from scipy import stats
from torch.testing import assert_close

from vaekl.data import DataSpec
from vaekl.model.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    CensoredGaussian,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    Logistic,
    LogisticMixture,
    LogitNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    TruncatedGaussian,
    ZeroInflatedNegativeBinomial,
)
from vaekl.model.nets import Nets, linear
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision, auto_weighting

SHAPE = (3, 2, 4)


class Known(torch.nn.Module):
    """An encoder with the same posterior for every image."""

    def __init__(self, mean, log_std):
        super().__init__()
        self.mean, self.log_std = torch.nn.Parameter(torch.tensor(mean)), torch.tensor(log_std)

    def forward(self, x):
        self.seen = x
        return self.mean.expand(len(x), -1), self.log_std.expand(len(x), -1)


def test_one_step_by_hand():
    """z = m + s·ε goes through a known linear decoder, and scipy says what the density of x is."""
    spec = DataSpec("x", (1, 1, 2), None, "real")
    decoder = linear(spec.shape, 1, 1).decoder
    with torch.no_grad():
        decoder[0].weight.copy_(torch.tensor([[2.0], [-1.0]]))
        decoder[0].bias.copy_(torch.tensor([0.5, 0.25]))
    encoder = Known([0.3], [-1.2])
    model = VAE(spec, Nets(encoder, decoder), Gaussian(), FixedDispersion(Gaussian(), spec.shape, 0.09), 1)
    terms, eta = model.terms(torch.tensor([[[[1.0, -0.5]]]]), torch.tensor([[1.7]]))
    z = 0.3 + np.exp(-1.2) * 1.7
    location = np.array([2 * z + 0.5, 0.25 - z])
    assert eta.flatten().tolist() == pytest.approx(location.tolist(), rel=1e-6)
    kl = 0.5 * (0.3**2 + np.exp(-2.4) - 1) + 1.2
    assert terms.total_kl.item() == pytest.approx(kl, rel=1e-6)
    log_prob = stats.norm(location, 0.3).logpdf([1.0, -0.5]).sum()
    assert terms.elbo.item() == pytest.approx(log_prob - kl, rel=1e-6)


@pytest.mark.parametrize(
    ("per", "shape"), [("scalar", (1, 1, 1)), ("channel", (3, 1, 1)), ("pixel", SHAPE)], ids=lambda value: str(value)
)
def test_energies_are_kept_apart_only_where_dispersions_are(per, shape):
    x = grey(5, SHAPE)
    model = model_of(spec_of(x), weighting=LearnedPrecision(Gaussian(), SHAPE, per))
    terms, eta = model.terms(x, torch.randn(5, 3))
    assert terms.energy.shape == (5, *shape)
    assert terms.kl.shape == terms.posterior.mean.shape == (5, 3)
    assert terms.log_norm_const.shape == terms.elbo.shape == (5,)
    energy = 0.5 * (x - eta[:, 0]).square()
    assert_close(terms.total_energy, energy.sum((1, 2, 3)))
    assert_close(terms.energy_nats, (energy / terms.dispersion).sum((1, 2, 3)))


FAMILIES = [
    Gaussian(),
    Gaussian(scale="decoder"),
    Laplace(),
    Logistic(),
    StudentT(),
    StudentT(scale="decoder", df="decoder"),
    ContinuousBernoulli(),
    Bernoulli(),
    Beta(),
    Categorical(5),
    DiscretizedLogistic(levels=5),
    LogisticMixture(levels=5),
    Poisson(),
    NegativeBinomial(),
    ZeroInflatedNegativeBinomial("decoder"),
    TruncatedGaussian(),
    CensoredGaussian(),
    LogitNormal(),
]


@pytest.mark.parametrize("likelihood", FAMILIES, ids=lambda likelihood: likelihood.name)
def test_the_elbo_is_log_prob_less_kl_for_every_family(likelihood):
    x = grey(5, SHAPE)
    if likelihood.discrete:
        x = (x * min(likelihood.bounds[1], 9)).round()
    support = likelihood.accepts[-1]
    model = model_of(spec_of(x, support, levels=5), likelihood, auto_weighting(likelihood, SHAPE))
    terms, eta = model.terms(x, torch.randn(5, 3))
    log_prob = likelihood.log_prob(eta, x, terms.dispersion).sum((1, 2, 3))
    assert_close(terms.elbo, log_prob - terms.kl.sum(1), rtol=1e-5, atol=1e-4)


def test_the_networks_see_levels_on_the_unit_interval():
    spec = DataSpec("x", SHAPE, 5, "levels")
    encoder = Known([0.0], [0.0])
    likelihood = Categorical(5)
    decoder = linear(SHAPE, 5, 1).decoder
    model = VAE(spec, Nets(encoder, decoder), likelihood, FixedDispersion(likelihood, SHAPE), 1)
    x = torch.randint(5, (7, *SHAPE))
    model(x, torch.zeros(7, 1))
    assert_close(encoder.seen, x / 4)


def test_moments_are_on_the_scale_of_pictures():
    """Equal logits over K = 5 levels: mean 2 and variance 2 in levels, so 2/4 and 2/16."""
    spec = DataSpec("x", SHAPE, 5, "levels")
    model = model_of(spec, Categorical(5))
    mean, variance = model.moments(torch.zeros(2, 5, *SHAPE))
    assert_close(mean, torch.full((2, *SHAPE), 0.5))
    assert_close(variance, torch.full((2, *SHAPE), 0.125))


def test_a_reconstruction_of_cb_is_the_density_s_mean_and_not_the_logit_s_sigmoid():
    model = model_of(DataSpec("x", SHAPE, None, "unit_interval"), ContinuousBernoulli())
    mean, variance = model.moments(torch.full((1, 1, *SHAPE), 3.0))
    assert_close(mean, torch.full((1, *SHAPE), 1 / (1 - np.exp(-3)) - 1 / 3), check_dtype=False)
    assert_close(variance, torch.full((1, *SHAPE), 1 / 9 - 1 / (4 * np.sinh(1.5) ** 2)), check_dtype=False)


@pytest.mark.parametrize("side", [2, 5])
def test_energies_are_summed_so_that_the_kl_s_weight_does_not_depend_on_the_image_size(side):
    """An image of n equal tiles has n times the energy and n times ln C, beside one and the same KL."""
    x = grey(4, (1, 2, 3))
    large = x.repeat(1, 1, side, side)
    for likelihood, weighting in [(Gaussian(), FixedBeta), (ContinuousBernoulli(), FixedDispersion)]:
        parts = []
        for images in (x, large):
            spec = DataSpec("x", tuple(images.shape[1:]), None, "unit_interval")
            encoder, decoder = Known([0.4], [0.1]), linear(spec.shape, 1, 1).decoder
            torch.nn.init.constant_(decoder[0].weight, 0.7)
            torch.nn.init.constant_(decoder[0].bias, 0.2)
            model = VAE(spec, Nets(encoder, decoder), likelihood, weighting(likelihood, spec.shape), 1)
            terms = model(images, torch.zeros(4, 1))
            with_kl, without = (model.weighting.loss(terms, schedule).item() for schedule in (1.0, 0.0))
            parts.append((terms.total_energy.mean().item(), without, with_kl - without))
        (energy, without, kl), (large_energy, large_without, large_kl) = parts
        assert large_energy == pytest.approx(side**2 * energy, rel=1e-5)
        assert large_without == pytest.approx(side**2 * without, rel=1e-5)
        assert large_kl == pytest.approx(kl, rel=1e-4)
        assert kl == pytest.approx(0.5 * (0.16 + np.exp(0.2) - 1) - 0.1, rel=1e-4)


def test_only_training_observes():
    x = grey(5)
    model = model_of(spec_of(x), weighting=OptimalPrecision(Gaussian(), (1, 4, 4)))
    before = {name: value.clone() for name, value in model.named_buffers()}
    model.eval()(x, torch.zeros(5, 3))
    assert all(torch.equal(before[name], value) for name, value in model.named_buffers())
    model.train()(x, torch.zeros(5, 3))
    assert all(not torch.equal(before[name], value) for name, value in model.named_buffers())
