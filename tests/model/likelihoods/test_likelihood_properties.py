"""Every density against sources that are not vaekl, at parameters, dispersions and shapes that nobody chose.

`LAWS` says in 60 digits what each density is, and `exact` its figures. A figure may be wrong by `ULPS` units in the
last place of the terms that it is made of (`Law.sizes`): of E/φ and ln C where they cancel, of the two sigmoids of a
gradient.
"""

import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from drawn_levels import DRAWS, check_levels
from exact_laws import beta_eta
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from law_figures import exact, learned
from law_parts import CLAMP, LEVELS
from likelihood_cases import EXACT, Case
from likelihood_laws import LAWS

# Hypothesis keeps the constants that it finds in the source, in the working directory unless told otherwise
_HOME = tempfile.TemporaryDirectory()
set_hypothesis_home_dir(_HOME.name)

ULPS, TINY = 8, 1e-30
NUMPY = {torch.float32: np.float32, torch.float64: np.float64}
#: one law of each kind; the others are tried at night
BY_DAY = {"gaussian", "laplace", "bernoulli", "cb", "beta", "categorical"}
BY_DAY |= {"logistic", "negative_binomial", "truncated_gaussian"}
FEW, MANY = 20, pytest.param(400, marks=pytest.mark.nightly)


def tried(examples):
    """So many examples, the same ones each time; nothing is timed, and nothing written."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


def reals(least, most, near):
    """Any real of any magnitude up to a largest one, and where formulas change or end."""
    powers = st.floats(least, most).map(lambda e: 10.0**e)
    return st.one_of(powers, powers.map(lambda v: -v), st.floats(-5, 5), st.sampled_from(near))


ETAS = reals(-12, 4, [0.0, 1e-30, -1e-30, 1.4999999, -1.5000001, 3.0, 16.7, -17.0, 88.8, -104.0, 1e4, -1e4])
DATA = {
    "real": reals(-6, 4, [0.0, 1.0, 1e4, -1e4]),
    "unit": st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, 2.0**-24, 1 - 2.0**-24, 1e-4])),
    "open": st.one_of(st.floats(2.0**-20, 1 - 2.0**-20), st.sampled_from([0.5, 1e-6, 1e-30, 1 - 2.0**-20])),
    "binary": st.sampled_from([0.0, 1.0]),
    "counts": st.one_of(st.integers(0, 1000), st.sampled_from([0, 1, 2, 10_000, 2**24])).map(float),
    "levels": st.integers(0, LEVELS - 1).map(float),
}


def at_kink(name, eta, x):
    """Whether a slope jumps: Laplace's within float32's rounding of μ, and that of a decoder's scale at its cap."""
    if "scale by decoder" in name and eta[1] == 5:
        return True
    return "laplace" in name and LAWS[name].energy(eta, x, 1) < 1e-6 * (1 + abs(x))


@st.composite
def batches(draw, name, dtype):
    """η [B, P, C, H, W], x [B, C, H, W] and φ of one of its shapes, of a few values each; and the exact figures."""
    law, kind = LAWS[name], NUMPY[dtype]
    outputs, shape = law.likelihood.outputs, draw(st.tuples(*[st.integers(1, 3)] * 4))
    values = st.tuples(st.tuples(*[ETAS] * outputs), DATA[law.data]).filter(lambda value: not at_kink(name, *value))
    pool = draw(st.lists(values, min_size=1, max_size=3))
    exponents = st.one_of(st.just(0.0), st.floats(law.least, 6), st.sampled_from([max(-6.0, law.least), 6.0]))
    phis = [float(kind(10.0**e)) for e in draw(st.lists(exponents, min_size=1, max_size=2))]
    pool = [([float(kind(v)) for v in eta], float(kind(x))) for eta, x in pool]

    which = np.resize(np.arange(len(pool)), np.prod(shape)).reshape(shape)
    eta = np.moveaxis(np.array([eta for eta, _ in pool])[which], -1, 1)
    x = np.array([x for _, x in pool])[which]
    phi_shape = draw(st.sampled_from([(1, 1, 1), (shape[1], 1, 1), shape[1:]]))
    phi = np.resize(phis, phi_shape)
    inside = x.clip(float(kind(CLAMP)), float(kind(1 - CLAMP))) if name == "beta" else x
    every = np.broadcast_to(phi, shape)
    figures, float64 = np.empty(shape, object), 2.0**-52 / torch.finfo(dtype).eps
    for at in np.ndindex(shape):
        figures[at] = exact(name, tuple(pool[which[at]][0]), float(inside[at]), float(every[at]), float64)
    tensors = [torch.tensor(value, dtype=dtype) for value in (eta, x, phi)]
    return SimpleNamespace(eta=tensors[0].requires_grad_(), x=tensors[1], phi=tensors[2], figures=figures)


