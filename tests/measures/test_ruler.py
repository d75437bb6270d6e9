"""The ruler: masses of integers that add up, and that bits/dim of dequantized data bound."""

from math import log

import numpy as np
import pytest
import torch
from helpers import model_of, seeded
from scipy import stats

from vaekl.data import DataSpec, Split
from vaekl.data.transforms import Dequantize, Levels, Scale
from vaekl.measures.elbo import evaluate
from vaekl.measures.importance import importance_bounds
from vaekl.measures.ruler import Ruler, log_mass, protocol, why_no_ruler
from vaekl.model.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    CensoredGaussian,
    ContinuousBernoulli,
    Gaussian,
    Laplace,
    Logistic,
    StudentT,
)
from vaekl.model.weighting import FixedDispersion

STORED = {17: DataSpec("digits", (1, 4, 4), 17, "levels"), 256: DataSpec("mnist", (1, 4, 4), 256, "levels")}


def generator():
    return torch.Generator().manual_seed(0)


def resolved(transform, stored):
    chosen = transform.resolve(stored, ("unit_interval", "levels"))
    return chosen, chosen.spec(stored)


@pytest.mark.parametrize("transform", [Dequantize(), Scale(), Levels()], ids=["dequantized", "scaled", "levels"])
@pytest.mark.parametrize("levels", STORED)
def test_every_value_lies_in_the_bin_of_its_level_and_the_bins_meet(transform, levels):
    chosen, spec = resolved(transform, STORED[levels])
    k = torch.arange(levels, dtype=torch.uint8).repeat(200).view(-1, 1, 1, 1)
    x = chosen(k, generator())
    ruler = Ruler(spec)
    assert torch.equal(ruler.level(x), k.double())
    lower, upper = ruler.edges(ruler.level(x))
    assert (lower < x).all() and (x < upper).all()
    every = torch.arange(levels).double()
    lower, upper = ruler.edges(every)
    assert torch.equal(lower[1:], upper[:-1]), "no gap between neighbours"
    assert lower[0] == -torch.inf and upper[-1] == torch.inf


