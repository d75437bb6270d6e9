"""What the finite precision of training does to the families."""

import mpmath as mp
import numpy as np
import pytest
import torch
from exact_laws import LEVELS, ContinuousBernoulliByMpmath, beta_eta
from likelihood_cases import Case
from numpy.testing import assert_allclose

from vaekl.model.likelihoods import Bernoulli, Beta, Categorical, ContinuousBernoulli, Laplace
from vaekl.model.likelihoods import continuous_bernoulli as cb
from vaekl.model.likelihoods.beta_constant import log_norm_const

_MAGNITUDES = np.unique(
    np.concatenate([10 ** np.linspace(-8, 4, 241), [0, 0.01, 1.9999, 2, 2.0001, 3.9999, 4, 16, 88]])
)
LOGITS = np.concatenate([-_MAGNITUDES[1:], _MAGNITUDES])

# value at 0, and the closed form elsewhere, in 60 digits
CB = {
    "ln C": (mp.log(2), lambda a: mp.log(a / mp.tanh(a / 2))),
    "d ln C/da": (0, lambda a: 1 / a - 1 / mp.sinh(a)),
    "mean": (0.5, lambda a: 1 / (1 - mp.exp(-a)) - 1 / a),
    "d mean/da": (mp.mpf(1) / 12, lambda a: 1 / a**2 - 1 / (4 * mp.sinh(a / 2) ** 2)),
    "variance": (mp.mpf(1) / 12, lambda a: 1 / a**2 - 1 / (4 * mp.sinh(a / 2) ** 2)),
}


def cb_values(a):
    """What the code says of the functions in CB."""
    a = a.clone().requires_grad_()
    log_norm_const, mean = cb.log_norm_const(a), cb.mean(a)
    (slope,), (mean_slope,) = torch.autograd.grad(log_norm_const.sum(), a), torch.autograd.grad(mean.sum(), a)
    values = [log_norm_const, slope, mean, mean_slope, cb.variance(a)]
    return dict(zip(CB, (value.detach() for value in values), strict=True))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_cb_is_exact_at_every_logit(dtype, tolerance):
    a = torch.tensor(LOGITS, dtype=dtype)
    for name, computed in cb_values(a).items():
        at_zero, form = CB[name]
        exact = [float(form(mp.mpf(value)) if value else at_zero) for value in a.tolist()]
        assert computed.dtype == dtype
        assert_allclose(computed.numpy(), exact, rtol=tolerance, atol=0, err_msg=name)


def test_cb_quantile_inverts_the_cdf_up_to_the_ends():
    u = torch.tensor([0.0, 2**-24, 1e-3, 0.5, 0.9, 1 - 2**-24])
    for a in LOGITS:
        x = cb.quantile(torch.full_like(u, a), u)
        assert ((x >= 0) & (x <= 1)).all() and (x.diff() >= 0).all(), f"a = {a}"
        if abs(a) < 100:
            x = cb.quantile(torch.full_like(u, a).double(), u.double())
            assert_allclose(ContinuousBernoulliByMpmath(a).cdf(x), u, atol=1e-9, err_msg=f"a = {a}")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_cb_is_finite_at_huge_logits(dtype):
    likelihood, one = ContinuousBernoulli(), torch.ones(1, 1, 1)
    logits = torch.tensor([0, 1e-30, 17, -17, 89, -89, 1e4, -1e4, 3e38, -3e38], dtype=dtype)
    for value in (0.0, 0.5, 1.0):
        eta = logits.view(-1, 1, 1, 1, 1).clone().requires_grad_()
        x = torch.full((len(logits), 1, 1, 1), value)
        answers = [likelihood.log_prob(eta, x, one), likelihood.mean(eta, one), likelihood.log_norm_const(eta, one)]
        for answer in answers:
            (slope,) = torch.autograd.grad(answer.sum(), eta)
            assert answer.dtype == torch.float32 and slope.dtype == dtype
            assert answer.isfinite().all() and slope.isfinite().all()
        others = [likelihood.variance(eta, one), likelihood.sample(eta, one)]
        assert all(answer.isfinite().all() for answer in others)


