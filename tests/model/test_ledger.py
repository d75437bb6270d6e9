"""The ledger, by hand and against torch.distributions."""

import numpy as np
import pytest
import torch
from helpers import grey, model_of, spec_of
from scipy import integrate, stats
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from vaekl.model.ledger import ElboTerms, PosteriorSample, gaussian_kl
from vaekl.model.likelihoods import Gaussian
from vaekl.model.weighting import FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision
from vaekl.training.schedules import LinearSchedule


def test_gaussian_kl_is_that_of_torch_distributions():
    mean = torch.linspace(-30, 30, 13).double().view(-1, 1)
    log_std = torch.linspace(-12, 4, 17).double()
    expected = kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0))
    assert_close(gaussian_kl(mean, log_std), expected, rtol=1e-12, atol=1e-12)


def test_gaussian_kl_is_the_integral_of_q_ln_q_over_p():
    mean, std = 0.7, 0.3
    z = np.linspace(mean - 12 * std, mean + 12 * std, 20001)
    q, p = stats.norm(mean, std), stats.norm()
    expected = integrate.trapezoid(q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), z)
    kl = gaussian_kl(torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64).log())
    assert kl.item() == pytest.approx(expected, rel=1e-9)


def test_gaussian_kl_is_zero_only_at_the_prior():
    assert gaussian_kl(torch.zeros(1), torch.zeros(1)).item() == 0
    assert (gaussian_kl(torch.tensor([0.0, 0.1, 0.0]), torch.tensor([0.1, 0.0, -0.1])) > 0).all()


#: φ, E as the ledger keeps it for one image, Σ E/φ, Σ E, all by hand
BY_HAND = {
    "scalar": ([[[0.5]]], [[[6.0]]], 12.0, 6.0),
    "channel": ([[[0.5]], [[2.0]]], [[[6.0]], [[8.0]]], 16.0, 14.0),
    "pixel": ([[[0.5, 2.0]], [[1.0, 4.0]]], [[[6.0, 8.0]], [[3.0, 10.0]]], 21.5, 27.0),
}


@pytest.mark.parametrize("per", BY_HAND)
def test_the_arithmetic_of_the_ledger(per):
    dispersion, energy, energy_nats, total_energy = BY_HAND[per]
    energy = torch.tensor([energy, energy]) * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    terms = ElboTerms(
        energy=energy,
        log_norm_const=torch.tensor([-1.5, 4.0]),
        kl=torch.tensor([[0.25, 0.5, 1.0], [2.0, 0.0, 0.5]]),
        dispersion=torch.tensor(dispersion),
        posterior=PosteriorSample(*[torch.zeros(2, 3)] * 4),
    )
    assert terms.energy_nats.tolist() == [energy_nats, 3 * energy_nats]
    assert terms.total_energy.tolist() == [total_energy, 3 * total_energy]
    assert terms.total_kl.tolist() == [1.75, 2.5]
    assert terms.elbo.tolist() == [-energy_nats - 1.5 - 1.75, -3 * energy_nats + 4.0 - 2.5]


WEIGHTINGS = {
    "fixed_beta": lambda likelihood, shape: FixedBeta(likelihood, shape, 0.3),
    "fixed_dispersion": lambda likelihood, shape: FixedDispersion(likelihood, shape, 0.3),
    "learned_precision": lambda likelihood, shape: LearnedPrecision(likelihood, shape, "pixel", 0.3),
    "optimal_precision": lambda likelihood, shape: OptimalPrecision(likelihood, shape, "channel"),
}


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("schedule", [0.0, 0.5, 1.0])
def test_the_reported_elbo_is_the_implied_density_s_whatever_was_minimised(name, schedule):
    """Against scipy's normal density and torch's KL: no weight, no schedule."""
    x = grey(6, (3, 2, 2)).double()
    likelihood = Gaussian()
    model = model_of(spec_of(x), likelihood, WEIGHTINGS[name](likelihood, (3, 2, 2))).train()
    noise = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    terms, eta = model.terms(x.float(), noise)
    loss = model.weighting.loss(terms, schedule)

    mean, log_std = model.encode(x.float())
    kl = kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0)).sum(1)
    sigma = terms.dispersion.detach().double().sqrt().expand(3, 2, 2).numpy()
    log_prob = stats.norm(eta[:, 0].detach().double().numpy(), sigma).logpdf(x.numpy()).sum((1, 2, 3))
    assert_close(terms.elbo.detach().double(), torch.tensor(log_prob) - kl.detach().double(), rtol=1e-5, atol=1e-4)

    weight = schedule * (0.3 if name == "fixed_beta" else 1.0)
    objective = terms.total_energy if name == "fixed_beta" else -torch.tensor(log_prob)
    assert_close(loss.double(), (objective + weight * kl).mean().double(), rtol=1e-5, atol=1e-4, check_dtype=False)


def test_a_schedule_moves_the_loss_and_not_the_elbo():
    x = grey(6)
    model = model_of(spec_of(x))
    terms = model(x, torch.zeros(6, 3))
    schedule = LinearSchedule(10, steps=4)
    losses = [model.weighting.loss(terms, schedule(step)).item() for step in range(10)]
    # φ = 1, so the loss is −ELBO short of (1 − schedule) of the KL
    short = [-(terms.elbo.mean() + (1 - s) * terms.total_kl.mean()).item() for s in (0, 0.25, 0.5, 0.75, 1)]
    assert losses == pytest.approx(short + [short[-1]] * 5, rel=1e-6)
    assert losses[0] < losses[-1]