@pytest.mark.parametrize(
    "likelihood",
    [Gaussian(), Laplace(), Logistic(), StudentT(), ContinuousBernoulli(), Beta(), CensoredGaussian()],
    ids=lambda family: family.name,
)
@pytest.mark.parametrize("transform", [Dequantize(), Scale()], ids=["dequantized", "scaled"])
@pytest.mark.parametrize("levels", STORED)
def test_the_probabilities_of_all_levels_sum_to_one(likelihood, transform, levels):
    chosen, spec = resolved(transform, STORED[levels])
    torch.manual_seed(0)
    eta = 5 * torch.randn(1, likelihood.outputs, 1, 4, 4)
    every = torch.arange(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    lower, upper = Ruler(spec).edges(Ruler(spec).level(chosen(every, generator())))
    dispersion = torch.ones(1, 1, 1) if likelihood.name == "beta" else torch.full((1, 1, 1), 0.01)
    total = likelihood.log_mass(eta.expand(levels, -1, -1, -1, -1), lower, upper, dispersion).double().exp().sum(0)
    assert (total - 1).abs().max() < 1e-6


def test_the_gaussian_s_probability_of_integers_against_scipy():
    chosen, spec = resolved(Dequantize(), STORED[256])
    model = model_of(spec, Gaussian(), FixedDispersion(Gaussian(), spec.shape, 0.003)).eval()
    k = torch.randint(0, 256, (50, 1, 4, 4), generator=generator(), dtype=torch.uint8)
    estimates = importance_bounds(model, Split(k, None, chosen), log_mass(model), [1], generator())
    # the same noise again, by hand
    again = generator()
    x = chosen(k, again)
    with torch.no_grad():
        mean, log_std = model.encode(x)
        eta = model.decode(mean + log_std.exp() * torch.randn(1, 50, 3, generator=again)[0])
    law = stats.norm(eta[:, 0].double().numpy(), np.sqrt(0.003))
    level = k.numpy()
    lower = np.where(level == 0, -np.inf, level / 256)
    upper = np.where(level == 255, np.inf, (level + 1) / 256)
    mass = np.where(lower > law.mean(), law.sf(lower) - law.sf(upper), law.cdf(upper) - law.cdf(lower))
    kl = (0.5 * (mean.square() + (2 * log_std).exp() - 1) - log_std).sum(1)
    expected = np.log(mass).sum((1, 2, 3)) - kl.double().numpy()
    np.testing.assert_allclose(estimates.elbo, expected, rtol=1e-5)


@pytest.mark.parametrize("transform", [Dequantize(), Scale()], ids=["dequantized", "scaled"])
def test_tails_that_are_folded_into_the_ends_leave_the_gaussian_s_bins_as_they_are(transform):
    chosen, spec = resolved(transform, STORED[17])
    eta, phi = torch.randn(1, 1, 1, 4, 4, generator=generator()), torch.full((1, 1, 1), 0.04)
    every = torch.arange(17, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    edges = Ruler(spec).edges(Ruler(spec).level(chosen(every, generator())))
    masses = [family.log_mass(eta, *edges, phi) for family in (CensoredGaussian(), Gaussian())]
    assert torch.equal(*masses)


@pytest.mark.parametrize("likelihood", [Gaussian(), Laplace(), ContinuousBernoulli()], ids=lambda family: family.name)
def test_a_decoder_that_is_steep_within_a_bin_has_fewer_bits_on_the_ruler(likelihood):
    """Jensen: the average of ln p over a bin is at most the logarithm of its average, the mass times the levels."""
    chosen, spec = resolved(Dequantize(), STORED[17])
    model = model_of(spec, likelihood, FixedDispersion(likelihood, spec.shape, 0.003)).eval()
    k = torch.randint(0, 17, (500, 1, 4, 4), generator=generator(), dtype=torch.uint8)
    split = Split(k, None, chosen)
    density = evaluate(model, split, seeded())
    masses = importance_bounds(model, split, log_mass(model), [1], generator()).elbo.mean().item()
    assert -masses / (16 * log(2)) < density.bits_per_dim - 0.001


def test_a_discrete_family_is_its_own_ruler():
    chosen, spec = resolved(Levels(), STORED[17])
    likelihood = Categorical(17)
    model = model_of(spec, likelihood, FixedDispersion(likelihood, spec.shape)).eval()
    split = Split(torch.randint(0, 17, (20, 1, 4, 4), generator=generator(), dtype=torch.uint8), None, chosen)
    masses = importance_bounds(model, split, log_mass(model), [1], generator()).elbo.mean().item()
    assert masses == pytest.approx(evaluate(model, split, seeded()).elbo, rel=1e-6)
    assert protocol(spec, likelihood) == "probability of the values themselves"


def test_where_there_is_no_ruler_it_says_why():
    binary = DataSpec("b", (1, 2, 2), 2, "binary")
    floats = DataSpec("mine", (1, 2, 2), None, "unit_interval", "as stored")
    assert why_no_ruler(binary, Bernoulli()) is None
    assert "mine" in why_no_ruler(floats, ContinuousBernoulli())
    assert why_no_ruler(resolved(Scale(), STORED[17])[1], ContinuousBernoulli()) is None


def test_either_bits_per_dim_may_be_the_lower_because_the_posterior_may_have_seen_the_noise():
    """Jensen holds for one z; q(z|x + u) knows u, so a sharp decoder explains the noise and the bins cannot.

    Both are bounds on the bits of the integers: neither is a bound on the other.
    """
    from pca_model import IMAGES, TRAIN
    from sklearn.decomposition import PCA

    chosen, _ = resolved(Dequantize(), STORED[17])
    k = torch.from_numpy(IMAGES * 16).round().to(torch.uint8).view(-1, 1, 8, 8)
    x = chosen(k, generator()).flatten(1).double().numpy()
    spec = DataSpec("digits", (1, 8, 8), 17, "unit_interval", "dequantized", dequantized=True)
    lower = {}
    for latents in (8, 60):
        fitted = PCA(latents).fit(x[: len(TRAIN)])
        phi, spectrum = fitted.noise_variance_, fitted.explained_variance_
        loadings = fitted.components_.T * np.sqrt(spectrum - phi)
        z_mean = (x - fitted.mean_) @ (loadings / spectrum)
        z = z_mean + np.sqrt(phi / spectrum) * np.random.default_rng(0).normal(size=z_mean.shape)
        mu = torch.from_numpy(fitted.mean_ + z @ loadings.T).view(-1, 1, 1, 8, 8)
        kl = 0.5 * (z_mean**2 + phi / spectrum - 1 - np.log(phi / spectrum)).sum(1)
        edges = Ruler(spec).edges(k.double())
        dispersion = torch.full((1, 1, 1), phi, dtype=torch.float64)
        mass = Gaussian().log_mass(mu, *edges, dispersion).flatten(1).sum(1).numpy() - kl
        density = stats.norm(mu.flatten(1).numpy(), np.sqrt(phi)).logpdf(x).sum(1) - kl
        lower[latents] = -mass.mean() / (64 * log(2)) < log(17, 2) - density.mean() / (64 * log(2))
    assert lower == {8: True, 60: False}