def expected(batch, key):
    """The exact figures and the sizes of their terms, each of the shape of x; slopes of the shape of η."""
    pairs = [np.array([f[key][i] * np.ones_like(f[key][0]) for f in batch.figures.flat]) for i in (0, 1)]
    pairs = [pair.reshape(*batch.figures.shape, *pair.shape[1:]) for pair in pairs]
    return [np.moveaxis(pair, -1, 1) for pair in pairs] if pairs[0].ndim == 5 else pairs


def close(value, want, size, what):
    """Finite, of the right shape, and as near as the rounding of its terms allows."""
    eps = torch.finfo(value.dtype).eps / 2
    value = value.detach().double().numpy()
    assert value.shape == want.shape and np.isfinite(value).all(), what
    excess = np.abs(value - want) - (ULPS * eps * size + TINY)
    assert (excess <= 0).all(), f"{what}: {value[excess > 0]} is not {want[excess > 0]} ± {size[excess > 0] * eps}"


def property_of(check):
    """The check at every family and precision, a few times; and many times at night."""

    def test(name, dtype, examples):
        tried(examples)(given(batches(name, dtype))(lambda batch: check(LAWS[name].likelihood, batch)))()

    test.__doc__ = check.__doc__
    for key, values in {
        "examples": [FEW, MANY],
        "dtype": [pytest.param(dtype, id=str(dtype)[6:]) for dtype in NUMPY],
        "name": [name if name in BY_DAY else pytest.param(name, marks=pytest.mark.nightly) for name in LAWS],
    }.items():
        test = pytest.mark.parametrize(key, values)(test)
    return test


@property_of
def test_log_prob_and_its_slopes(likelihood, batch):
    """ln p, d ln p/dη and, where φ may be learned, d ln p/dφ."""
    learns = learned(likelihood)
    phi = batch.phi.expand(batch.x.shape[1:]).clone().requires_grad_(learns)
    log_prob = likelihood.log_prob(batch.eta, batch.x, phi)
    close(log_prob, *expected(batch, "log_prob"), "ln p")
    to_eta, *to_phi = torch.autograd.grad(log_prob.sum(), [batch.eta, phi] if learns else [batch.eta])
    close(to_eta, *expected(batch, "log_prob_slope"), "d ln p/dη")
    if learns:
        close(to_phi[0], *(part.sum(0) for part in expected(batch, "dispersion_slope")), "d ln p/dφ")


@property_of
def test_parts_and_their_slopes(likelihood, batch):
    """What the trainer minimises: E along the axes of φ, ln C, and their slopes; without tempering at φ = 1."""
    for tempered in {True, not (batch.phi == 1).all()}:
        energy, constant = likelihood.parts(batch.eta, batch.x, batch.phi, tempered)
        axes = tuple(1 + i for i, size in enumerate(batch.phi.shape) if size == 1)
        close(energy, *(v.sum(axes, keepdims=True) for v in expected(batch, "energy")), "E")
        close(constant, *(v.sum((1, 2, 3)) for v in expected(batch, "constant")), "ln C")
        (to_eta,) = torch.autograd.grad(energy.sum(), batch.eta, retain_graph=True)
        close(to_eta, *expected(batch, "energy_slope"), "dE/dη")
        if constant.requires_grad:
            (to_eta,) = torch.autograd.grad(constant.sum(), batch.eta)
            close(to_eta, *expected(batch, "constant_slope"), "d ln C/dη")


@property_of
def test_mean_and_variance(likelihood, batch):
    """The moments, and that they are where x can be."""
    with torch.no_grad():
        close(likelihood.mean(batch.eta, batch.phi), *expected(batch, "mean"), "mean")
        close(likelihood.variance(batch.eta, batch.phi), *expected(batch, "variance"), "variance")


