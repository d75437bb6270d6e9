"""Where training begins: the best constant decoder, by NumPy and SciPy."""

import numpy as np
import pytest
import torch
from cli_helpers import built
from scipy.special import expit, logit

from vaekl.model import beginning
from vaekl.model.beginning import begin_at_data
from vaekl.model.likelihoods import (
    Bernoulli,
    Beta,
    CensoredGaussian,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    LogitNormal,
    Mixture,
    TruncatedGaussian,
)
from vaekl.model.nets import conv, linear, mlp
from vaekl.model.weighting import FixedDispersion, LearnedPrecision

SHAPE = (2, 9, 8)


@pytest.fixture
def x():
    """Values of [0, 1] whose means and deviations differ from place to place."""
    draw = np.random.default_rng(3)
    return torch.tensor(draw.beta(draw.uniform(0.5, 3, SHAPE), 2, (50, *SHAPE)), dtype=torch.float32)


@pytest.mark.parametrize("per", ["scalar", "channel", "value"])
@pytest.mark.parametrize("family", [Gaussian, Laplace])
def test_phi_is_that_of_what_the_mean_leaves(family, per, x):
    """The variance around each value's mean, or the mean absolute deviation from it; one for all, however many φ."""
    left = x.numpy() - x.numpy().mean(0)
    expected = np.square(left).mean() if family is Gaussian else np.abs(left).mean()
    weighting = LearnedPrecision(family(), SHAPE, per)
    begin_at_data(weighting.likelihood, weighting, None, x)
    np.testing.assert_allclose(weighting.dispersion.detach().numpy(), expected, rtol=1e-5)


def test_a_phi_that_is_no_scale_begins_near_the_best(x):
    """At the variance around the mean; of levels at the scale of a logistic density with it."""
    left = (x.numpy() - x.numpy().mean(0)).var()
    for likelihood, values, expected in [
        (TruncatedGaussian(), x, left),
        (CensoredGaussian(), x, left),
        (DiscretizedLogistic(levels=17), 16 * x, np.sqrt(3 * left) / np.pi),
    ]:
        weighting = LearnedPrecision(likelihood, SHAPE)
        begin_at_data(likelihood, weighting, None, values)
        assert weighting.dispersion.item() == pytest.approx(expected, rel=1e-5)


def test_the_scale_of_logits_begins_at_what_their_mean_leaves(x):
    weighting = LearnedPrecision(LogitNormal(), SHAPE)
    begin_at_data(weighting.likelihood, weighting, None, x.clamp(1e-3, 1 - 1e-3))
    at_mean = logit(x.clamp(1e-3, 1 - 1e-3).numpy().mean(0))
    left = logit(x.clamp(1e-3, 1 - 1e-3).double().numpy()) - at_mean
    assert weighting.dispersion.item() == pytest.approx(np.square(left).mean(), rel=1e-4)


def test_a_phi_that_is_given_stays():
    weighting = LearnedPrecision(Gaussian(), SHAPE, init=0.3)
    begin_at_data(weighting.likelihood, weighting, None, torch.rand(9, *SHAPE))
    assert weighting.dispersion.item() == pytest.approx(0.3)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian("sigmoid"), Laplace("sigmoid")])
@pytest.mark.parametrize("nets", [mlp, linear])
def test_the_sigmoid_of_the_last_bias_is_each_value_s_mean(nets, likelihood, x):
    bias = nets(SHAPE, 1, 3).decoder.last_bias
    begin_at_data(likelihood, FixedDispersion(likelihood, SHAPE), bias, x)
    np.testing.assert_allclose(expit(bias.detach().numpy()), x.numpy().mean(0).flatten(), rtol=1e-5)


def test_convolutions_begin_at_the_mean_of_a_channel(x):
    bias = conv(SHAPE, 1, 3, width=2).decoder.last_bias
    begin_at_data(Bernoulli(), FixedDispersion(Bernoulli(), SHAPE), bias, x)
    np.testing.assert_allclose(expit(bias.detach().numpy()), x.numpy().mean((0, 2, 3)), rtol=1e-5)


def test_a_value_that_is_always_0_keeps_a_finite_logit():
    bias = linear((2,), 1, 1).decoder.last_bias
    begin_at_data(Bernoulli(), FixedDispersion(Bernoulli(), (2,)), bias, torch.tensor([[0.0, 1.0]] * 4))
    np.testing.assert_allclose(expit(bias.detach().numpy()), [0.001, 0.999], rtol=1e-4)


@pytest.mark.parametrize("likelihood", [Gaussian(), Laplace(), Beta()])
def test_without_a_sigmoid_the_bias_stays_as_it_was_drawn(likelihood, x):
    bias = mlp(SHAPE, likelihood.outputs, 3).decoder.last_bias
    drawn = bias.clone()
    begin_at_data(likelihood, FixedDispersion(likelihood, SHAPE), bias, x)
    assert torch.equal(bias, drawn)


def test_a_run_begins_there_unless_it_is_not_to(tmp_path):
    words = ("likelihood=gaussian", "likelihood.link=sigmoid")
    for name, begin in (("a", True), ("b", False)):
        (tmp_path / name).mkdir()
        trainer = built(tmp_path / name, *words, f"begin_at_data={begin}").trainer
        train = trainer.data.train
        x = train.batch(slice(None), torch.Generator().manual_seed(0))
        near = trainer.model.weighting.dispersion.item() == pytest.approx(x.var(0).mean().item(), rel=0.02)
        assert near == begin and (trainer.model.weighting.dispersion.item() == 1) != begin


def test_the_continuous_bernoulli_begins_at_its_own_mean():
    """Of a, the mean is 1/(1 − e^−a) − 1/a, which is no sigmoid: at 0.1 the logit is −9.995 and not −2.2."""
    means = torch.tensor([0.0, 0.1, 0.5, 0.55, 0.9, 1.0])
    bias = linear((6,), 1, 1).decoder.last_bias
    begin_at_data(ContinuousBernoulli(), FixedDispersion(ContinuousBernoulli(), (6,)), bias, means.expand(4, 6))
    a = bias.detach().double().numpy()
    np.testing.assert_allclose(1 / -np.expm1(-a[[1, 3, 4]]) - 1 / a[[1, 3, 4]], [0.1, 0.55, 0.9], rtol=1e-6)
    assert a[2] == pytest.approx(0, abs=1e-9) and a[0] == pytest.approx(-200, rel=1e-3) == -a[5]


def test_a_family_of_more_outputs_than_its_eta_of_mean_begins_as_its_weights_are(x):
    class TwoOutputs(Gaussian):
        outputs = 2

    weighting, bias = FixedDispersion(TwoOutputs(), SHAPE), torch.nn.Parameter(torch.zeros(2 * 144))
    begin_at_data(weighting.likelihood, weighting, bias, x)
    assert not bias.any()


@pytest.mark.parametrize(("family", "images"), [(Mixture, 3), (Gaussian, 50)])
def test_a_first_phi_that_is_searched_for_is_of_fewer_numbers(family, images, x, monkeypatch):
    """Of five components with a logit and a mean each there are 10 numbers for a value; other φ have a closed form."""
    likelihood = family()
    monkeypatch.setattr(beginning, "_MOST_NUMBERS", 3 * 10 * x[0].numel())
    weighting, expected = (LearnedPrecision(likelihood, SHAPE, "scalar") for _ in range(2))
    begin_at_data(likelihood, weighting, None, x)
    eta = likelihood.eta_of_mean(x.mean(0)).expand(images, likelihood.outputs, *SHAPE)
    expected.begin(eta, x[:images])
    assert weighting.dispersion.item() == expected.dispersion.item()
