"""Families whose E has φ in it: the best φ is no mean of energies, and is that of SciPy's maximum likelihood."""

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from torch.nn.functional import softplus

from vaekl.model.beginning import begin_at_data
from vaekl.model.ledger import ElboTerms, PosteriorSample
from vaekl.model.likelihoods import Logistic, Mixture, StudentT
from vaekl.model.weighting import FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision
from vaekl.model.weighting.fitted import best_dispersion

SHAPE = (2, 3, 4)
#: name -> (family, log-density of x − μ at φ)
FAMILIES = {
    "logistic": (Logistic(), lambda off, phi: stats.logistic(0, phi).logpdf(off)),
    "student_t": (StudentT(df=3), lambda off, phi: stats.t(3, 0, np.sqrt(phi)).logpdf(off)),
}
every_family = pytest.mark.parametrize("name", FAMILIES)


def images(size, count=400):
    """Values with lighter tails in one channel than in the other, and a location for each value."""
    draw = np.random.default_rng(5)
    off = np.concatenate([draw.normal(size=(count, 1, 3, 4)), 0.2 * draw.laplace(size=(count, 1, 3, 4))], 1) * size
    return torch.tensor(off, dtype=torch.float32)


def best(name, off):
    """The φ at which `off` is most probable."""
    logpdf, size = FAMILIES[name][1], np.log(np.abs(off).mean())
    return np.exp(
        optimize.minimize_scalar(
            lambda log_phi: -logpdf(off, np.exp(log_phi)).mean(),
            bounds=(3 * min(size, 0) - 5, 3 * max(size, 0) + 5),
            method="bounded",
            options={"xatol": 1e-9},
        ).x
    )


@every_family
@pytest.mark.parametrize("size", [1e-3, 1.0, 300.0])
def test_the_solved_phi_is_that_of_maximum_likelihood(name, size):
    """After some batches; of the first one, from φ = 1, it is near."""
    family, x = FAMILIES[name][0], images(size)
    eta = torch.zeros(len(x), 1, *SHAPE)
    for per, parts in (("scalar", [x]), ("channel", x.split(1, 1))):
        weighting = OptimalPrecision(family, SHAPE, per).train()
        exact = [best(name, part.double().numpy()) for part in parts]
        weighting.observe(eta, x)
        np.testing.assert_allclose(weighting.dispersion.flatten(), exact, rtol=0.02)
        for _ in range(2):
            weighting.observe(eta, x)
        np.testing.assert_allclose(weighting.dispersion.flatten(), exact, rtol=1e-5)


@pytest.mark.parametrize("start", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_the_search_comes_from_far_to_the_phi_of_maximum_likelihood(size, start):
    """Student's t with next to no variance, on values of heavy and of light tails; mixtures of Laplace densities."""
    draw = np.random.default_rng(0)
    for off in (draw.normal(size=(300, 1)), draw.standard_cauchy((300, 1)), draw.uniform(-1, 1, (300, 1))):
        x = torch.tensor(off * size, dtype=torch.float32)
        for family in (StudentT(df=2.05), Mixture("laplace", 2)):
            eta = torch.linspace(-size, size, family.outputs).view(1, -1, 1).expand(300, -1, -1)
            solved = best_dispersion(family, eta, x, torch.tensor([start]))
            around = solved.double() * torch.tensor([[0.999], [1.0], [1.001]])
            nats = [family.log_prob(eta.double(), x.double(), phi).sum().item() for phi in around]
            assert nats[1] > max(nats[0], nats[2]), (family.name, solved.item())


@every_family
def test_training_begins_at_the_phi_of_what_the_mean_leaves(name):
    family, x = FAMILIES[name][0], images(30.0) + 7
    weighting = LearnedPrecision(family, SHAPE)
    begin_at_data(family, weighting, None, x)
    off = x.double().numpy() - x.double().numpy().mean(0)
    assert weighting.dispersion.item() == pytest.approx(best(name, off), rel=0.01)


def terms(family, x, phi):
    """The ledger of a decoder that says 0, without latents."""
    energy, constant = family.parts(torch.zeros(len(x), 1, *SHAPE), x, phi)
    return ElboTerms(energy, constant, torch.zeros(len(x), 1), phi, PosteriorSample(*[torch.zeros(len(x), 1)] * 4))


@every_family
def test_the_learned_phi_comes_to_the_same(name):
    family, x = FAMILIES[name][0], images(1.0)
    weighting = LearnedPrecision(family, SHAPE, "channel")
    optimizer = torch.optim.Adam(weighting.parameters(), 0.1)
    for step in range(150):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 150)
        optimizer.zero_grad()
        weighting.loss(terms(family, x, weighting.dispersion), 1.0).backward()
        optimizer.step()
    exact = [best(name, part.double().numpy()) for part in x.split(1, 1)]
    np.testing.assert_allclose(weighting.dispersion.detach().flatten(), exact, rtol=1e-3)


@every_family
def test_a_tuned_weight_is_the_elbo_at_that_phi_times_phi(name):
    """E + β·KL = β(−ELBO + ln C) at φ = β, with E at that φ."""
    family, x, beta = FAMILIES[name][0], images(1.0), 0.3
    weighting = FixedBeta(family, SHAPE, beta)
    ledger = terms(family, x, weighting.dispersion)
    exact = FAMILIES[name][1](x.double().numpy(), beta).sum((1, 2, 3)).mean()
    ln_c = FAMILIES[name][1](0.0, beta) * x[0].numel()  # E is 0 at μ
    assert weighting.loss(ledger, 1.0).item() == pytest.approx(beta * (ln_c - exact), rel=1e-5)
    same = FixedDispersion(family, SHAPE, beta).loss(ledger, 1.0).item()
    assert same == pytest.approx(-exact, rel=1e-5)


def test_the_log_cosh_loss_is_that_of_a_logistic():
    """As PyTorch-VAE writes it, α(x − x̂) + ln(1 + e^(−2α(x − x̂))) − ln 2, summed."""
    x, alpha = images(1.0), 10.0
    off = x.double()
    typed = (alpha * off + softplus(-2 * alpha * off) - np.log(2)).flatten(1).sum(1).mean().item() / alpha
    weighting = FixedBeta(Logistic(), SHAPE, 1 / (2 * alpha))
    assert weighting.loss(terms(Logistic(), x, weighting.dispersion), 1.0).item() == pytest.approx(typed, rel=1e-5)
