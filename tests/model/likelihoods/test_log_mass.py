"""The mass of a bin, in logarithms, beside what mpmath says of it in 60 digits."""

from itertools import product

import mpmath as mp
import numpy as np
import pytest
import torch
from exact_laws import beta_eta
from exact_masses import (
    beta_mass,
    beta_parameters,
    cb_mass,
)
from mass_cases import FAMILIES, Family
from numpy.testing import assert_allclose
from scipy import stats

from vaekl.model.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    ContinuousBernoulli,
    Gaussian,
    Laplace,
    Likelihood,
    Logistic,
    StudentT,
)

INF = float("inf")


def as_float32(eta, phi):
    return tuple(np.float32(eta).tolist()), float(np.float32(phi))


def marks(name, index):
    """Most series of a beta's or a t's mass, a second each, and most of the other points are left to nightly."""
    by_day = {"beta": 5, "student_t": 5}.get(name, 2 if name in ("gaussian", "laplace", "cb") else 4)
    return [pytest.mark.nightly] if index % by_day else []


POINTS = [
    pytest.param(family, *as_float32(*point), id=f"{name}{index}", marks=marks(name, index))
    for name, family in FAMILIES.items()
    for index, point in enumerate(family.points)
]
every_point = pytest.mark.parametrize(("family", "eta", "phi"), POINTS)


def bins(levels, scaled=False):
    """All bins of a ruler: of (k + U)/levels, or of k/(levels − 1) when scaled; the end bins take the tails."""
    k = torch.arange(levels).double()
    inner = (k[1:] - 0.5) / (levels - 1) if scaled else k[1:] / levels
    return torch.cat([torch.tensor([-INF]), inner]).double(), torch.cat([inner, torch.tensor([INF])]).double()


RULERS = [bins(256), bins(17), bins(256, scaled=True)]


@every_point
def test_log_mass_is_mpmaths(family, eta, phi):
    """At both ends, in the middle, at the mode and beside it."""
    for lower, upper in RULERS[:2]:
        levels, single = len(lower), torch.tensor(eta)
        everywhere = family.log_mass(single, torch.tensor(phi), lower, upper)
        mode = everywhere.argmax().item()
        some = {0, 1, levels // 2, levels - 1, *(min(max(mode + d, 0), levels - 1) for d in (-1, 0, 1))}
        exact = [float(family.exact(eta, phi, lower[k].item(), upper[k].item())) for k in sorted(some)]
        assert everywhere.dtype == torch.float32
        assert_allclose(everywhere[sorted(some)], exact, rtol=2e-7, atol=2e-8)
        in_float64 = family.log_mass(single.double(), torch.tensor(phi).double(), lower, upper)
        assert_allclose(in_float64[sorted(some)], exact, rtol=1e-8, atol=1e-8)


@every_point
def test_all_levels_together_have_mass_one_and_finite_gradients(family, eta, phi):
    for lower, upper in RULERS:
        leaf, dispersion = torch.tensor(eta).requires_grad_(), torch.tensor(phi).requires_grad_()
        each = leaf.expand(len(lower), len(eta))
        nats = family.log_mass(each, dispersion, lower, upper)
        assert nats.isfinite().all()
        mass = nats.detach().double().exp()
        assert mass.sum().item() == pytest.approx(1, abs=1e-6)
        slopes, dispersion_slope = torch.autograd.grad(nats.sum(), (each, dispersion))
        assert slopes.isfinite().all() and dispersion_slope.isfinite()
        # Σ mass = 1 has no slope
        flows = mass.unsqueeze(1) * slopes.double()
        assert (flows.sum(0).abs() <= 1e-6 * flows.abs().sum(0) + 1e-8).all()


GRADIENTS = {
    "gaussian": [((0.3,), 0.04), ((0.5,), 1e-3), ((1.7,), 1.0), ((-40.0,), 1e4), ((250.0,), 1e-6)],
    "laplace": [((0.0,), 0.02), ((0.3,), 1e-3), ((1.7,), 1.0), ((-40.0,), 100.0)],
    "logistic": [((0.0,), 0.02), ((0.3,), 1e-3), ((1.7,), 1.0), ((-40.0,), 100.0)],
    "student_t": [((0.3,), 0.04), ((0.5,), 1e-3), ((-40.0,), 1.0)],
    "gaussian, scale by decoder": [((0.3, -1.0), 1.0), ((1.7, -6.0), 1.0)],
    "laplace, scale by decoder": [((0.3, -1.0), 1.0), ((1.7, -6.0), 1.0)],
    "truncated_gaussian": [((0.3,), 0.04), ((0.5,), 1e-3), ((1.7,), 1.0), ((-40.0,), 0.01), ((-40.0,), 1e4)],
    "censored_gaussian": [((0.3,), 0.04), ((1.7,), 1.0), ((-40.0,), 0.01)],
    "logit_normal": [((0.3,), 0.04), ((-4.0,), 1.0), ((12.0,), 100.0)],
    "cb": [((0.0,), 1.0), ((1e-4,), 1.0), ((-1.9999,), 1.0), ((200.0,), 1.0), ((3.0,), 0.01)],
    "beta": [
        (beta_eta(alpha, beta), phi)
        for alpha, beta, phi in [
            (0.05, 0.05, 1),
            (0.05, 1000, 1),
            (1000, 1000, 1),
            (1, 2.5, 1),
            (30, 0.4, 3),
            (5, 3, 0.1),
        ]
    ],
}


@pytest.mark.parametrize(("name", "eta", "phi"), [(name, *point) for name in GRADIENTS for point in GRADIENTS[name]])
def test_gradients_are_mpmaths(name, eta, phi):
    family, step = FAMILIES[name], mp.mpf(10) ** -20
    leaf = torch.tensor([*eta, phi], dtype=torch.float64, requires_grad=True)
    for k in (0, 1, 5, 8, 16):
        lower, upper = (edge[k : k + 1] for edge in RULERS[1])
        (gradient,) = torch.autograd.grad(family.log_mass(leaf[:-1], leaf[-1], lower, upper).sum(), leaf)
        slopes = []
        for i in range(len(leaf)):
            moved = [[mp.mpf(v) + sign * step * (j == i) for j, v in enumerate([*eta, phi])] for sign in (1, -1)]
            above, below = (family.exact(values[:-1], values[-1], lower.item(), upper.item()) for values in moved)
            slopes.append(float((above - below) / (2 * step)))
        assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-8, err_msg=f"bin {k}")


