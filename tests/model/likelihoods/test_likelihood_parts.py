"""Energy and constant in one pass: the sums of the two methods, and of their gradients, whatever is asked for."""

import mpmath as mp
import numpy as np
import pytest
import torch
from likelihood_cases import CASES, EXACT
from numpy.testing import assert_allclose
from test_likelihood_numerics import LOGITS
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from vaekl.model.likelihoods import ContinuousBernoulli
from vaekl.model.likelihoods import continuous_bernoulli as cb

SHAPE = (3, 2, 4)
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
precisions = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


def drawn(likelihood, dtype=torch.float64, spread=6.0):
    generator = torch.Generator().manual_seed(0)
    eta = spread * torch.randn(5, likelihood.outputs, *SHAPE, generator=generator, dtype=dtype)
    x = torch.rand(5, *SHAPE, generator=generator, dtype=dtype)
    if likelihood.discrete:
        x = (x * min(likelihood.bounds[1], 30)).round()
    return eta.requires_grad_(), x


@precisions
@pytest.mark.parametrize("phi", [None, 1.0, 1.7, "channel", "pixel"])
@pytest.mark.parametrize("family", EXACT)
def test_parts_are_the_sums_of_the_two_methods(family, phi, dtype):
    """φ = None is the untempered φ = 1; the energy keeps the axes along which φ varies."""
    likelihood, _ = EXACT[family]
    eta, x = drawn(likelihood, dtype)
    shape = {"channel": (3, 1, 1), "pixel": SHAPE}.get(phi, (1, 1, 1))
    value = torch.full(shape, 1.0 if phi is None else 1.3 if isinstance(phi, str) else phi, dtype=dtype)
    weight = torch.linspace(-1, 2, 5, dtype=dtype)

    def graded(energy, log_norm_const):
        total = (energy * weight.view(5, 1, 1, 1)).sum() + (log_norm_const * weight.flip(0)).sum()
        return energy, log_norm_const, torch.autograd.grad(total, eta)[0]

    figures = graded(*likelihood.parts(eta, x, value, tempered=phi is not None))
    constant = likelihood.log_norm_const(eta, value).sum((1, 2, 3))
    expected = graded(likelihood.energy(eta, x, value).sum_to_size(5, *shape), constant)
    assert figures[0].shape == (5, *shape) and figures[1].shape == (5,)
    for ours, theirs in zip(figures, expected, strict=True):
        assert ours.dtype == dtype
        assert_close(ours, theirs, rtol=10 * TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])


def seeded(seed):
    return torch.Generator().manual_seed(seed)


SHAPES = {"vector": (24,), "signal": (2, 12), "image": (2, 3, 4), "volume": (2, 2, 3, 2)}
#: whose laws by SciPy and mpmath take a second and more
SLOW = {"negative_binomial", "zinb", "zinb, φ by decoder"}


@pytest.mark.parametrize(
    ("family", "shape"),
    [
        pytest.param(family, shape, id=f"{family}-{name}", marks=[pytest.mark.nightly] if family in SLOW else [])
        for family in EXACT
        for name, shape in SHAPES.items()
    ],
)
def test_energy_and_constant_are_the_sum_over_all_values_of_any_shape(family, shape):
    """Σ ln p of 24 values by SciPy and mpmath."""
    likelihood, law = EXACT[family]
    eta = 2 * torch.randn(3, likelihood.outputs, *shape, generator=seeded(0), dtype=torch.float64)
    x = torch.rand(3, *shape, generator=seeded(1), dtype=torch.float64)
    if likelihood.discrete:
        x = (x * min(likelihood.bounds[1], 30)).round()
    # some families have no other φ than 1
    value = 1.3 if any(case.phi == 4 for case in CASES if case.family == family) else 1.0
    phi = torch.full((1,) * len(shape), value, dtype=torch.float64)
    energy, constant = likelihood.parts(eta, x, phi)
    assert energy.shape == (3, *phi.shape) and constant.shape == (3,)
    columns = eta.flatten(2).transpose(1, 2).tolist()
    for image in range(3):
        total = 0.0
        for parameters, at in zip(columns[image], x[image].flatten().tolist(), strict=True):
            total += float(np.sum(law(tuple(parameters), value).logpdf(at)))
        assert (constant[image] - energy[image].sum() / value).item() == pytest.approx(total, rel=1e-7)
    for part in (likelihood.mean(eta, phi), likelihood.variance(eta, phi), likelihood.sample(eta, phi, seeded(0))):
        assert part.shape == x.shape


