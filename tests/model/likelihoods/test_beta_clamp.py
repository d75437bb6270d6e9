"""Beta's clamp: without it the density is one, and with it the protocol says that it is none."""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad

from vaekl.model.likelihoods import Beta

ONE = torch.ones(1, 1, 1)
#: α, β (mean near an end, mass at both ends, mass in the middle) and ∫ p at clamp = 1e-4 by mpmath's incomplete beta
CLAMPED = [(2.0, 1e4, 1.103657), (0.01, 0.01, 0.096963), (3.0, 5.0, 1.000000)]


def eta_of(alpha: float, beta: float) -> torch.Tensor:
    """softplus(η) + 1e-4 = α, β; float64."""
    values = torch.tensor([alpha, beta], dtype=torch.float64) - 1e-4
    return torch.where(values > 30, values, values.expm1().log()).view(1, 2, 1, 1, 1)


def density(likelihood: Beta, alpha: float, beta: float, x: float) -> float:
    point = torch.full((1, 1, 1, 1), x, dtype=torch.float64)
    return likelihood.log_prob(eta_of(alpha, beta), point, ONE.double()).exp().item()


@pytest.mark.parametrize(("alpha", "beta", "_"), CLAMPED)
def test_by_default_it_is_the_beta_density_up_to_its_ends(alpha, beta, _):
    with mpmath.workdps(40):
        for x in (1e-7, 5e-5, 1e-4, 3e-4, 0.2, 0.5, 0.9999, 1 - 2.0**-22):
            exact = (alpha - 1) * mpmath.log(x) + (beta - 1) * mpmath.log1p(-x) - mpmath.log(mpmath.beta(alpha, beta))
            point = torch.full((1, 1, 1, 1), x, dtype=torch.float64)
            nats = Beta().log_prob(eta_of(alpha, beta), point, ONE.double()).item()
            assert nats == pytest.approx(float(exact), rel=1e-9, abs=1e-9)
    assert Beta().protocol == "nothing clipped"


@pytest.mark.parametrize(("alpha", "beta", "clamped"), CLAMPED)
def test_a_clamp_takes_the_normalisation_away_and_the_protocol_says_so(alpha, beta, clamped):
    def integral(likelihood, start, end):
        """In t = ln(x/(1 − x)), where a beta density has no poles."""
        edges = np.linspace(np.log(start / (1 - start)), np.log(end / (1 - end)), 40)

        def at(t):
            x = 1 / (1 + np.exp(-t))
            return density(likelihood, alpha, beta, x) * x * (1 - x)

        return sum(quad(at, a, b, epsabs=1e-10)[0] for a, b in pairwise(edges))

    c = 1e-4
    clamp = Beta(clamp=c)
    ends = c * (density(clamp, alpha, beta, 0.0) + density(clamp, alpha, beta, 1.0))
    assert integral(clamp, c, 1 - c) + ends == pytest.approx(clamped, abs=1e-6)
    assert clamp.protocol == "x clamped to [0.0001, 1 − 0.0001], so p does not integrate to 1"
    with mpmath.workdps(40):  # what lies beyond the reach of a quadrature in float64
        tail = mpmath.betainc(alpha, beta, 0, 1e-9, regularized=True)
        tail += mpmath.betainc(alpha, beta, 1 - mpmath.mpf("1e-9"), 1, regularized=True)
    assert integral(Beta(), 1e-9, 1 - 1e-9) + float(tail) == pytest.approx(1, abs=1e-6)


def test_beta_clamp_moves_x_and_stops_its_gradient():
    likelihood = Beta(clamp=0.01)
    x = torch.tensor([0.0, 0.005, 0.02, 0.98, 1.0]).view(-1, 1, 1, 1).requires_grad_()
    inside = torch.tensor([0.01, 0.01, 0.02, 0.98, 0.99]).view(-1, 1, 1, 1)
    eta = torch.tensor([0.3, 1.1]).view(1, 2, 1, 1, 1).expand(5, 2, 1, 1, 1).clone().requires_grad_()
    log_prob = likelihood.log_prob(eta, x, ONE)
    assert torch.equal(log_prob, Beta().log_prob(eta, inside, ONE))
    log_prob.sum().backward()
    assert (x.grad.flatten() != 0).tolist() == [False, False, True, True, False]
    assert (eta.grad != 0).all()


@pytest.mark.parametrize("clamp", [1e-7, 1e-4])
def test_beta_is_finite_at_the_ends_in_float32(clamp):
    x = torch.tensor([0.0, 1.0]).view(-1, 1, 1, 1)
    assert Beta(clamp=clamp).log_prob(torch.zeros(2, 2, 1, 1, 1), x, ONE).isfinite().all()
