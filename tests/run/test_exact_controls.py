"""Controls and objectives on linear VAEs, whose rate and distortion at every θ = φ·λ are known: one exact answer each.

    R(θ) = Σ_{i≤Z, l_i>θ} ½ ln(l_i/θ),     E‖x − x̂‖² = Σ_{i≤Z} min(θ, l_i) + Σ_{i>Z} l_i

with the eigenvalues l_i of the data's covariance: reverse water-filling (Cover, Thomas 2006, theorem 10.3.3), which the
ELBO's optimum reaches. A learned φ ends at distortion/D.
"""

from functools import partial
from math import sqrt

import numpy as np
import pytest
import torch
from helpers import trainer_of
from scipy.optimize import brentq
from test_exact import COUNT, IMAGES, LATENTS, SPECTRUM, D

from vaekl.data import Data
from vaekl.data.sources.embedded import digits
from vaekl.data.transforms import Scale
from vaekl.model.control import Capacity, Controller, FreeBits, Geco, InformationWeight
from vaekl.model.likelihoods import Gaussian
from vaekl.model.nets import linear
from vaekl.model.objective import Iwae
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedDispersion, LearnedPrecision
from vaekl.training.schedules import LearningRateSchedule

#: seed and size of the first weights
STARTS = ((0, 1.0), (1, 3.0), (2, 0.3))


def rate(theta):
    return 0.5 * np.log(np.maximum(SPECTRUM[:LATENTS] / theta, 1)).sum()


def distortion(theta):
    return np.minimum(theta, SPECTRUM[:LATENTS]).sum() + SPECTRUM[LATENTS:].sum()


def trained(weighting, control, steps, start=STARTS[0], objective=None):
    """Rate, distortion and effective β_KL after full-batch Adam, the first two with their expectation over z exact."""
    source, likelihood, (seed, size) = digits(), Gaussian(), start
    data = Data.from_source(source, Scale().resolve(source.spec, Gaussian.accepts), Gaussian.accepts, valid=0)
    torch.manual_seed(seed)
    nets = linear(data.spec.shape, 1, LATENTS)
    held = control(likelihood, data.spec, COUNT)
    dispersion = weighting(likelihood, data.spec.shape)
    model = VAE(data.spec, nets, likelihood, dispersion, LATENTS, control=held, objective=objective)
    with torch.no_grad():
        for parameter in (*model.encoder.parameters(), *model.decoder.parameters()):
            parameter.mul_(size)
    cosine = LearningRateSchedule(steps, final=0.001)
    trainer, _ = trainer_of(data, model, steps, COUNT, lr=0.03, lr_schedule=cosine, log_every=500)
    trainer.fit()
    weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
    decoder, std = weights["decoder.0.weight"], np.exp(weights["encoder.log_std"])
    mean = IMAGES @ weights["encoder.mean.weight"].T + weights["encoder.mean.bias"]
    error = IMAGES - mean @ decoder.T - weights["decoder.0.bias"]
    squares = (error**2).sum(1).mean() + (std**2 * (decoder**2).sum(0)).sum()
    kl = 0.5 * (mean**2 + std**2 - 1 - 2 * np.log(std)).sum(1).mean()
    return kl, squares, model.effective_beta_kl(model.weighting.dispersion.flatten(), 1.0).item()


def learned_theta(weight):
    """θ of a learned φ beside a fixed λ: the fixed point of θ = λ · distortion(θ)/D."""
    return brentq(lambda theta: theta - weight * distortion(theta) / D, 1e-4, 5)


AT_TEN_NATS = brentq(lambda theta: rate(theta) - 10, 1e-4, 3)
TARGETS = {
    "controller": (partial(Controller, target=10.0, ki=0.01), AT_TEN_NATS),
    "capacity": (partial(Capacity, target=10.0, gamma=3.0), AT_TEN_NATS),
    "geco": (partial(Geco, rmse=sqrt(distortion(0.1) / D)), 0.1),
    "information_weight": (partial(InformationWeight, weight=4.0), learned_theta(4.0)),
}