@precisions
@pytest.mark.parametrize("x", [0.0, 1 / 3, 0.998, 1.0])
def test_cb_s_parts_and_their_slopes_are_exact_at_every_logit(x, dtype):
    a = torch.tensor(LOGITS, dtype=dtype).unsqueeze(1).requires_grad_()
    at = torch.full_like(a, x).detach()
    energy, constant = cb.parts(a, at)
    slopes = [torch.autograd.grad(part.sum(), a, retain_graph=True)[0] for part in (energy, constant)]
    logits, x = [mp.mpf(v) for v in a.flatten().tolist()], mp.mpf(at[0].item())
    exact = {
        "energy": [max(v, 0) * (1 - x) + max(-v, 0) * x + mp.log1p(mp.exp(-abs(v))) for v in logits],
        "ln C": [mp.log(v / mp.tanh(v / 2)) if v else mp.log(2) for v in logits],
        "energy's slope": [1 / (1 + mp.exp(-v)) - x for v in logits],
        "ln C's slope": [1 / v - 1 / mp.sinh(v) if v else mp.mpf(0) for v in logits],
    }
    figures = dict(zip(exact, (energy, constant, *slopes), strict=True))
    for name, values in exact.items():
        # σ(a) − x cancels but for x = 0; what is below float32's normal numbers has no digits to keep
        slack = TOLERANCE[dtype] if name == "energy's slope" and x else 1e-37
        expected = np.array([float(v) for v in values])
        assert_allclose(
            figures[name].detach().flatten().numpy(), expected, rtol=TOLERANCE[dtype], atol=slack, err_msg=name
        )


def test_cb_s_parts_pass_gradcheck():
    a = torch.tensor([[-40.0, -3.0, -1.5001, -1.4999, -0.3, 0.2], [1.0, 1.5, 2.9, 3.1, 16.0, 90.0]]).double()
    x = torch.linspace(0, 1, 12).double().view(2, 6).requires_grad_()
    torch.autograd.gradcheck(cb.parts, (a.requires_grad_(), x))


@pytest.mark.parametrize("kept", ["energy", "constant", "neither"])
def test_a_part_that_is_dropped_leaves_no_gradient(kept, monkeypatch):
    eta, x = drawn(ContinuousBernoulli(), torch.float32)
    energy, constant = ContinuousBernoulli().parts(eta, x, torch.ones(1, 1, 1), tempered=False)
    if kept == "energy":
        monkeypatch.setattr(cb, "_slope", None)  # a dropped constant costs no slope
        (gradient,) = torch.autograd.grad(energy.sum(), eta)
        bce = binary_cross_entropy_with_logits(eta[:, 0], x, reduction="sum")
        assert_close(gradient, torch.autograd.grad(bce, eta)[0], rtol=1e-6, atol=1e-7)
    elif kept == "constant":
        (gradient,) = torch.autograd.grad(constant.sum(), eta)
        assert_close(gradient, cb.log_norm_const_slope(eta.detach()), rtol=0, atol=0)
    else:
        with torch.no_grad():
            again = ContinuousBernoulli().parts(eta, x, torch.ones(1, 1, 1), tempered=False)
        assert torch.equal(again[0], energy) and torch.equal(again[1], constant) and not again[0].requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_cb_s_parts_are_finite_at_huge_logits(dtype):
    logits = [0, -0.0, 1e-30, -1e-30, 17, -17, 89, -89, 1e4, -1e4, 1e19, -1e19, 3e38, -3e38]
    eta = torch.tensor(logits, dtype=dtype).view(-1, 1, 1, 1, 1).requires_grad_()
    x = torch.full((len(logits), 1, 1, 1), 0.5)
    parts = ContinuousBernoulli().parts(eta, x, torch.ones(1, 1, 1), tempered=False)
    (slope,) = torch.autograd.grad(sum(part.sum() / 1e3 for part in parts), eta)
    assert all(part.isfinite().all() and part.dtype == torch.float32 for part in parts)
    assert slope.isfinite().all() and slope.dtype == dtype


def test_a_clip_stops_the_gradient_in_one_pass_too():
    eta = torch.tensor([-20.0, 3.0, 20.0]).view(1, 1, 1, 1, 3).requires_grad_()
    energy, constant = ContinuousBernoulli(max_logit=9.21).parts(
        eta, torch.full((1, 1, 1, 3), 0.3), torch.ones(1, 1, 1), False
    )
    (slope,) = torch.autograd.grad((energy.sum() - constant.sum()), eta)
    assert (slope.flatten() != 0).tolist() == [False, True, False]


@pytest.mark.nightly  # by day tests/run/test_paths.py compiles them as parts of a whole step
@pytest.mark.parametrize("family", ["beta", "cb", "discretized_logistic", "gaussian"])
def test_compiled_parts_are_the_eager_ones_without_a_graph_break(family):
    likelihood, _ = EXACT[family]
    eta, x = drawn(likelihood, torch.float32)
    phi = torch.ones(1, 1, 1)

    def loss(eta, x):
        energy, constant = likelihood.parts(eta, x, phi, tempered=False)
        return energy.sum() - 2 * constant.sum()

    compiled, expected = torch.compile(loss, fullgraph=True)(eta, x), loss(eta, x)
    assert_close(compiled, expected, rtol=1e-6, atol=0)
    slopes = [torch.autograd.grad(value, eta)[0] for value in (compiled, expected)]
    assert_close(*slopes, rtol=1e-6, atol=1e-6)