@property_of
def test_draws(likelihood, batch):
    """Draws lie in the support, as often at each level as it says, or a thousand where mean and variance say."""
    on_levels = "masses" in batch.figures.flat[0]
    with torch.no_grad():
        many = batch.eta[:1].expand(DRAWS if on_levels else 1000, *batch.eta.shape[1:])
        draws = likelihood.sample(many, batch.phi, torch.Generator().manual_seed(20)).double()
    likelihood.check_support(draws)
    assert draws.shape[1:] == batch.x.shape[1:] and draws.isfinite().all()
    if on_levels:
        check_levels(draws.numpy(), expected(batch, "masses")[0][0], torch.finfo(batch.eta.dtype).eps)
        return
    mean, variance = (expected(batch, key)[0][0] for key in ("mean", "variance"))
    size = np.maximum(np.abs(mean), 1) if likelihood.bounds[1] < np.inf else np.abs(mean) * 1e-4
    off = np.abs(draws.numpy().mean(0) - mean)
    assert (off <= 7 * np.sqrt(variance / 1000) + 0.01 * size).all(), (off, variance)
    spread = draws.numpy().var(0)
    # a value of a bounded family may be too rare for so few draws, and one of another lost in the mean's rounding
    seen = variance > (0.05 if likelihood.bounds[1] < np.inf else (1e-5 * mean) ** 2 + 0.05 * likelihood.discrete)
    assert (spread[seen] <= 2 * variance[seen]).all() and (spread[seen] >= variance[seen] / 2).all(), (spread, variance)


def sizes_between(least, most):
    return st.floats(least, most).map(lambda e: 10.0**e)


LOCATIONS, LOGITS = st.tuples(st.floats(-100, 100)), st.tuples(st.floats(-300, 300))
SCALED = st.tuples(st.floats(-20, 20), st.floats(-100, 2))
#: (η, φ) where a trapezoid of `Case.measure` sees all of the density
SEEN = {
    "gaussian": (LOCATIONS, sizes_between(-4, 4)),
    "gaussian, sigmoid link": (st.tuples(st.floats(-20, 20)), sizes_between(-4, 4)),
    "laplace": (LOCATIONS, sizes_between(-3, 2)),
    "logistic": (LOCATIONS, sizes_between(-3, 2)),
    "gaussian, scale by decoder": (SCALED, sizes_between(-2, 2)),
    "student_t": (LOCATIONS, sizes_between(-4, 2)),
    "student_t, all by decoder": (
        st.tuples(st.floats(-20, 20), st.floats(-100, 1), st.floats(0, 20)),
        sizes_between(-2, 1),
    ),
    "laplace, scale by decoder": (SCALED, sizes_between(-2, 1)),
    "logistic, scale by decoder": (SCALED, sizes_between(-2, 1)),
    "bernoulli": (LOGITS, sizes_between(-6, 6)),
    "cb": (LOGITS, sizes_between(-1, 6)),
    "beta": (st.tuples(*[sizes_between(-0.3, 3)] * 2).map(lambda sizes: beta_eta(*sizes)), sizes_between(0, 6)),
    "categorical": (st.tuples(*[st.floats(-300, 300)] * LEVELS), sizes_between(-6, 6)),
    "discretized_logistic": (LOCATIONS, sizes_between(-6, 6)),
    "discretized_logistic, scale by decoder": (st.tuples(*[st.floats(-100, 100)] * 2), st.just(1.0)),
    "poisson": (st.tuples(st.floats(-30, 4)), st.just(1.0)),
    "negative_binomial": (st.tuples(st.floats(-30, 2)), sizes_between(-12, 0)),
    "zinb, φ by decoder": (st.tuples(st.floats(-30, 2), st.floats(-30, 0), st.floats(-30, 30)), st.just(1.0)),
    "truncated_gaussian": (st.tuples(st.floats(-50, 50)), sizes_between(-3, 6)),
    "censored_gaussian": (st.tuples(st.floats(-50, 50)), sizes_between(-3, 6)),
    "censored_gaussian, scale by decoder": (st.tuples(st.floats(-20, 20), st.floats(-3, 2)), sizes_between(-1, 2)),
    "logit_normal": (st.tuples(st.floats(-4, 4)), sizes_between(-2.5, 0.6)),
    "logit_normal, scale by decoder": (st.tuples(st.floats(-4, 4), st.floats(-2, 0)), sizes_between(-1, 0.6)),
    "logistic_mixture": (st.tuples(*[st.floats(-100, 100)] * 6), st.just(1.0)),
}


@pytest.mark.parametrize("examples", [FEW, MANY])
@pytest.mark.parametrize("family", EXACT)
def test_total_probability_is_one(family, examples):
    """E and ln C are those of one density: exp(ln C − E/φ) has the integral, or the sum, 1."""

    def check(eta, phi):
        case = Case(family, eta, phi)
        x, weight = case.measure()
        eta, phi = case.tensors(len(x))
        energy, constant = case.likelihood.parts(eta, x.view(-1, 1, 1, 1), phi)
        assert (weight * (constant - energy.flatten() / phi.item()).exp()).sum().item() == pytest.approx(1, abs=1e-6)

    tried(examples)(given(*SEEN[family])(check))()
