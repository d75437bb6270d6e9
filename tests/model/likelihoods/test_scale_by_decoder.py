"""A decoder that gives the scale: one for each value or image, above a floor that may be learned."""

import mpmath as mp
import numpy as np
import pytest
import torch
from cli_helpers import results, trained, vaekl
from numpy.testing import assert_allclose
from scipy import stats

from vaekl.model.beginning import begin_at_data
from vaekl.model.likelihoods import Gaussian, Laplace, Logistic, LogitNormal, Mixture, StudentT
from vaekl.model.nets import conv, mlp
from vaekl.model.weighting import FixedBeta, FixedDispersion
from vaekl.system.errors import VaeklError

SHAPE, ONE = (2, 2, 3), torch.ones(1, 1, 1, dtype=torch.float64)
mp.mp.dps = 60
LAWS = {
    Gaussian: stats.norm,
    Laplace: stats.laplace,
    Logistic: stats.logistic,
    StudentT: lambda loc, scale: stats.t(5, loc, scale),
}


def batch(dtype=torch.float64):
    """η [3, 2, *S] and x [3, *S]."""
    generator = torch.Generator().manual_seed(0)
    eta, x = (torch.randn(3, *size, *SHAPE, generator=generator, dtype=dtype) for size in ((2,), ()))
    return eta, x


@pytest.mark.parametrize("family", LAWS)
def test_one_scale_of_an_image_is_the_geometric_mean_of_its_outputs(family):
    eta, x = batch()
    likelihood = family(scale="decoder", per="image", min_scale=0.02)
    scale = 0.02 + np.exp(eta[:, 1].numpy().mean((1, 2, 3), keepdims=True))
    law = LAWS[family](eta[:, 0].numpy(), scale)
    assert_allclose(likelihood.log_prob(eta, x, ONE), law.logpdf(x.numpy()), rtol=1e-10)
    assert_allclose(likelihood.variance(eta, ONE), np.broadcast_to(law.var(), x.shape), rtol=1e-10)
    energy, constant = likelihood.parts(eta, x, ONE)
    assert_allclose(constant - energy.flatten(), law.logpdf(x.numpy()).sum((1, 2, 3)), rtol=1e-10)


def test_a_value_depends_on_all_outputs_of_its_image_and_on_no_other_value():
    eta, x = batch()
    likelihood = Gaussian(scale="decoder", per="image")
    before = likelihood.log_prob(eta, x, ONE)
    other_x, other_eta = x.clone(), eta.clone()
    other_x[0, 0, 0, 0] += 1
    other_eta[0, 1, 0, 0, 0] += 1
    assert (likelihood.log_prob(eta, other_x, ONE) != before).nonzero().tolist() == [[0, 0, 0, 0]]
    assert (likelihood.log_prob(other_eta, x, ONE) != before).flatten(1).all(1).tolist() == [True, False, False]