def test_the_closed_forms_are_those_of_the_linear_vae():
    """At θ = φ, −distortion/(2φ) − rate is the ELBO of probabilistic PCA but for its constant: its derivative is 0."""
    best = SPECTRUM[LATENTS:].mean()
    assert learned_theta(1.0) == pytest.approx(best, rel=1e-9)
    step = 1e-6 * best
    slope = (distortion(best + step) - distortion(best - step)) / (rate(best + step) - rate(best - step))
    assert slope == pytest.approx(-2 * best, rel=1e-4)


def test_the_target_is_no_noise_level_but_at_the_calibrated_error():
    """GECO's τ² is the effective β_KL where τ is the RMSE of probabilistic PCA, and nowhere else."""
    calibrated = sqrt(distortion(learned_theta(1.0)) / D)
    for tau in (calibrated, 0.8 * calibrated, 1.5 * calibrated):
        if distortion(1e-9) / D > tau**2:
            continue  # below the error that eight latents leave
        theta = brentq(lambda theta, tau=tau: distortion(theta) - D * tau**2, 1e-9, 5)
        assert (theta == pytest.approx(tau**2, rel=1e-6)) == (tau == calibrated)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "start", [pytest.param(start, marks=pytest.mark.nightly, id=f"start {start}") for start in STARTS]
)
def test_a_target_is_held_at_the_exact_weight(name, start):
    control, theta = TARGETS[name]
    kl, squares, beta = trained(LearnedPrecision, control, 4000, start)
    assert kl == pytest.approx(rate(theta), rel=0.01)
    assert squares == pytest.approx(distortion(theta), rel=0.01)
    assert beta == pytest.approx(theta, rel=0.01)


def test_a_controller_holds_the_kl():
    control, theta = TARGETS["controller"]
    kl, squares, beta = trained(LearnedPrecision, control, 1200)
    assert kl == pytest.approx(10, rel=0.01)
    assert squares == pytest.approx(distortion(theta), rel=0.01)
    assert beta == pytest.approx(theta, rel=0.05)


@pytest.mark.nightly
@pytest.mark.parametrize("start", STARTS)
def test_free_bits_are_spent_and_well(start):
    """Of latents that keep to one eigenvector each, each would have max(½ ln(l_i/θ), floor), and leave l_i e^{−2·that}.

    Latents that share eigenvectors do better with the same rate, and none can do better than reverse water-filling.
    """
    floor, theta = 0.5, 0.25
    weighting = partial(FixedDispersion, dispersion=theta)
    kl, squares, beta = trained(weighting, partial(FreeBits, floor=floor), 4000, start)
    rates = np.maximum(0.5 * np.log(SPECTRUM[:LATENTS] / theta), floor)
    assert kl == pytest.approx(rates.sum(), rel=0.01)
    apart = (SPECTRUM[:LATENTS] * np.exp(-2 * rates)).sum() + SPECTRUM[LATENTS:].sum()
    least = distortion(brentq(lambda theta: rate(theta) - kl, 1e-6, 3))
    assert least < squares < 1.001 * apart
    assert beta == pytest.approx(theta)


@pytest.mark.nightly
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("gradient", ["reparameterized", "doubly_reparameterized"])
def test_a_bound_that_can_be_tight_has_the_elbo_s_optimum(gradient, start):
    """The linear encoder can be the exact posterior: there L_K = ELBO = ln p(x), and φ is probabilistic PCA's."""
    theta = learned_theta(1.0)
    kl, squares, beta = trained(LearnedPrecision, InformationWeight, 4000, start, Iwae(5, gradient))
    assert kl == pytest.approx(rate(theta), rel=0.01)
    assert squares == pytest.approx(distortion(theta), rel=0.01)
    assert beta == pytest.approx(theta, rel=0.01)
