"""A multi-rate VAE: one pair of networks for every θ, held against probabilistic PCA at each of them."""

import json
import math

import numpy as np
import pytest
import torch
from cli_helpers import refused, results, trained, vaekl
from pca_model import IMAGES, LATENTS, SPEC, held_out

from vaekl.measures.curve import curve, spread
from vaekl.model.ledger import ElboTerms, PosteriorSample, gaussian_kl
from vaekl.model.likelihoods import Bernoulli, Gaussian, Laplace
from vaekl.model.nets import multirate
from vaekl.model.rate import Rate, connect
from vaekl.model.vae import VAE
from vaekl.model.weighting import Multirate
from vaekl.run.load import load_run

THETAS = spread(0.02, 2.0, 20)
MULTIRATE = ("likelihood=gaussian", "model=multirate", "weighting=multirate")


def spectrum(images=IMAGES):
    centred = images - images.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(images))
    return values[::-1], vectors[:, ::-1]


def water_filling(values, theta):
    """Rate and distortion ‖x − x̂‖² of the linear optimum at θ = φ · λ. Source: Cover, Thomas 2006, theorem 10.3.3."""
    kept = values[:LATENTS]
    rate = 0.5 * np.log(np.maximum(kept / theta, 1)).sum()
    return rate, np.minimum(kept, theta).sum() + values[LATENTS:].sum()


def exact_model():
    """The linear multi-rate VAE with the weights of probabilistic PCA at every θ."""
    values, vectors = spectrum()
    nets = multirate(SPEC.shape, 1, LATENTS, network="linear")
    weighting = Multirate(Gaussian(), SPEC.shape, THETAS[0], THETAS[-1])
    weighting._set_range(1.0)
    for network in nets:
        connect(network, weighting.rate)
    model = VAE(SPEC, nets, Gaussian(), weighting, LATENTS).eval()
    rate = weighting.rate
    kept, directions = torch.tensor(values[:LATENTS].copy()).float(), torch.tensor(vectors[:, :LATENTS].copy()).float()
    centre = torch.tensor(IMAGES.mean(0)).float()
    with torch.no_grad():
        for cut_off in (nets.encoder.mean_cut_off, nets.encoder.std_cut_off, nets.decoder[0].cut_off):
            place = (kept.log() - rate.limits.mean()) / rate.half_range
            cut_off.offset.copy_(((place + 1).expm1().log() - cut_off.first) / 10)
        nets.encoder.encoder.mean.weight.copy_((directions / kept.sqrt()).T)
        nets.encoder.encoder.mean.bias.copy_(-centre @ (directions / kept.sqrt()))
        nets.decoder[1].weight.copy_(directions * kept.sqrt())
        nets.decoder[1].bias.copy_(centre)
    return model


@torch.no_grad()
def rate_and_distortion(model, theta, images=IMAGES):
    """Averages over the images, with the posterior's noise integrated: of a linear decoder, by the trace."""
    x = torch.tensor(images).float().view(-1, *SPEC.shape)
    with model.weighting.rate.at(theta):
        mean, log_std = model.encode(x)
        columns = model.decoder[1].weight * model.decoder[0].cut_off.gate()
        error = (model.decode(mean).flatten(1) - x.flatten(1)).square().sum(1).mean()
        spread_out = (columns.square().sum(0) * (2 * log_std).exp()).sum(1).mean()
        kl = gaussian_kl(mean, log_std).sum(1).mean()
    return kl.item(), (error + spread_out).item()


def test_the_gates_hold_the_optimum_of_probabilistic_pca_at_every_theta():
    values, _ = spectrum()
    model = exact_model()
    for theta in THETAS:
        rate, distortion = rate_and_distortion(model, theta)
        expected_rate, expected_distortion = water_filling(values, theta)
        # a cut-off is rounded over 1/50 of an e-fold of θ
        assert rate == pytest.approx(expected_rate, abs=0.02)
        assert distortion == pytest.approx(expected_distortion, rel=2e-3)


def test_the_curve_is_the_density_at_each_theta():
    model = exact_model()
    before = model.weighting.dispersion.item()
    points = curve(model, held_out(IMAGES), lambda: torch.Generator().manual_seed(0), [0.05, 0.5])
    for theta, point in points:
        rate, distortion = rate_and_distortion(model, theta)
        assert point.dispersion == pytest.approx(theta)
        assert point.kl == pytest.approx(rate, rel=1e-4)
        density = 0.5 * distortion / theta + 32 * math.log(2 * math.pi * theta)
        assert point.energy_nats - point.log_norm_const == pytest.approx(density, rel=5e-3)
    assert model.weighting.dispersion.item() == before


