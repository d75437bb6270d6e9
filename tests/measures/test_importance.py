"""The bound against the exact log-likelihood of probabilistic PCA, which scikit-learn knows."""

import numpy as np
import pytest
import torch
from helpers import seeded
from numpy.testing import assert_allclose
from pca_model import IMAGES, held_out, pca, vae
from scipy import stats

from vaekl.measures.elbo import batch_limit, evaluate
from vaekl.measures.importance import importance_bounds, mean_and_error
from vaekl.measures.ruler import log_density


def bounds(model, split, ks, seed=0, **more):
    return importance_bounds(model, split, log_density(model), ks, seeded(seed), **more)


def test_the_bound_rises_to_the_exact_log_likelihood_of_held_out_digits():
    fitted, split = pca(), held_out()
    exact = fitted.score(split.images.flatten(1).numpy())
    estimates = bounds(vae(fitted, shrink=0.8, widen=1.6), split, [1, 10, 100, 1000])
    means = [mean_and_error(values)[0] for values in estimates.bound.values()]
    assert means == sorted(means), "it rises with K"
    assert means[0] < exact - 3, "at K = 1 the wrong posterior costs four nats: the test can fail"
    assert exact - 0.02 < means[-1] <= exact + 0.005
    # what is left is the variance of the average of 1,000 weights, which biases its logarithm


def test_the_right_posterior_gives_the_exact_answer_with_one_sample():
    fitted, split = pca(), held_out()
    estimates = bounds(vae(fitted), split, [1, 7])
    exact = fitted.score_samples(split.images.flatten(1).numpy())
    for values in (estimates.elbo.mean(), estimates.bound[7].mean(), estimates.bound[1].mean()):
        assert values.item() == pytest.approx(exact.mean(), abs=0.1)
    # the weights of an exact posterior are constant: no sample matters
    assert_allclose(estimates.bound[1], exact, atol=2e-3)
    assert_allclose(estimates.bound[7], exact, atol=2e-3)


def test_one_sample_is_the_elbo():
    model, split = vae(pca(), shrink=0.8, widen=1.2), held_out()
    difference = torch.stack(
        [bounds(model, split, [1], seed).bound[1] - bounds(model, split, [1], seed).elbo for seed in range(20)]
    )
    mean, error = mean_and_error(difference.flatten())
    assert abs(mean) < 4 * error and error < 0.1
    # the closed form E_q ln p(x|z) of a linear Gaussian decoder, from scipy
    fitted = pca()
    x = split.images.flatten(1).numpy()
    phi, spectrum = fitted.noise_variance_, fitted.explained_variance_
    loadings = fitted.components_.T * np.sqrt(spectrum - phi)
    posterior_mean, posterior_std = 0.8 * (x - fitted.mean_) @ (loadings / spectrum), 1.2 * np.sqrt(phi / spectrum)
    at_mean = stats.norm(fitted.mean_ + posterior_mean @ loadings.T, np.sqrt(phi)).logpdf(x).sum(1)
    expected = at_mean - 0.5 * (loadings**2 @ posterior_std**2).sum() / phi
    kl = (0.5 * (posterior_mean**2 + posterior_std**2 - 1) - np.log(posterior_std)).sum(1)
    elbos = [mean_and_error(bounds(model, split, [1], seed).elbo)[0] for seed in range(40)]
    assert np.mean(elbos) == pytest.approx((expected - kl).mean(), abs=5 * np.std(elbos) / np.sqrt(40))


def test_memory_does_not_grow_with_k():
    seen = []
    model, split = vae(pca()), held_out()
    decode = model.decode
    model.decode = lambda z, x=None: seen.append(len(z)) or decode(z, x)
    for k in (3, 3000):
        seen.clear()
        bounds(model, split.first(20), [k])
        assert max(seen) <= batch_limit(model) and sum(seen) == 20 * k
    seen.clear()
    bounds(model, split.first(20), [5], chunk=7)
    assert max(seen) <= 7 and sum(seen) == 100


def test_the_same_seed_gives_the_same_figures_and_progress_is_told():
    model, split, passes = vae(pca(), widen=1.5), held_out().first(30), []
    first = bounds(model, split, [1, 20], done=passes.append)
    again = bounds(model, split, [1, 20])
    assert torch.equal(first.bound[20], again.bound[20]) and torch.equal(first.elbo, again.elbo)
    assert not torch.equal(first.bound[20], bounds(model, split, [1, 20], seed=1).bound[20])
    assert sum(passes) == 30 * 20
    # both add float32, ln C of 56 nats among them with a last digit of 4e-6, in another order
    assert first.elbo.mean().item() == pytest.approx(evaluate(model, split, seeded()).elbo, abs=3e-5)


def test_the_standard_error_is_over_images():
    assert mean_and_error(torch.tensor([1.0, 2.0, 3.0])) == (2.0, pytest.approx(1 / np.sqrt(3)))
    assert mean_and_error(torch.tensor([1.0])) == (1.0, None)


def test_a_bound_depends_neither_on_the_other_bounds_nor_on_the_chunks():
    # more images than a batch has, so that a stream that ran on through the batches would show
    model, split = vae(pca(), widen=1.5), held_out(IMAGES[:1200])
    alone = bounds(model, split, [20])
    together = bounds(model, split, [1, 20, 33])
    assert_allclose(together.bound[20], alone.bound[20], rtol=1e-12)
    for chunk in (7, 64, 3000):
        other = bounds(model, split, [20], chunk=chunk)
        # what is left is the order in which a matrix product adds
        assert_allclose(other.bound[20], alone.bound[20], atol=1e-3)
        assert_allclose(other.elbo, alone.elbo, atol=1e-3)