def test_half_precision_logits_are_computed_in_float32():
    eta = torch.linspace(-20, 20, 41).bfloat16().view(-1, 1, 1, 1, 1)
    x, one = torch.full((41, 1, 1, 1), 0.3), torch.ones(1, 1, 1)
    for likelihood in (ContinuousBernoulli(), Bernoulli()):
        assert torch.equal(likelihood.energy(eta, x, one), likelihood.energy(eta.float(), x, one))
        assert torch.equal(likelihood.log_prob(eta, x, one), likelihood.log_prob(eta.float(), x, one))


def test_cb_agrees_with_torch_at_small_logits():
    a = torch.linspace(-4, 4, 81).double()
    theirs = torch.distributions.ContinuousBernoulli(logits=a)
    assert_allclose(cb.log_norm_const(a), theirs._cont_bern_log_norm(), rtol=1e-4)
    assert_allclose(cb.mean(a), theirs.mean, rtol=1e-4)
    assert_allclose(cb.variance(a), theirs.variance, rtol=1e-3)


def beta_ln_c(alpha, beta):
    alpha, beta = mp.mpf(alpha), mp.mpf(beta)
    return mp.loggamma(alpha + beta) - mp.loggamma(alpha) - mp.loggamma(beta)


def test_beta_ln_c_keeps_float32s_digits():
    sizes = [0.1, 0.7, 1, 2.5, 10, 33, 100, 302, 1000, 1210, 10000]
    one = torch.ones(1, 1, 1)
    for alpha in sizes:
        for beta in sizes:
            eta = torch.tensor(beta_eta(alpha, beta)).view(1, 2, 1, 1, 1)
            used = (torch.nn.functional.softplus(eta) + 1e-4).flatten().tolist()
            constant, exact = Beta().log_norm_const(eta, one), float(beta_ln_c(*used))
            assert constant.dtype == torch.float32
            assert_allclose(constant.item(), exact, rtol=2e-7, atol=1e-6)


def test_beta_gradient_in_float32():
    for alpha, beta in [(0.01, 3), (1000, 900), (1210, 30)]:
        eta = torch.tensor(beta_eta(alpha, beta)).view(1, 2, 1, 1, 1).requires_grad_()
        Beta().log_norm_const(eta, torch.full((1, 1, 1), 2.0)).sum().backward()
        for own, other, value, slope in zip(
            (alpha, beta), (beta, alpha), eta.flatten(), eta.grad.flatten(), strict=True
        ):
            total = mp.digamma((own - 1) / mp.mpf(2) + (other - 1) / mp.mpf(2) + 2)
            exact = (total - mp.digamma((own - 1) / mp.mpf(2) + 1)) / 2 / (1 + mp.exp(-value.item()))
            assert slope.item() == pytest.approx(float(exact), rel=1e-5)


@pytest.mark.parametrize(
    ("dtype", "value_error", "slope_error"), [(torch.float32, 2e-6, 6e-7), (torch.float64, 4e-15, 1.3e-15)]
)
def test_beta_ln_c_and_its_slopes_however_unequal_the_two(dtype, value_error, slope_error):
    sizes = [1e-4, 3e-3, 0.1, 0.6, 1.0, 2.5, 7.0, 30.0, 1e3, 1e6, 1e9]
    pairs = torch.cartesian_prod(*[torch.tensor([*sizes], dtype=dtype)] * 2).requires_grad_()
    values = log_norm_const(*pairs.unbind(1))
    (slopes,) = torch.autograd.grad(values.sum(), pairs)
    with mp.workdps(40):
        exact = [float(beta_ln_c(*pair)) for pair in pairs.tolist()]
        exact_slopes = [
            [float(mp.digamma(mp.mpf(alpha) + beta) - mp.digamma(own)) for own in (alpha, beta)]
            for alpha, beta in pairs.tolist()
        ]
    assert_allclose(values.detach(), exact, rtol=value_error, atol=value_error)
    assert_allclose(slopes, exact_slopes, rtol=slope_error)


