"""Mixtures against SciPy's densities, and their φ against SciPy's maximum of the likelihood."""

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from scipy.special import log_softmax, logsumexp, softmax

from vaekl.data.spec import DataSpec
from vaekl.model.likelihoods import Gaussian, Laplace, Mixture
from vaekl.model.likelihoods.density_check import check_density
from vaekl.model.weighting import LearnedPrecision, OptimalPrecision
from vaekl.model.weighting.fitted import best_dispersion
from vaekl.system.errors import VaeklError

K, PHI = 3, 0.4
LAWS = {
    "gaussian": lambda mu: stats.norm(mu, np.sqrt(PHI)),
    "laplace": lambda mu: stats.laplace(mu, PHI),
}
ETA = torch.randn(7, 2 * K, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
X = torch.randn(7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
PHIS = torch.full((1,), PHI, dtype=torch.float64)


def parts(eta):
    """ln w and μ of each component, [B, K, D]."""
    each = eta.numpy().reshape(len(eta), K, 2, -1)
    return log_softmax(each[:, :, 0], 1), each[:, :, 1]


@pytest.mark.parametrize("family", LAWS)
def test_density_mass_and_moments_are_scipys(family):
    mixture, (log_weights, places) = Mixture(family, K), parts(ETA)
    law = LAWS[family](places)
    expected = logsumexp(log_weights + law.logpdf(X.numpy()[:, None]), 1)
    np.testing.assert_allclose(mixture.log_prob(ETA, X, PHIS), expected, rtol=1e-12)
    mean = (np.exp(log_weights) * places).sum(1)
    np.testing.assert_allclose(mixture.mean(ETA, PHIS), mean, rtol=1e-12)
    square = (np.exp(log_weights) * (law.var() + places**2)).sum(1)
    np.testing.assert_allclose(mixture.variance(ETA, PHIS), square - mean**2, rtol=1e-10)
    lower, upper = X - 0.3, X + 0.1
    masses = law.cdf(upper.numpy()[:, None]) - law.cdf(lower.numpy()[:, None])
    expected = logsumexp(log_weights + np.log(masses), 1)
    np.testing.assert_allclose(mixture.log_mass(ETA, lower, upper, PHIS), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("family", "options", "phis"),
    [
        ("gaussian", {}, (0.1, 1.0, 10.0)),
        ("laplace", {"link": "sigmoid"}, (0.1, 1.0)),
        ("gaussian", {"scale": "decoder"}, (1.0,)),
        ("cb", {}, (1.0,)),
        ("censored_gaussian", {}, (0.1, 1.0)),
        ("bernoulli", {}, (1.0,)),
    ],
)
def test_it_is_a_density_with_these_moments_draws_and_bins(family, options, phis):
    check_density(Mixture(family, K, options), phis, (2, 2))


@pytest.mark.parametrize("family", LAWS)
def test_a_solved_phi_is_the_one_of_the_largest_likelihood(family):
    mixture, (log_weights, places) = Mixture(family, K), parts(ETA)

    def loss(log_phi):
        scale = np.exp(log_phi) if family == "laplace" else np.exp(log_phi / 2)
        density = {"gaussian": stats.norm, "laplace": stats.laplace}[family](places, scale)
        return -logsumexp(log_weights + density.logpdf(X.numpy()[:, None]), 1).sum()

    best = np.exp(optimize.minimize_scalar(loss, (-4, 1), tol=1e-9).x)
    start = torch.ones(1, dtype=torch.float64)
    for _ in range(4):
        start = best_dispersion(mixture, ETA, X, start)
    assert start.item() == pytest.approx(best, rel=1e-4)


def test_phi_of_one_component_is_that_of_the_family():
    eta = torch.randn(50, 2, 4, generator=torch.Generator().manual_seed(2))
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(3))
    for family, single in (("gaussian", Gaussian()), ("laplace", Laplace())):
        mixture, weighting = Mixture(family, 1), OptimalPrecision(Mixture(family, 1), (4,), "value").train()
        weighting.observe(eta, x)
        expected = best_dispersion(single, eta[:, 1:], x, torch.ones(4))
        torch.testing.assert_close(weighting.dispersion, expected, rtol=1e-4, atol=0)
        assert mixture.scale_power == single.scale_power


def test_draws_come_from_every_component_as_often_as_it_weighs():
    eta = torch.tensor([2.0, -50.0, 0.0, 0.0, 1.0, 50.0]).view(1, 6, 1).expand(4000, 6, 1)
    draws = Mixture("gaussian", K).sample(eta, torch.ones(1), torch.Generator().manual_seed(0))
    counts = [(draws < -25).sum().item(), (draws.abs() < 25).sum().item(), (draws > 25).sum().item()]
    assert stats.chisquare(counts, 4000 * softmax([2.0, 0.0, 1.0])).pvalue > 1e-4


def test_components_begin_apart_and_phi_at_the_spread():
    mixture, mean = Mixture("gaussian", K), torch.tensor([0.5, 2.0])
    eta = mixture.first_eta(mean, 4.0).view(K, 2, 2)
    assert torch.equal(eta[:, 0], torch.zeros(K, 2))
    quantiles = stats.norm.ppf([1 / 6, 0.5, 5 / 6])
    np.testing.assert_allclose(eta[:, 1] - mean, np.stack([2 * quantiles] * 2, 1), rtol=1e-5)
    assert mixture.eta_of_mean(mean).shape == (2 * K, 2)


def test_phi_begins_as_the_family_s():
    assert Mixture("truncated_gaussian", K).first_dispersion(0.03) == 0.03
    assert Mixture("cb", K).first_dispersion(0.03) is None


def test_what_does_not_fit_is_refused():
    for family in ("columns", "mixture", "nope"):
        with pytest.raises(VaeklError, match="family must be bernoulli"):
            Mixture(family)
    with pytest.raises(VaeklError, match="no option"):
        Mixture("gaussian", options={"sigma": 1})
    with pytest.raises(VaeklError, match="must be 1, not 2"):
        Mixture("cb").check_dispersion(2.0)
    with pytest.raises(VaeklError, match="learned_precision does not fit likelihood=mixture"):
        LearnedPrecision(Mixture("cb"), (1, 2, 2))
    levels = DataSpec("mine", (1, 2, 2), 5, "levels")
    of_levels = Mixture("categorical", 2)
    of_levels.check_spec(levels)
    assert of_levels.outputs == 2 * (1 + 5)
