"""Mutual information and marginal KL against quadrature and limits."""

from math import log

import numpy as np
import pytest
import torch
from helpers import data_of, model_of
from scipy import integrate, stats

from vaekl.measures.latents import Posterior, dimension_wise_kl, kl, mutual_information, posterior


def information(mean, std, seed=0):
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
    return mutual_information(Posterior(torch.as_tensor(mean).float(), torch.as_tensor(std).float().log(), noise))


def test_equal_posteriors_tell_nothing_and_separate_ones_tell_the_image():
    assert information(np.full((300, 3), 0.7), np.full((300, 3), 0.2)) == pytest.approx(0, abs=1e-6)
    apart = np.arange(200.0)[:, None] * 10 * np.ones((1, 2))
    assert information(apart, np.full((200, 2), 0.1)) == pytest.approx(log(200), abs=1e-6)


def test_overlapping_posteriors_against_quadrature():
    """I = H(q(z)) − Σ H(q(z|x_n))/N with the entropy of the mixture by quadrature."""
    means, stds = np.array([-1.0, 0.2, 1.4, 2.0]), np.array([0.5, 1.0, 0.3, 0.8])

    def mixture(z):
        return stats.norm(means, stds).pdf(z).mean()

    entropy = integrate.quad(lambda z: -mixture(z) * np.log(mixture(z)), -8, 8, limit=200)[0]
    exact = entropy - stats.norm(means, stds).entropy().mean()
    # a second latent that is the same for every image adds nothing; many copies average the sampling error away
    mean = np.stack([np.tile(means, 2500), np.full(10000, 3.0)], 1)
    std = np.stack([np.tile(stds, 2500), np.full(10000, 0.1)], 1)
    assert information(mean, std) == pytest.approx(exact, abs=0.02)
    assert 0.2 < exact < log(4)


def test_the_kl_is_the_closed_form_and_splits_into_two_parts_that_are_not_negative():
    mean, std = np.array([[1.0, 0.0], [-0.5, 0.3]]), np.array([[1.0, 0.5], [2.0, 0.1]])
    exact = [
        integrate.quad(
            lambda z, m=m, s=s: stats.norm(m, s).pdf(z) * (stats.norm(m, s).logpdf(z) - stats.norm.logpdf(z)), -20, 20
        )[0]
        for m, s in zip(mean.ravel(), std.ravel(), strict=True)
    ]
    moments = Posterior(torch.from_numpy(mean), torch.from_numpy(std).log(), torch.zeros(2, 2))
    assert kl(moments).item() == pytest.approx(sum(exact) / 2, rel=1e-6)
    data = data_of()
    encoded = posterior(model_of(data.spec), data.train, torch.Generator().manual_seed(0))
    mutual = mutual_information(encoded)
    assert -0.05 < mutual < kl(encoded).item() + 0.05


def test_posteriors_are_those_of_the_encoder_in_the_split_s_order():
    data = data_of(train=700)
    model = model_of(data.spec).eval()
    moments = posterior(model, data.train, torch.Generator())
    with torch.no_grad():
        mean, log_std = model.encode(data.train.images[601:602])
    assert moments.mean.shape == (700, 3)
    torch.testing.assert_close(moments.mean[601:602], mean)
    torch.testing.assert_close(moments.log_std[601:602], log_std)


@pytest.mark.parametrize("correlation", [0.0, 0.6, -0.9])
def test_the_parts_of_an_aggregate_that_is_a_gaussian(correlation):
    """Means from N(0, Σ) and one σ make q(z) = N(0, Σ + σ² I), whose total correlation is −½ ln(1 − ρ²)."""
    draw, sigma = np.random.default_rng(4), 0.5
    means = draw.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], 4000)
    noise = torch.from_numpy(draw.normal(size=means.shape))
    aggregate = Posterior(torch.from_numpy(means), torch.full((4000, 2), log(sigma)), noise)
    single = dimension_wise_kl(aggregate)
    assert single == pytest.approx(2 * 0.5 * (0.25 - log(1.25)), abs=0.01)
    rho = correlation / (1 + sigma**2)
    rest = kl(aggregate).item() - mutual_information(aggregate) - single
    assert rest == pytest.approx(-0.5 * log(1 - rho**2), abs=0.03)


def test_a_single_latent_s_kl_is_the_quadrature_of_its_mixture():
    """Posteriors of very different widths; one that is the prior adds nothing."""
    means, stds = np.array([-1.0, 0.2, 1.4, 2.0]), np.array([0.5, 1.0, 0.03, 0.8])

    def density(z):
        return stats.norm(means, stds).pdf(z).mean()

    def integrand(z):
        return density(z) * (np.log(density(z)) - stats.norm.logpdf(z))

    exact = integrate.quad(integrand, -9, 9, limit=500, points=[1.2, 1.4, 1.6])[0]
    mean = torch.from_numpy(np.stack([means, np.zeros(4)], 1))
    log_std = torch.from_numpy(np.log(np.stack([stds, np.ones(4)], 1)))
    assert dimension_wise_kl(Posterior(mean, log_std, torch.zeros(4, 2))) == pytest.approx(exact, abs=1e-6)


def test_narrow_posteriors_beside_one_that_is_far():
    """0.999 · N(0, 0.02²) + 0.001 · N(1000, 0.02²): they do not meet, so that the KL is theirs and that of choosing."""
    mean, sigma = torch.zeros(1000, 1, dtype=torch.float64), 0.02
    mean[0] = 1000
    far = Posterior(mean, torch.full((1000, 1), log(sigma), dtype=torch.float64), torch.zeros(1000, 1))
    single = 0.5 * (sigma**2 - 1) - log(sigma)
    mixing = 0.999 * log(0.999) + 0.001 * log(0.001)
    assert dimension_wise_kl(far) == pytest.approx(single + 0.001 * 0.5 * 1000**2 + mixing, rel=1e-5)