@pytest.mark.parametrize("family", LAWS)
def test_the_slopes_in_both_outputs_are_mpmaths(family):
    """Of ln p = ln f((x − μ)/s) − ln s with s = floor + exp(η₂), by central differences in 60 digits."""
    exact = {
        Gaussian: lambda u: -(u**2) / 2,
        Laplace: lambda u: -abs(u),
        Logistic: lambda u: -u - 2 * mp.log1p(mp.exp(-u)),
        StudentT: lambda u: -3 * mp.log1p(u**2 / 5),
    }[family]

    def log_prob(x, mu, raw):
        s = mp.mpf(1e-3) + mp.exp(raw)
        return exact((x - mu) / s) - mp.log(s)

    step = mp.mpf(10) ** -20
    for x, mu, raw in [(0.3, 0.5, -1.0), (2.0, -1.0, 3.0), (0.5, 0.50001, -9.0), (0.2, 0.9, -30.0)]:
        eta = torch.tensor([mu, raw], dtype=torch.float64).view(1, 2, 1, 1, 1).requires_grad_()
        at = torch.full((1, 1, 1, 1), x, dtype=torch.float64)
        (gradient,) = torch.autograd.grad(family(scale="decoder").log_prob(eta, at, ONE).sum(), eta)
        x, mu, raw = (mp.mpf(value) for value in (x, mu, raw))
        by_mu = (log_prob(x, mu + step, raw) - log_prob(x, mu - step, raw)) / (2 * step)
        by_raw = (log_prob(x, mu, raw + step) - log_prob(x, mu, raw - step)) / (2 * step)
        assert_allclose(gradient.flatten(), [float(by_mu), float(by_raw)], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", LAWS)
def test_everything_is_finite_at_extreme_outputs(family):
    likelihood = family(scale="decoder")
    for mu in (1e4, -1e4):
        for raw in (1e4, -1e4):
            eta = torch.tensor([mu, raw]).view(1, 2, 1, 1, 1).requires_grad_()
            log_prob = likelihood.log_prob(eta, torch.zeros(1, 1, 1, 1), ONE.float())
            (slope,) = torch.autograd.grad(log_prob.sum(), eta)
            variance, draw = likelihood.variance(eta, ONE.float()), likelihood.sample(eta, ONE.float())
            assert all(value.isfinite().all() for value in (log_prob, slope, variance, draw)), (mu, raw)


@pytest.mark.parametrize("family", LAWS)
def test_a_learned_floor_begins_where_the_fixed_one_is_and_is_learned(family):
    eta, x = batch(torch.float32)
    learned, fixed = family(scale="decoder", min_scale="learned"), family(scale="decoder")
    assert_allclose(learned.log_prob(eta, x, ONE).detach(), fixed.log_prob(eta, x, ONE), rtol=1e-5)
    assert [name for name, _ in learned.named_parameters()] == ["log_floor"] and not [*fixed.parameters()]
    assert not [*family(min_scale="learned").parameters()], "one scale for all has no floor"
    eta = torch.stack([x, torch.full_like(x, -30.0)], 1)  # all values said exactly: the floor wants to fall
    learned.log_prob(eta, x, ONE).sum().backward()
    assert learned.log_floor.grad.item() == pytest.approx(-x.numel(), rel=1e-5)


def test_the_protocol_names_the_floor():
    assert "one scale per value, from 0.001 to" in Laplace(scale="decoder").protocol
    assert "one scale per image, from a learned floor to" in Laplace("sigmoid", "decoder", "image", "learned").protocol
    assert Laplace().protocol == "nothing clipped"


@pytest.mark.parametrize("link", ["identity", "sigmoid"])
@pytest.mark.parametrize("nets", [mlp, conv])
def test_training_begins_at_the_deviation_of_all_values(link, nets):
    x = torch.rand(50, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    likelihood = Gaussian(link, "decoder")
    bias = nets((2, 8, 8), 2, 3).decoder.last_bias
    begin_at_data(likelihood, FixedDispersion(likelihood, (2, 8, 8)), bias, x)
    first, second = bias.detach().chunk(2)
    assert_allclose(second.exp(), np.full(len(second), x.numpy().std()), rtol=0.02)
    mean = x.mean(0).flatten() if nets is mlp else x.mean((0, 2, 3))
    assert_allclose(first.sigmoid() if link == "sigmoid" else first + mean, mean, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", [*LAWS, LogitNormal])
def test_a_loss_without_ln_c_which_has_no_least_value_is_refused(family):
    """The scale would grow without end, and E with it fall to 0."""
    likelihood = family(scale="decoder")
    eta, x = batch()
    x = x.sigmoid() if family is LogitNormal else x
    energies = []
    for raw in (0.0, 5.0, 10.0):
        eta[:, 1] = raw
        energies.append(likelihood.energy(eta, x, ONE).sum().item())
    assert energies[0] > energies[1] > energies[2]
    with pytest.raises(VaeklError, match=r"control=information_weight control.weight=0\.3, where"):
        FixedBeta(likelihood, SHAPE, 0.3)
    # the components' constants are part of a mixture's E
    assert FixedBeta(Mixture(likelihood.name, 2, {"scale": "decoder"}), SHAPE).dispersion.item() == 1


@pytest.mark.parametrize(
    ("family", "law"),
    [
        (Gaussian(scale="decoder"), stats.norm),
        (Laplace(scale="decoder"), stats.laplace),
        (Logistic(scale="decoder"), stats.logistic),
        (StudentT(scale="decoder", df=3), stats.t(3)),
        (StudentT(scale="decoder", df="learned"), stats.t(5)),
        (StudentT(scale="decoder", df="decoder"), stats.t(5)),
    ],
)
def test_the_scale_begins_where_the_density_has_the_variance_of_the_data(family, law):
    eta = family.first_eta(torch.tensor([3.0, -1.0]), 4.0)
    assert_allclose(eta[1].detach().exp(), [2 / law.std()] * 2, rtol=1e-6)


WORDS = (
    *("likelihood=student_t", "likelihood.df=learned", "likelihood.scale=decoder", "likelihood.min_scale=learned"),
    "model.hidden=[4]",
)


def test_a_learned_floor_and_learned_degrees_are_trained_saved_and_go_on(tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = trained(tmp_path / "whole", *WORDS, "trainer.steps=6")
    parts = trained(tmp_path / "parts", *WORDS, "trainer.steps=3")
    assert vaekl(tmp_path, "resume", str(parts), "trainer.steps=6").code == 0
    weights = [torch.load(run / "last.pt", weights_only=True)["state"]["model"] for run in (whole, parts)]
    assert all(torch.equal(weights[1][name], value) for name, value in weights[0].items())
    floor, excess = (weights[0][f"likelihood.{name}"].item() for name in ("log_floor", "log_excess"))
    # Adam's first steps are as long as its learning rate, ten times that of the networks
    for value, first in ((floor, np.log(1e-3)), (excess, np.log(5 - 2.01))):
        assert abs(value - first) == pytest.approx(6 * 1e-2, rel=0.5)
    assert results(whole)["test"] == results(parts)["test"]


@pytest.mark.parametrize("raw", [-30.0, -1.0, 0.5, 3.0, 13.0])
def test_the_slope_in_the_decoder_s_degrees_is_mpmaths(raw):
    """Of ln p with ν = 2.01 + exp(η₃), by central differences."""

    def log_prob(x, raw):
        nu, u = mp.mpf(2.01) + mp.exp(raw), x / (mp.mpf(1e-3) + 1)
        constant = mp.loggamma((nu + 1) / 2) - mp.loggamma(nu / 2) - mp.log(mp.pi * nu) / 2
        return constant - mp.log(mp.mpf(1e-3) + 1) - (nu + 1) / 2 * mp.log1p(u**2 / nu)

    for x in (0.0, 0.7, 40.0):
        eta = torch.tensor([0.0, 0.0, raw], dtype=torch.float64).view(1, 3, 1, 1, 1).requires_grad_()
        nats = StudentT(scale="decoder", df="decoder").log_prob(eta, torch.full((1, 1, 1, 1), x).double(), ONE)
        (slope,) = torch.autograd.grad(nats.sum(), eta)
        at, step = mp.mpf(torch.tensor(x).item()), mp.mpf(10) ** -20
        exact = (log_prob(at, mp.mpf(raw) + step) - log_prob(at, mp.mpf(raw) - step)) / (2 * step)
        assert nats.item() == pytest.approx(float(log_prob(at, mp.mpf(raw))), rel=1e-9)
        assert slope.flatten()[2].item() == pytest.approx(float(exact), rel=1e-7, abs=1e-11)