@pytest.mark.nightly
def test_training_finds_rate_and_distortion_of_twenty_theta(tmp_path):
    """Within 2 % of reverse water-filling at each; a rate is held within 2 % of a nat where it is below one."""
    words = ["transform=scale", "dataset=digits", "valid=0", "model.network=linear", f"model.latents={LATENTS}"]
    words += ["weighting.smallest=0.02", "weighting.largest=2", "optim.lr=3e-3", "lr_schedule=cosine"]
    # gradients of the largest θ would fill a long memory of squares, and the weakest latents wait four times as long
    words += ["optim.betas=[0.9,0.97]", "trainer.log_every=1000", "trainer.valid_every=12000"]
    run = trained(tmp_path, *MULTIRATE, *words, "trainer.steps=12000", "trainer.batch_size=200")
    loaded = load_run(run, "cpu")
    images = loaded.split("train").images.double().flatten(1).numpy() / 16
    values, _ = spectrum(images)
    for theta in THETAS:
        expected_rate, expected_distortion = water_filling(values, theta)
        rate, distortion = rate_and_distortion(loaded.model, theta, images)
        assert rate == pytest.approx(expected_rate, rel=0.02, abs=0.02)
        assert distortion == pytest.approx(expected_distortion, rel=0.02)


def test_draws_fill_the_range_evenly():
    rate = Rate().train()
    rate.set_range(0.01, 100.0)
    drawn = []
    for _ in range(100):
        rate.draw()
        drawn.append(rate.place.item())
    # 100 points of the golden ratio's sequence leave no gap wider than 3/100 of the range
    gaps = np.diff([-1, *sorted(drawn), 1])
    assert gaps.max() < 2 * 3 / 100
    rate.eval()
    assert rate.theta.item() == pytest.approx(1.0)  # the middle of the range, whatever was drawn


@pytest.mark.parametrize(("family", "best"), [(Gaussian, 0.04), (Laplace, 0.2)], ids=["variance", "scale"])
def test_evaluation_takes_the_phi_that_is_calibrated(family, best):
    """x with E[(x − μ)²] = 0.04 and E|x − μ| = 0.2 around η, whatever φ was drawn."""
    weighting = Multirate(family(), (4,), 1e-3, 10.0)
    weighting._set_range(1.0)
    eta, x = torch.zeros(8, 1, 4), torch.full((8, 4), 0.2)
    for _ in range(300):
        weighting.draw()
        weighting.observe(eta, x)
    assert weighting.eval().dispersion.item() == pytest.approx(best, rel=0.02)


@pytest.mark.parametrize(("family", "theta"), [(Gaussian, 0.3), (Bernoulli, 0.3), (Bernoulli, 4.0)])
def test_the_loss_is_the_energy_and_theta_times_the_kl_with_one_factor(family, theta):
    """φ · θ^−0.4 · (E/φ − ln C + λ · KL): of a Gaussian φ = θ and λ = 1, of a Bernoulli φ = 1 and λ = θ."""
    weighting = Multirate(family(), (1,), 0.1, 10.0)
    weighting.rate.drawn.fill_(math.log(theta))
    energy, constant, kl = torch.tensor([[2.0]]), torch.tensor([-0.7]), torch.tensor([[1.5]])
    posterior = PosteriorSample(*(torch.zeros(1, 1) for _ in range(4)))
    terms = ElboTerms(energy, constant, kl, weighting.dispersion, posterior)
    phi, weight = (theta, 1.0) if family is Gaussian else (1.0, theta)
    expected = phi * theta**-0.4 * (2.0 / phi + 0.7 + weight * 1.5)
    assert weighting.loss(terms, 1.0).item() == pytest.approx(expected, rel=1e-6)


def test_where_phi_is_no_scale_lambda_is_drawn_and_evaluation_is_that_of_the_elbo():
    weighting = Multirate(Bernoulli(), (4,))
    assert weighting.rate.range == pytest.approx((0.01, 10.0))
    weighting.draw()
    assert weighting.dispersion.item() == 1 and weighting.information_weight == pytest.approx(
        weighting.rate.theta.item()
    )
    assert weighting.eval().information_weight == 1


def test_a_run_has_a_curve_of_its_own(tmp_path):
    run = trained(tmp_path, *MULTIRATE, "model.hidden=[16]", "model.latents=3", "trainer.steps=20")
    smallest, largest = load_run(run, "cpu").model.weighting.rate.range
    assert smallest <= results(run)["test"]["dispersion"] <= largest
    answer = vaekl(tmp_path, "eval", str(run), "eval.theta=[0.01,0.1]")
    assert answer.code == 0, answer.err
    figures = json.loads((run / "eval.json").read_text())
    assert [point["theta"] for point in figures["curve"]] == [0.01, 0.1]
    for point in figures["curve"]:
        assert point["rate_nats"] + point["distortion_nats"] == pytest.approx(-point["elbo_nats"])
    refused(vaekl(tmp_path, "eval", str(run), "eval.theta=100"), "eval.theta=100", "outside the range")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model=multirate"], "need each other"),
        (["weighting=multirate"], "need each other"),
        ([*MULTIRATE, "control=information_weight", "control.weight=2"], "both move the KL's weight"),
        ([*MULTIRATE, "weighting.smallest=1", "weighting.largest=0.1"], "must be below"),
        ([*MULTIRATE, "model.network=large"], "model.network"),
        (["likelihood=cb", *MULTIRATE[1:], "weighting.smallest=2"], "must hold 1"),
        ([*MULTIRATE, "objective=iwae", "objective.k=3"], "solves φ"),
    ],
    ids=["model", "weighting", "control", "range", "network", "lambda", "objective"],
)
def test_what_does_not_fit_is_one_sentence(words, sentence, tmp_path):
    refused(vaekl(tmp_path, "train", *words, "trainer.steps=2"), sentence)