def test_beta_ln_c_of_numbers_whose_squares_are_infinite():
    pair = torch.tensor([1e25, 2e25]).requires_grad_()
    value = log_norm_const(*pair)
    value.backward()
    entropy = 3e25 * (np.log(3) - 2 / 3 * np.log(2))
    assert value.item() == pytest.approx(entropy, rel=1e-6)
    assert_allclose(pair.grad, np.log([3, 1.5]), rtol=1e-6)


def test_beta_with_tiny_parameters_is_itself_at_phi_one():
    eta = torch.tensor([-9.0, -12.0]).view(1, 2, 1, 1, 1)
    alpha, beta = (torch.nn.functional.softplus(eta) + 1e-4).flatten().tolist()
    one = torch.ones(1, 1, 1)
    assert Beta().log_norm_const(eta, one).item() == pytest.approx(float(beta_ln_c(alpha, beta)), abs=2e-6)
    assert Beta().mean(eta, one).item() == pytest.approx(alpha / (alpha + beta), rel=1e-6)


def test_categorical_variance_of_a_sure_level_does_not_cancel():
    likelihood, one = Categorical(256), torch.ones(1, 1, 1)
    eta = torch.zeros(1, 256, 1, 1, 1)
    eta[:, 250] = 20
    masses = [mp.exp(20 if k == 250 else 0) for k in range(256)]
    mean = mp.fsum(k * m for k, m in enumerate(masses)) / mp.fsum(masses)
    exact = mp.fsum((k - mean) ** 2 * m for k, m in enumerate(masses)) / mp.fsum(masses)
    assert likelihood.variance(eta, one).item() == pytest.approx(float(exact), rel=1e-4)


def test_categorical_tempers_huge_logits():
    case = Case("categorical", (3e4, -3e4, 0.0, 2e4, 1.0), 1.7)
    assert len(case.eta) == LEVELS
    eta, phi = case.tensors(LEVELS, torch.float32)
    x = torch.arange(LEVELS).view(-1, 1, 1, 1)
    assert_allclose(case.likelihood.log_prob(eta, x, phi).flatten(), case.exact.logpdf(x.numpy()), rtol=1e-6)


def test_a_laplace_draw_is_finite_even_when_the_uniform_is_zero(monkeypatch):
    """torch.rand is exactly 0 once in 2^24 float32 values: some three times for every 60,000 digits."""
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.zeros(shape))
    eta = torch.zeros(2, 1, 1, 1, 1)
    assert Laplace().sample(eta, torch.ones(1, 1, 1)).isfinite().all()
    assert ContinuousBernoulli().sample(eta + 50, torch.ones(1, 1, 1)).isfinite().all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_cb_s_density_in_one_pass_and_its_gradients_are_exact(dtype, tolerance):
    for x in (0.0, 1 / 3, 0.998, 1.0):
        a = torch.tensor(LOGITS, dtype=dtype, requires_grad=True)
        at = torch.full_like(a, x).detach().requires_grad_()
        nats = cb.log_prob(a, at)
        to_a, to_x = torch.autograd.grad(nats.sum(), (a, at))
        exact = [
            mp.mpf(v) * mp.mpf(at[0].item()) - mp.log(mp.expm1(mp.mpf(v)) / mp.mpf(v)) if v else mp.mpf(0)
            for v in a.tolist()
        ]
        scale = np.array([max(1, abs(v)) for v in a.tolist()])
        assert (np.abs(nats.detach().double().numpy() - np.array([float(v) for v in exact])) < tolerance * scale).all()
        slope = [at[0].item() - (float(1 / (1 - mp.exp(-mp.mpf(v))) - 1 / mp.mpf(v)) if v else 0.5) for v in a.tolist()]
        assert_allclose(to_a.numpy(), slope, rtol=0, atol=tolerance)
        assert torch.equal(to_x, a.detach())
