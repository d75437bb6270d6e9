"""A decoder whose error is known: calibrated where φ is the mean square, and not elsewhere."""

import numpy as np
import pytest
import torch
from torch import nn

from vaekl.data import DataSpec, Split
from vaekl.data.transforms import AsStored
from vaekl.measures.calibration import calibration, figures, reliability
from vaekl.model.likelihoods import Bernoulli, Categorical, ContinuousBernoulli, Gaussian, Laplace
from vaekl.model.nets import Nets
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedDispersion, LearnedPrecision


class Constant(nn.Module):
    """A network that answers the same to everything."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = nn.ParameterList(nn.Parameter(answer) for answer in answers)

    def forward(self, z):
        answers = [answer.expand(len(z), *answer.shape) for answer in self.answers]
        return answers[0] if len(answers) == 1 else tuple(answers)


def model_of(spec, likelihood, eta, weighting=None):
    """The encoder says the prior, the decoder η [P, C, H, W]."""
    nets = Nets(Constant(torch.zeros(2), torch.zeros(2)), Constant(eta))
    return VAE(spec, nets, likelihood, weighting or FixedDispersion(likelihood, spec.shape), 2).eval()


def generator():
    return torch.Generator().manual_seed(0)


def noisy(sigmas, count=4000):
    """Images around ½ with a noise of their own in each channel."""
    noise = torch.randn(count, len(sigmas), 4, 4, generator=generator())
    return 0.5 + noise * torch.tensor(sigmas).view(1, -1, 1, 1)


SIGMAS = [0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    ("likelihood", "calibrated"),
    [(Gaussian(), [s**2 for s in SIGMAS]), (Laplace(), [s * np.sqrt(2 / np.pi) for s in SIGMAS])],
    ids=["gaussian: mean square", "laplace: mean absolute value"],
)
def test_sigma_beside_rmse_and_the_weight_that_would_be_calibrated(likelihood, calibrated):
    spec = DataSpec("noise", (3, 4, 4), None, "real")
    images = noisy(SIGMAS)
    weighting = LearnedPrecision(likelihood, spec.shape, per="channel")
    with torch.no_grad():
        weighting.log_dispersion.copy_(torch.tensor([0.04, 0.04, 0.04]).log().view(3, 1, 1))
    model = model_of(spec, likelihood, torch.full((1, 3, 4, 4), 0.5), weighting)
    table = figures(calibration(model, Split(images, None, AsStored()), generator()), spec.channels)
    assert list(table) == ["all", "channel 0", "channel 1", "channel 2"]
    sigma = {"gaussian": 0.2, "laplace": 0.04 * np.sqrt(2)}[likelihood.name]
    for name, error, best in zip(list(table)[1:], SIGMAS, calibrated, strict=True):
        row = table[name]
        assert row["implied_sigma"] == pytest.approx(sigma, rel=1e-6)
        assert row["rmse"] == pytest.approx(error, rel=0.02)
        assert row["sigma_over_rmse"] == pytest.approx(sigma / error, rel=0.02)
        assert row["calibrated_beta_kl"] == pytest.approx(best, rel=0.02)
    assert table["all"]["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(SIGMAS))), rel=0.02)
    assert table["all"]["calibrated_beta_kl"] == pytest.approx(np.mean(calibrated), rel=0.02)


def test_one_channel_has_one_row_and_a_logit_no_calibrated_weight():
    spec = DataSpec("binary", (1, 4, 4), 2, "binary")
    images = torch.ones(5, 1, 4, 4)
    table = figures(
        calibration(model_of(spec, Bernoulli(), torch.zeros(1, 1, 4, 4)), Split(images, None, AsStored()), generator()),
        spec.channels,
    )
    assert list(table) == ["all"] and "calibrated_beta_kl" not in table["all"]
    assert table["all"] == {"implied_sigma": 0.5, "rmse": 0.5, "sigma_over_rmse": 1.0}


def test_a_true_model_is_reliable_and_an_overconfident_one_is_not():
    spec = DataSpec("coins", (1, 8, 8), 2, "binary")
    chance = torch.linspace(0.02, 0.98, 64).view(1, 8, 8)
    images = (torch.rand(8000, 1, 8, 8, generator=generator()) < chance).float()
    split = Split(images, None, AsStored())
    true = reliability(model_of(spec, Bernoulli(), chance.logit().unsqueeze(0)), split, generator())
    sure = reliability(model_of(spec, Bernoulli(), 3 * chance.logit().unsqueeze(0)), split, generator())
    assert true.groups == 2 and len(true.predicted) == 20 and true.predicted == sorted(true.predicted)
    assert true.error < 0.005
    expected = (torch.sigmoid(3 * chance.logit()) - chance).abs().mean().item()
    assert sure.error == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("kind", ["categorical", pytest.param("cb", marks=pytest.mark.nightly)])
def test_groups_of_levels_of_a_true_model_are_reliable(kind):
    levels, shape = 256, (1, 8, 8)
    logit = torch.linspace(-30, 30, 64).view(1, 1, 8, 8)
    law = ContinuousBernoulli()
    count = 3000 if kind == "cb" else 500
    draws = law.sample(logit.expand(count, 1, 1, 8, 8), torch.ones(1, 1, 1), generator())
    if kind == "cb":
        spec = DataSpec("grey", shape, levels, "unit_interval", "dequantized", dequantized=True)
        curve = reliability(model_of(spec, law, logit), Split(draws, None, AsStored()), generator())
        off = reliability(model_of(spec, law, logit / 4), Split(draws, None, AsStored()), generator())
    else:
        spec = DataSpec("levels", shape, levels, "levels")
        # the exact masses of the same law: proportional to exp(a k/256)
        eta = (torch.arange(levels).view(-1, 1, 1, 1) / levels) * logit
        split = Split((draws * levels).floor(), None, AsStored())
        curve = reliability(model_of(spec, Categorical(levels), eta), split, generator())
        off = reliability(model_of(spec, Categorical(levels), eta / 4), split, generator())
    assert curve.groups == 16 and curve.error < 0.005 < 0.02 < off.error


def test_without_levels_there_is_no_curve():
    spec = DataSpec("real", (1, 4, 4), None, "real")
    split = Split(torch.zeros(3, 1, 4, 4), None, AsStored())
    assert reliability(model_of(spec, Gaussian(), torch.zeros(1, 1, 4, 4)), split, generator()) is None


def test_equal_predictions_make_one_point_in_whatever_order_the_images_come():
    spec = DataSpec("coins", (1, 4, 4), 2, "binary")
    images = torch.zeros(1000, 1, 4, 4)
    images[:300] = 1.0
    model = model_of(spec, Bernoulli(), torch.full((1, 1, 4, 4), float(np.log(0.3 / 0.7))))
    curve = reliability(model, Split(images, None, AsStored()), generator())
    assert curve.predicted == pytest.approx([0.3, 0.7]) and curve.observed == pytest.approx([0.3, 0.7])
    assert curve.error < 1e-6 and curve.images == 1000


def test_a_model_that_knows_nothing_is_not_calibrated():
    """It says 1/16 of every group while the darkest always comes true: |1/16 − 1| for one group, 1/16 for fifteen."""
    spec = DataSpec("black", (1, 4, 4), 256, "levels")
    model = model_of(spec, Categorical(256), torch.zeros(256, 1, 4, 4))
    curve = reliability(model, Split(torch.zeros(50, 1, 4, 4), None, AsStored()), generator())
    assert curve.error == pytest.approx((15 / 16 + 15 * 1 / 16) / 16, abs=1e-7) == pytest.approx(0.1171875)
    # all predictions are equal, and one in sixteen comes true: the curve of all groups together cannot tell
    assert curve.predicted == pytest.approx([1 / 16]) and curve.observed == pytest.approx([1 / 16])


def test_the_error_is_that_of_each_group_s_own_bins():
    """Against numpy: sorted predictions of each level, cut into 20 equal parts."""
    levels, pixels, count = 4, 400, 30
    rng = np.random.default_rng(0)
    eta = rng.normal(size=(levels, 1, 20, 20)) * 2
    levels_seen = rng.integers(0, levels, size=(count, 1, 20, 20))
    spec = DataSpec("noise", (1, 20, 20), levels, "levels")
    model = model_of(spec, Categorical(levels), torch.from_numpy(eta).float())
    curve = reliability(model, Split(torch.from_numpy(levels_seen).float(), None, AsStored()), generator())
    chance = np.exp(eta) / np.exp(eta).sum(0)
    errors = []
    for level in range(levels):
        by_size = np.argsort(chance[level].ravel())
        predicted = np.repeat(chance[level].ravel()[by_size], count).reshape(20, -1).mean(1)
        true = (levels_seen == level).reshape(count, pixels)[:, by_size].T.reshape(20, -1).mean(1)
        errors.append(np.abs(predicted - true).mean())
    assert curve.groups == levels and curve.error == pytest.approx(np.mean(errors), rel=1e-4)
