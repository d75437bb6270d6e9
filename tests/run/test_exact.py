"""The whole pipeline against closed forms: a linear VAE with a Gaussian likelihood is probabilistic PCA.

With S the images' covariance (divided by n, the maximum likelihood estimate) and λ₁ ≥ λ₂ ≥ ... its eigenvalues,
k latents give the log-likelihood, in nats per image,

    −½ [D ln 2π + Σ_{i≤k} ln λᵢ + (D − k) ln φ + k + Σ_{i>k} λᵢ/φ]

which the ELBO reaches, since the posterior is Gaussian too. Its best φ is the mean discarded eigenvalue. At a fixed φ a
latent whose eigenvalue lies below φ is of no use and collapses: k counts the eigenvalues above φ.

scikit-learn's PCA divides by n − 1: its noise variance is n/(n − 1) times the one that maximises the likelihood.

Source: Tipping, Bishop 1999, equations 7 and 8; Lucas, Tucker, Grosse, Norouzi 2019.
"""

import numpy as np
import pytest
import torch
from helpers import seeded, trainer_of
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from vaekl.data import Data
from vaekl.data.sources.embedded import digits
from vaekl.data.transforms import Scale
from vaekl.measures.elbo import evaluate
from vaekl.model.likelihoods import Gaussian
from vaekl.model.nets import linear
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedDispersion, LearnedPrecision, OptimalPrecision
from vaekl.training.schedules import LearningRateSchedule

LATENTS = 8
IMAGES = load_digits().data[:1437] / 16
COUNT, D = IMAGES.shape
SPECTRUM = np.linalg.eigvalsh(np.cov(IMAGES.T, bias=True))[::-1]
BEST_PHI = SPECTRUM[LATENTS:].mean()


def log_likelihood(phi):
    """Of probabilistic PCA with at most eight latents and this φ, in nats per image."""
    active = min(LATENTS, sum(value > phi for value in SPECTRUM))
    kept, lost = SPECTRUM[:active], SPECTRUM[active:]
    return -0.5 * (D * np.log(2 * np.pi) + np.log(kept).sum() + len(lost) * np.log(phi) + active + lost.sum() / phi)


def trained(weighting, steps, lr, **plan):
    """A linear VAE after full-batch Adam on all 1,437 images, with a cosine down to a hundredth."""
    source = digits()
    data = Data.from_source(source, Scale().resolve(source.spec, Gaussian.accepts), Gaussian.accepts, valid=0)
    np.testing.assert_allclose(data.train.batch(slice(None)).flatten(1).numpy(), IMAGES, rtol=1e-6)
    torch.manual_seed(0)
    model = VAE(data.spec, linear(data.spec.shape, 1, LATENTS), Gaussian(), weighting, LATENTS)
    cosine = LearningRateSchedule(steps, final=0.01)
    trainer, recorder = trainer_of(data, model, steps, COUNT, lr=lr, lr_schedule=cosine, log_every=500, **plan)
    trainer.fit()
    return model, data.train, recorder


def expected_elbo(model):
    """The ELBO with its expectation over z taken exactly: E is quadratic in z, so means and variances are enough."""
    weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
    decoder, std = weights["decoder.0.weight"], np.exp(weights["encoder.log_std"])
    mean = IMAGES @ weights["encoder.mean.weight"].T + weights["encoder.mean.bias"]
    phi = model.weighting.dispersion.item()
    error = IMAGES - mean @ decoder.T - weights["decoder.0.bias"]
    energy = 0.5 * ((error**2).sum(1) + (std**2 * (decoder**2).sum(0)).sum())
    kl = 0.5 * (mean**2 + std**2 - 1 - 2 * np.log(std)).sum(1)
    return (-energy / phi - 0.5 * D * np.log(2 * np.pi * phi) - kl).mean()


def test_the_reference_is_scikit_learn_s():
    """PCA.score is the likelihood of an estimate with n − 1; in nats the two differ by ½ D (ln r + 1/r − 1) = 8e-6."""
    pca = PCA(LATENTS, svd_solver="full").fit(IMAGES)
    ratio = COUNT / (COUNT - 1)
    assert pca.noise_variance_ == pytest.approx(ratio * BEST_PHI, rel=1e-9)
    gap = 0.5 * D * (np.log(ratio) + 1 / ratio - 1)
    assert log_likelihood(BEST_PHI) - pca.score(IMAGES) == pytest.approx(gap, rel=1e-3)
    covariance = pca.get_covariance() / ratio
    by_density = stats.multivariate_normal(IMAGES.mean(0), covariance).logpdf(IMAGES).mean()
    assert log_likelihood(BEST_PHI) == pytest.approx(by_density, rel=1e-9)


@pytest.mark.parametrize(
    ("weighting", "compiled"),
    [
        (LearnedPrecision, False),
        pytest.param(LearnedPrecision, True, marks=pytest.mark.nightly),
        pytest.param(OptimalPrecision, False, marks=pytest.mark.nightly),
        pytest.param(OptimalPrecision, True, marks=pytest.mark.nightly),
    ],
)
def test_a_linear_vae_reaches_probabilistic_pca(weighting, compiled):
    model, train, recorder = trained(weighting(Gaussian(), (1, 8, 8)), steps=1000, lr=0.05, compile=compiled)
    model.eval()
    exact = log_likelihood(BEST_PHI)
    elbo = expected_elbo(model)
    assert exact - 0.05 < elbo < exact, f"{elbo:.4f} of {exact:.4f} nats"
    phi = model.weighting.dispersion.item()
    assert phi == pytest.approx(BEST_PHI, rel=0.01)
    pca = PCA(LATENTS, svd_solver="full").fit(IMAGES)
    assert elbo == pytest.approx(pca.score(IMAGES), abs=0.05)
    assert phi == pytest.approx(pca.noise_variance_, rel=0.01)

    # the ruler takes one posterior sample an image: its average over seeds is the exact expectation
    judged = [evaluate(model, train, seeded(seed)) for seed in range(20)]
    assert {one.active_units for one in judged} == {LATENTS}
    elbos = np.array([one.elbo for one in judged])
    assert abs(elbos.mean() - elbo) < 4 * elbos.std(ddof=1) / np.sqrt(len(elbos))
    assert recorder.figures[-1][1]["elbo_nats"] == pytest.approx(exact, abs=0.2)
    # a calibrated density: its σ is its error, and both follow from φ
    assert judged[0].implied_sigma == pytest.approx(np.sqrt(phi), rel=1e-5)
    assert judged[0].rmse == pytest.approx(np.sqrt(BEST_PHI), rel=0.01)


def test_latents_below_the_dispersion_collapse_and_no_others():
    phi = 0.25
    count = sum(value > phi for value in SPECTRUM)
    assert count == 5
    model, train, _ = trained(FixedDispersion(Gaussian(), (1, 8, 8), phi), steps=1000, lr=0.05)
    judged = evaluate(model, train, seeded())
    assert judged.active_units == count
    assert int((judged.kl_per_latent > 0.01).sum()) == count
    # each active latent is one eigenvector's, and its posterior has variance φ/λ
    variances = np.sort(np.exp(2 * model.encoder.log_std.detach().double().numpy()))
    np.testing.assert_allclose(variances[:count], phi / SPECTRUM[:count], rtol=0.03)
    np.testing.assert_allclose(variances[count:], 1, rtol=0.03)
    exact = log_likelihood(phi)
    assert exact - 0.01 < expected_elbo(model) < exact
