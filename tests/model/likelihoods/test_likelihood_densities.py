"""Every family is the density that it says it is: one suite over one table."""

import numpy as np
import pytest
import torch
from exact_laws import beta_eta
from likelihood_cases import CASES, EXACT, Case, p_value
from numpy.testing import assert_allclose

from vaekl.model.likelihoods import Bernoulli, Categorical, ContinuousBernoulli, Gaussian

#: families of which every case is tried by day; of the others every second
EVERY_DAY = {"gaussian", "laplace", "bernoulli", "cb", "beta", "categorical"}
every_case = pytest.mark.parametrize(
    "case",
    [
        case if turn % 2 == 0 or case.family in EVERY_DAY else pytest.param(case, marks=pytest.mark.nightly)
        for turn, case in enumerate(CASES)
    ],
    ids=str,
)
every_family = pytest.mark.parametrize("family", EXACT)


def ask(case, method, x=None):
    """The method's answer for each value of x, in float64."""
    count = 1 if x is None else len(x)
    eta, phi = case.tensors(count)
    arguments = {"energy": (x, phi), "log_prob": (x, phi)}.get(method, (phi,))
    arguments = [v.view(-1, 1, 1, 1) if v is x and x is not None else v for v in arguments]
    answer = getattr(case.likelihood, method)(eta, *arguments)
    assert answer.shape == (count, 1, 1, 1)
    return answer.flatten().numpy()


@every_case
def test_total_probability_is_one(case):
    x, weight = case.measure()
    assert_allclose((weight.numpy() * np.exp(ask(case, "log_prob", x))).sum(), 1, atol=1e-6)


@every_case
def test_log_prob_is_the_exact_one(case):
    x = case.points()
    assert_allclose(ask(case, "log_prob", x), case.exact.logpdf(x.numpy()), rtol=1e-9, atol=1e-9)


@every_case
def test_energy_is_minus_the_untempered_log_prob_up_to_a_constant(case):
    """Where E has φ in it, it is φ times that of the density at φ."""
    x = case.points()
    phi = case.phi if case.likelihood.energy_depends_on_dispersion else 1.0
    energy, exact = ask(case, "energy", x), phi * Case(case.family, case.eta, phi).exact.logpdf(x.numpy())
    assert_allclose(energy - energy[0], exact[0] - exact, rtol=1e-9, atol=1e-9)
    if case.discrete:
        assert_allclose(energy, -exact, rtol=1e-12, atol=1e-15)


@every_case
def test_mean_and_variance_are_the_exact_ones(case):
    assert_allclose(ask(case, "mean"), case.exact.mean(), rtol=1e-12, atol=1e-300)
    assert_allclose(ask(case, "variance"), case.exact.var(), rtol=1e-10, atol=1e-300)


@every_case
def test_draws_fit_the_law(case):
    eta, phi = case.tensors(2000)
    draws = case.likelihood.sample(eta, phi, torch.Generator().manual_seed(20))
    case.likelihood.check_support(draws)
    assert draws.shape == (2000, 1, 1, 1) and p_value(case.exact, draws) > 1e-3


def test_the_fit_refuses_a_law_that_is_a_little_off():
    for family in ("cb", "bernoulli"):
        case = Case(family, (1.0,), 1.0)
        draws = case.likelihood.sample(*case.tensors(4000), torch.Generator().manual_seed(20))
        assert p_value(case.exact, draws) > 1e-3 > p_value(Case(family, (0.7,), 1.0).exact, draws)


@every_family
def test_draws_come_from_the_generator_alone(family):
    case = next(case for case in reversed(CASES) if case.family == family and case.phi in (1, 4))
    eta, phi = case.tensors(50)
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second, third = (case.likelihood.sample(eta, phi, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, second) and not torch.equal(first, third)
    assert torch.equal(torch.get_rng_state(), before[0]) and (np.random.get_state()[1] == before[1]).all()
    assert not torch.equal(case.likelihood.sample(eta, phi), case.likelihood.sample(eta, phi))


def test_beta_is_symmetric():
    for alpha, beta in [(0.1, 0.01), (0.5, 900), (3, 1)]:
        x = torch.tensor([0.25, 0.5, 0.875]).double()
        here, there = (Case("beta", beta_eta(*pair), 1.3) for pair in ((alpha, beta), (beta, alpha)))
        assert_allclose(ask(here, "log_prob", x), ask(there, "log_prob", 1 - x), rtol=1e-12)


SHAPES = {"scalar": (1, 1, 1), "per channel": (3, 1, 1), "per pixel": (3, 2, 2)}


@every_family
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_dispersion_broadcasts_as_its_scalars_do(family, shape):
    likelihood, _ = EXACT[family]
    torch.manual_seed(0)
    eta = torch.randn(4, likelihood.outputs, 3, 2, 2).double()
    x = torch.randint(0, 2, (4, 3, 2, 2)).double() if likelihood.discrete else torch.rand(4, 3, 2, 2)
    phi = 1 + torch.rand(shape).double()
    methods = {
        "log_norm_const": lambda p: likelihood.log_norm_const(eta, p),
        "log_prob": lambda p: likelihood.log_prob(eta, x.double(), p),
        "mean": lambda p: likelihood.mean(eta, p),
        "variance": lambda p: likelihood.variance(eta, p),
    }
    for name, method in methods.items():
        together, each = method(phi), phi.expand(3, 2, 2)
        assert together.shape == (4, 3, 2, 2), name
        for c, i, j in np.ndindex(3, 2, 2):
            alone = method(each[c, i, j].view(1, 1, 1))
            assert_allclose(together[:, c, i, j], alone[:, c, i, j], rtol=1e-13, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("family", sorted({case.family for case in CASES if case.phi == 4}))
def test_draws_follow_the_dispersion_of_their_own_channel(family):
    cases = [next(c for c in reversed(CASES) if c.family == family and c.phi == phi) for phi in (1.0, 4.0)]
    eta = cases[0].tensors(4000)[0].expand(-1, -1, 2, 1, 1)
    phi = torch.tensor([1.0, 4.0]).double().view(2, 1, 1)
    draws = cases[0].likelihood.sample(eta, phi, torch.Generator().manual_seed(20))
    for channel, case in enumerate(cases):
        assert p_value(case.exact, draws[:, channel]) > 1e-3


def test_what_ln_c_depends_on():
    eta, one = torch.linspace(-30, 30, 25).view(5, 5, 1, 1, 1), torch.ones(1, 1, 1)
    for family in (Bernoulli(), Categorical(5)):
        assert (family.log_norm_const(eta, one) == 0).all(), "exactly 0 at φ = 1"
        assert (family.log_norm_const(eta, 2 * one) != 0).any()
    for phi in (0.1, 1.0, 3.0):
        assert Gaussian().log_norm_const(eta[:, :1], phi * one).unique().numel() == 1
        assert ContinuousBernoulli().log_norm_const(eta[:, :1], phi * one).unique().numel() == 5


def test_scale_power_is_the_slope_of_ln_c_in_ln_phi():
    for family in ("gaussian", "laplace", "logistic", "student_t"):
        likelihood, exact = EXACT[family]
        at_mean = [exact([0.0], phi).logpdf(0.0) for phi in (1.0, np.e)]
        assert likelihood.scale_power == pytest.approx(at_mean[0] - at_mean[1])
    others = (
        "bernoulli",
        "cb",
        "beta",
        "categorical",
        "poisson",
        "negative_binomial",
        *(family for family in EXACT if family.endswith("by decoder")),
    )
    assert all(EXACT[family][0].scale_power is None for family in others)