def test_the_reference_for_beta_is_scipys():
    for alpha, beta in [(0.05, 2.5), (30, 1000), (1, 0.4)]:
        eta = beta_eta(alpha, beta)
        law = stats.beta(*(float(value) for value in beta_parameters(eta, 1)))
        for lower, upper in [(0, 0.03), (0.02, 0.05), (0.75, 1)]:
            exact = float(beta_mass(eta, mp.mpf(1), mp.mpf(lower), mp.mpf(upper)))
            assert exact == pytest.approx(law.cdf(upper) - law.cdf(lower), rel=1e-9, abs=1e-14)


def test_edges_beyond_the_unit_interval_are_its_ends():
    one = torch.tensor(1.0)
    for family in (FAMILIES[name] for name in ("cb", "beta", "truncated_gaussian", "logit_normal")):
        eta = torch.tensor([0.3, -0.4])[: family.likelihood.outputs]
        lower, upper = torch.tensor([-INF, -3.0, 0.0]).double(), torch.full((3,), 0.25).double()
        assert family.log_mass(eta, one, lower, upper).unique().numel() == 1
        assert (family.log_mass(eta, one, lower, upper + 2) == 0).all()


def test_the_bins_of_a_law_with_probabilities_at_the_ends():
    """P(lower < X ≤ upper): 0 is in no bin that begins there, and 1 in each that ends there."""
    eta, one = torch.tensor([0.25]).double(), torch.tensor(1.0).double()
    edges = torch.tensor([-INF, -0.5, 0.0, 0.375, 1.0, INF]).double()
    law = stats.norm(0.25, 1)
    mass = FAMILIES["censored_gaussian"].log_mass(eta, one, edges[:-1], edges[1:]).exp()
    exact = [0, law.cdf(0), law.cdf(0.375) - law.cdf(0), law.sf(0.375), 0]
    assert_allclose(mass, exact, rtol=1e-12)


def test_max_logit_clips_the_mass_as_it_clips_the_density():
    lower, upper = RULERS[1]
    clipped = Family(ContinuousBernoulli(max_logit=9.21), [], cb_mass)
    nats = clipped.log_mass(torch.tensor([1600.0]).double(), torch.tensor(2.0), lower, upper)
    exact = [float(clipped.exact((9.21,), 2.0, lower[k].item(), upper[k].item())) for k in range(17)]
    assert_allclose(nats, exact, rtol=1e-12)


@pytest.mark.parametrize("link", ["identity", "sigmoid"])
def test_the_link_leads_to_the_location(link):
    eta = torch.tensor([-0.7]).double()
    location = eta.sigmoid() if link == "sigmoid" else eta
    for family in (Gaussian, Laplace, Logistic, StudentT):
        linked, plain = (Family(family(name), [], None) for name in (link, "identity"))
        phi = torch.tensor(0.1).double()
        assert_allclose(linked.log_mass(eta, phi, *RULERS[1]), plain.log_mass(location, phi, *RULERS[1]))


