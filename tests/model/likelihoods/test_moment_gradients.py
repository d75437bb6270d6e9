"""The gradients of mean and variance where these are integrals, beside those of mpmath and SciPy."""

import mpmath as mp
import pytest
import torch
from exact_laws import CensoredByMpmath
from scipy import stats
from scipy.integrate import quad
from scipy.special import expit
from torch.testing import assert_close

from vaekl.model.likelihoods import CensoredGaussian, LogitNormal, TruncatedGaussian


def exact_moments(mu, phi):
    """Mean and variance on [0, 1] in closed form; the mass by the upper tail where both ends are in it."""
    sigma = mp.sqrt(phi)
    below, above = -mu / sigma, (1 - mu) / sigma
    if below > 0:
        total = (mp.erfc(below / mp.sqrt(2)) - mp.erfc(above / mp.sqrt(2))) / 2
    else:
        total = mp.ncdf(above) - mp.ncdf(below)
    at_below, at_above = mp.npdf(below), mp.npdf(above)
    off = (at_below - at_above) / total
    return mu + sigma * off, phi * (1 + (below * at_below - above * at_above) / total - off**2)


#: μ and φ: narrow and wide, with the mean inside and far outside
POINTS = [(0.4, 0.04), (0.999, 1e-6), (-0.5, 0.16), (1.7, 1.0), (-40.0, 0.02), (40.0, 1e2)]


@pytest.mark.parametrize(
    ("mu", "phi", "dtype", "rtol"),
    [(*point, torch.float64, 1e-9) for point in (*POINTS, (0.3, 1e4))]
    # of a third central moment that is nearly 0, as at φ = 1e4, float32 keeps few digits
    + [(*point, torch.float32, 1e-4) for point in POINTS],
)
def test_those_of_a_truncated_gaussian(mu, phi, dtype, rtol):
    eta = torch.full((2, 1, 3), mu, dtype=dtype, requires_grad=True)
    dispersion = torch.tensor(phi, dtype=dtype, requires_grad=True)
    at = [mp.mpf(value.flatten()[0].item()) for value in (eta.detach(), dispersion.detach())]
    for index, method in enumerate((TruncatedGaussian().mean, TruncatedGaussian().variance)):
        slopes = torch.autograd.grad(method(eta, dispersion).sum(), (eta, dispersion))
        with mp.workdps(80):
            to_mu, to_phi = (
                float(mp.diff(lambda *values, k=index: exact_moments(*values)[k], at, order))
                for order in ((1, 0), (0, 1))
            )
        # φ is that of all six values
        exact = torch.full_like(eta, to_mu), torch.full_like(dispersion, 6 * to_phi)
        assert_close(slopes, exact, rtol=rtol, atol=0)


@pytest.mark.parametrize(("mu", "sigma"), [(0.4, 0.2), (1.7, 1.0), pytest.param(-0.5, 0.3, marks=pytest.mark.nightly)])
def test_those_of_a_censored_gaussian(mu, sigma):
    eta = torch.full((1, 1, 1), mu, dtype=torch.float64, requires_grad=True)
    dispersion = torch.tensor(sigma**2, dtype=torch.float64, requires_grad=True)
    step = 1e-5
    for index, method in enumerate((CensoredGaussian().mean, CensoredGaussian().variance)):
        to_mu, to_phi = torch.autograd.grad(method(eta, dispersion).sum(), (eta, dispersion))
        for slope, change, unit in ((to_mu, (step, 0), 1), (to_phi, (0, step), 2 * sigma)):
            above, below = (CensoredByMpmath(mu + s * change[0], sigma + s * change[1]) for s in (1, -1))
            exact = (above.moments()[index] - below.moments()[index]) / (2 * step * unit)
            assert slope.item() == pytest.approx(exact, rel=1e-6)


def slopes_of_logit_normal(mu, sigma):
    """In μ and σ, of mean and variance: E[h(s(y))] is h(0) + the integral of h'(s(l)) s'(l) Φ((μ − l)/σ) over l."""

    def slopes(weight):
        def integral(factor):
            def density(level):
                z = (mu - level) / sigma
                return weight(expit(level)) * stats.logistic.pdf(level) * stats.norm.pdf(z) / sigma * factor(z)

            return quad(density, -40, 40, points=[mu], epsabs=1e-14, epsrel=1e-10, limit=200)[0]

        return integral(lambda z: 1.0), integral(lambda z: -z)

    mean = stats.logistic.expect(lambda level: stats.norm.cdf((mu - level) / sigma))
    of_mean, of_square = slopes(lambda s: 1.0), slopes(lambda s: 2 * s)
    return of_mean, tuple(square - 2 * mean * first for first, square in zip(of_mean, of_square, strict=True))


@pytest.mark.parametrize(("mu", "sigma"), [(0.3, 0.5), (0.3, 20.0), (-2.0, 200.0)])
def test_those_of_a_logit_normal(mu, sigma):
    exact = slopes_of_logit_normal(mu, sigma)
    for dtype, rtol in ((torch.float64, 1e-7), (torch.float32, 2e-4)):
        eta = torch.full((1, 1, 1), mu, dtype=dtype, requires_grad=True)
        scale = torch.tensor(sigma, dtype=dtype, requires_grad=True)
        for method, right in zip((LogitNormal().mean, LogitNormal().variance), exact, strict=True):
            slopes = torch.autograd.grad(method(eta, scale.square()).sum(), (eta, scale))
            assert [slope.item() for slope in slopes] == pytest.approx(list(right), rel=rtol, abs=1e-9)