EXTREMES = {
    **{name: [1e15, -1e10] for name in ("gaussian", "laplace", "logistic", "student_t")},
    **{name: [1e10, -1e10] for name in ("gaussian, scale by decoder", "laplace, scale by decoder")},
    "truncated_gaussian": [1e4, -1e4],
    "censored_gaussian": [1e15, -1e10],
    "logit_normal": [1e15, -1e10],
    "cb": [1e4, -3e38],
    "beta": [1e4, -1e4],
}


@pytest.mark.parametrize("name", FAMILIES)
def test_extreme_outputs_have_finite_masses_and_gradients(name):
    family = FAMILIES[name]
    for eta in product(EXTREMES[name], repeat=family.likelihood.outputs):
        leaf, dispersion = torch.tensor([*eta, 1.0]).requires_grad_(), torch.tensor(1.0)
        nats = family.log_mass(leaf[:-1].expand(17, -1), dispersion, *RULERS[1])
        (slope,) = torch.autograd.grad(nats.sum(), leaf)
        assert nats.isfinite().all() and slope.isfinite().all(), eta
        assert nats.exp().sum().item() == pytest.approx(1, abs=1e-6), eta


@pytest.mark.parametrize("name", FAMILIES)
def test_shapes_broadcast_and_half_precision_becomes_float32(name):
    likelihood = FAMILIES[name].likelihood
    torch.manual_seed(0)
    eta = torch.randn(4, likelihood.outputs, 3, 2, 2).to(torch.bfloat16)
    lower, phi = torch.randint(0, 17, (4, 3, 2, 2)).double() / 17, 1 + torch.rand(3, 1, 1)
    together = likelihood.log_mass(eta, lower, lower + 1 / 17, phi)
    assert together.shape == (4, 3, 2, 2) and together.dtype == torch.float32
    for b, c, i, j in np.ndindex(4, 3, 2, 2):
        edges = (lower[b, c, i, j].view(1, 1, 1, 1) + step for step in (0, 1 / 17))
        alone = likelihood.log_mass(eta[b, :, c, i, j].view(1, -1, 1, 1, 1), *edges, phi[c].view(1, 1, 1))
        assert_allclose(together[b, c, i, j], alone.item(), rtol=1e-6)


def test_who_has_a_log_mass():
    assert all(family.likelihood.has_log_mass for family in FAMILIES.values())
    assert Bernoulli().has_log_mass and Categorical(3).has_log_mass
    without = type("Without", (Gaussian,), {"name": "without", "log_mass": Likelihood.log_mass})()
    assert not without.has_log_mass
    with pytest.raises(NotImplementedError, match="likelihood=without has no log_mass"):
        without.log_mass(*[torch.zeros(1, 1, 1, 1)] * 4)


def test_the_mass_of_a_t_whose_degrees_are_learned_or_the_decoder_s():
    """It is that of the same number, and has no gradient in ν rather than a wrong one."""
    lower, upper = RULERS[1]
    fixed, learned, decoder = (
        Family(StudentT(**options), [], None)
        for options in ({"df": 4.01, "scale": "decoder"}, {"df": "learned"}, {"df": "decoder", "scale": "decoder"})
    )
    one, log_two = torch.tensor(1.0), float(np.log(2))
    eta = torch.tensor([0.3, -1.0, log_two], dtype=torch.float64)
    exact = fixed.log_mass(eta[:2], one, lower, upper)
    nats = decoder.log_mass(eta.requires_grad_(), one, lower, upper)
    assert_allclose(nats.detach(), exact, rtol=1e-12)
    scale = torch.tensor(1e-3 + np.exp(-1.0)) ** 2
    learned.likelihood.log_excess.data.fill_(log_two)
    assert_allclose(learned.log_mass(eta[:1].detach(), scale, lower, upper).detach(), exact, rtol=1e-6)
    with pytest.raises(NotImplementedError, match="no gradient in ν"):
        nats.sum().backward()


@pytest.mark.parametrize("alpha", [0.05, 0.5, 3, 500])
def test_the_mass_of_a_wide_bin_of_a_beta_is_scipys(alpha):
    """With the peak inside and slow falls to both sides, as in the bins of Student's t around 0."""
    for beta in (0.5, 2.5, 30):
        law, family = stats.beta(alpha, beta), Family(Beta(), [], None)
        eta = torch.tensor(beta_eta(alpha, beta), dtype=torch.float64)
        edges = law.ppf([1e-4, 0.01, 0.5, 0.99, 1 - 1e-7])
        for lower, upper in ((-INF, edges[3]), (-INF, edges[4]), (edges[0], INF), (edges[0], edges[4])):
            exact = (law.cdf(upper) - law.cdf(lower)) if upper < INF else law.sf(lower)
            nats = family.log_mass(eta, torch.tensor(1.0), *(torch.tensor([edge]).double() for edge in (lower, upper)))
            assert nats.exp().item() == pytest.approx(exact, rel=1e-5), (beta, lower, upper)
