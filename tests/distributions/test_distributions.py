"""Each distribution of vaekl's is what PyTorch expects of one, and the law that SciPy or mpmath has."""

import copy
import pickle

import numpy as np
import pytest
import torch
from distribution_cases import LAWS, quantile
from scipy import stats
from scipy.integrate import quad
from torch import distributions
from torch.distributions import Independent
from torch.testing import assert_close

from vaekl.distributions import LikelihoodDistribution, NegativeBinomial, Poisson, StudentT, TruncatedGaussian


@pytest.fixture(params=LAWS, scope="module")
def law(request):
    return LAWS[request.param]


def test_shapes(law):
    batch, parameters = law.batch()
    assert batch.event_shape == () and batch.batch_shape == next(iter(parameters.values())).shape
    single = law.make(**{name: values[0] for name, values in law.parameters.items()})
    assert single.batch_shape == () and single.log_prob(single.sample()).shape == ()
    size = len(batch.mean)
    for shape in ((), (3,), (2, 3)):
        draws = batch.sample(shape)
        assert draws.shape == (*shape, size) and not draws.requires_grad
        assert batch.log_prob(draws).shape == batch.cdf(draws).shape == draws.shape
    # x with axes of its own, and parameters that broadcast against each other
    assert batch.log_prob(draws[0, 0, 0].expand(4, 1)).shape == (4, size)
    several = {name: tensor.view(-1, *[1] * k) for k, (name, tensor) in enumerate(parameters.items())}
    assert law.make(**several).batch_shape == (size,) * len(parameters)
    assert batch.mean.shape == batch.variance.shape == batch.stddev.shape == (size,)
    assert type(batch).__name__ in repr(batch)


def test_expand(law):
    batch, _ = law.batch()
    for wide in (batch.expand((3, *batch.batch_shape)), Independent(batch, 1).expand((3,)).base_dist):
        assert type(wide) is type(batch) and wide.batch_shape == (3, *batch.batch_shape)
        draws = wide.sample((2,))
        assert draws.shape == (2, 3, *batch.batch_shape)
        assert_close(wide.log_prob(draws), batch.log_prob(draws))
        assert_close(wide.mean, batch.mean.expand(3, -1))
    for other in (copy.deepcopy(batch), pickle.loads(pickle.dumps(batch))):
        assert_close(other.log_prob(draws), batch.log_prob(draws))
    # a draw on its own for each
    torch.manual_seed(0)
    assert len(batch.expand((50, *batch.batch_shape)).sample()[:, 2].unique()) > 1


def test_support_and_arguments_are_checked(law):
    batch, parameters = law.batch()
    assert batch.support.check(batch.sample((100,))).all()
    for name, value in law.wrong.items():
        with pytest.raises(ValueError, match=name):
            law.make(**{**({} if name not in parameters else parameters), name: torch.tensor([value])})
    if law.outside is not None:
        x = torch.full_like(batch.mean, law.outside)
        for method in (batch.log_prob, batch.cdf):
            with pytest.raises(ValueError, match="support"):
                method(x)
        law.make(**parameters, validate_args=False).log_prob(x)
        assert batch.expand((2, *batch.batch_shape))._validate_args
    with pytest.raises(ValueError, match="shape"):
        batch.log_prob(torch.zeros(len(batch.mean) + 1))


def test_log_prob(law):
    batch, _ = law.batch()
    x = law.points()
    name = "logpmf" if batch.support.is_discrete else "logpdf"
    exact = [[float(getattr(one, name)(v)) for one, v in zip(law.each(), row, strict=True)] for row in x.tolist()]
    assert_close(batch.log_prob(x), torch.tensor(exact, dtype=torch.float64), rtol=1e-9, atol=1e-9)
    single, _ = law.batch(torch.float32)
    assert single.log_prob(x.float()).dtype == single.mean.dtype == single.sample().dtype == torch.float32
    assert single.log_prob(x).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_parameters_in_half_precision_are_computed_in_float32(law, dtype):
    half = {name: torch.tensor(values[:2]).to(dtype) for name, values in law.parameters.items()}
    batch, exact = law.make(**half), law.make(**{name: value.float() for name, value in half.items()})
    x = exact.sample((20,))
    assert batch.log_prob(x).dtype == torch.float32 and batch.sample((50,)).isfinite().all()
    assert_close(batch.log_prob(x), exact.log_prob(x))
    assert_close(batch.mean, exact.mean)
    assert_close(batch.cdf(x), exact.cdf(x))


def test_moments(law):
    batch, _ = law.batch()
    for moment, name in ((batch.mean, "mean"), (batch.variance, "var")):
        exact = [float(getattr(one, name)()) for one in law.each()]
        assert_close(moment, torch.tensor(exact, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_cdf(law):
    batch, _ = law.batch()
    x = law.points()
    exact = [[float(one.cdf(v)) for one, v in zip(law.each(), row, strict=True)] for row in x.tolist()]
    assert_close(batch.cdf(x), torch.tensor(exact, dtype=torch.float64), rtol=1e-7, atol=1e-9)
    if not batch.support.is_discrete:
        x.requires_grad_()
        (density,) = torch.autograd.grad(batch.cdf(x).sum(), x)
        assert_close(density, batch.log_prob(x).exp().detach())


def test_icdf_is_the_inverse_of_the_cdf(law):
    batch, _ = law.batch()
    if type(batch).icdf is LikelihoodDistribution.icdf:
        with pytest.raises(NotImplementedError):
            batch.icdf(torch.tensor(0.5))
        return
    below = torch.tensor([0.001, 0.2, 0.5, 0.9, 0.999], dtype=torch.float64).unsqueeze(1).requires_grad_()
    x = batch.icdf(below)
    assert_close(batch.cdf(x), below.expand_as(x), rtol=1e-7, atol=1e-9)
    (slope,) = torch.autograd.grad(x.sum(), below)
    assert_close(slope, (-batch.log_prob(x)).exp().sum(1, keepdim=True).detach())
    assert (batch.icdf(torch.tensor([[0.0], [1.0]])).diff(dim=0) > 0).all()
    with pytest.raises(ValueError, match="probabilities"):
        batch.icdf(torch.tensor(1.5))


def test_levels_can_be_listed(law):
    batch, _ = law.batch()
    if not batch.has_enumerate_support:
        with pytest.raises(NotImplementedError):
            batch.enumerate_support()
        return
    levels = batch.enumerate_support()
    assert levels.shape == (5, *batch.batch_shape) and batch.enumerate_support(expand=False).shape == (5, 1)
    assert_close(batch.log_prob(levels).exp().sum(0), torch.ones_like(batch.mean))


def test_entropy(law):
    batch, _ = law.batch()
    try:
        entropy = batch.entropy()
    except NotImplementedError:
        return
    for index, exact in enumerate(law.each()):
        if hasattr(exact, "entropy"):
            right = float(exact.entropy())
        else:
            low, high = (quantile(exact, u) for u in (1e-13, 1 - 1e-13))
            right = quad(lambda x, p=exact: -np.exp(p.logpdf(x)) * p.logpdf(x), low, high, epsabs=1e-10)[0]
        assert entropy[index].item() == pytest.approx(right, rel=1e-6, abs=1e-8)


def test_draws(law):
    torch.manual_seed(1)
    batch, _ = law.batch()
    draws = batch.sample((400,)).numpy()
    for index, exact in enumerate(law.each()):
        column = draws[:, index]
        if batch.support.is_discrete or hasattr(exact, "ends"):
            values, counts = np.unique(column, return_counts=True)
            distance = np.abs(np.cumsum(counts) / len(column) - exact.cdf(values)).max()
            assert distance < 1.95 / np.sqrt(len(column))
        else:
            assert stats.kstest(column, np.vectorize(exact.cdf)).pvalue > 1e-3
    torch.manual_seed(1)
    assert_close(batch.sample((400,)).numpy(), draws)


def test_draws_have_the_gradient_of_the_quantile(law):
    batch, parameters = law.batch(grad=True)
    if not batch.has_rsample:
        with pytest.raises(NotImplementedError):
            batch.rsample()
        return
    torch.manual_seed(0)
    draws = batch.rsample((20,))
    # dx/dθ = −(dP(X ≤ x)/dθ)/p(x)
    step = 1e-5
    for name, tensor in parameters.items():
        (slope,) = torch.autograd.grad(draws.sum(), tensor, retain_graph=True)
        if name == "df":  # of two random numbers, so that it is no quantile's
            continue
        for index in range(len(tensor)):
            values = {other: value[index] for other, value in law.parameters.items()}
            size = step * max(1.0, abs(values[name]))
            beside = [law.exact(**{**values, name: values[name] + sign * size}) for sign in (1, -1)]
            x = draws[:, index].detach().tolist()
            density = np.exp([float(law.exact(**values).logpdf(v)) for v in x])
            change = np.array([float(beside[0].cdf(v)) - float(beside[1].cdf(v)) for v in x]) / (2 * size)
            change[np.isin(x, getattr(beside[0], "ends", ()))] = 0  # a draw with a probability stays where it is
            assert slope[index].item() == pytest.approx(-(change / density).sum(), rel=2e-3, abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mu", [1e4, -1e4])
def test_draws_of_a_truncated_gaussian_next_to_an_end_have_a_gradient(mu, dtype):
    """There it is an exponential law of the rate |μ − end|/σ², and some draws in float32 are rounded to 1."""
    torch.manual_seed(0)
    loc, scale = (torch.tensor(value, dtype=dtype, requires_grad=True) for value in (mu, 0.1))
    draws = TruncatedGaussian(loc, scale).rsample((2000,))
    end = float(mu > 0)
    assert ((draws == 1).any() or mu < 0 or dtype == torch.float64) and draws.isfinite().all()
    to_loc, to_scale = torch.autograd.grad(draws.sum(), (loc, scale))
    off = (draws.detach().double() - end).sum().item()
    assert to_loc.item() == pytest.approx(-off / (mu - end), rel=1e-2)
    assert to_scale.item() == pytest.approx(2 * off / 0.1, rel=1e-2)


def test_log_prob_has_the_right_gradient(law):
    batch, parameters = law.batch(grad=True)
    x = law.points()
    kind = "logpmf" if batch.support.is_discrete else "logpdf"
    for name, tensor in parameters.items():
        (slope,) = torch.autograd.grad(batch.log_prob(x).sum(), tensor)
        for index in range(len(tensor)):
            values = {other: value[index] for other, value in law.parameters.items()}
            size = 1e-6 * max(1.0, abs(values[name]))
            beside = [law.exact(**{**values, name: values[name] + sign * size}) for sign in (1, -1)]
            change = sum(
                float(getattr(beside[0], kind)(v)) - float(getattr(beside[1], kind)(v)) for v in x[:, index].tolist()
            )
            assert slope[index].item() == pytest.approx(change / (2 * size), rel=1e-5, abs=2e-5)


def test_the_draws_of_a_t_have_a_gradient_in_its_degrees_of_freedom():
    torch.manual_seed(0)
    df = torch.tensor([1.5, 4.0, 30.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(StudentT(df).rsample((50_000,)).abs().log().mean(0).sum(), df)
    # E ln|T| = ½ (ln ν + ψ(½) − ψ(ν/2))
    exact = 0.5 * (1 / df - 0.5 * torch.special.polygamma(1, df / 2)).detach()
    assert_close(slope, exact, rtol=0.05, atol=0)
    assert StudentT(df.detach()).variance[0] == torch.inf and StudentT(1.0).mean.isnan()


def test_the_t_is_right_in_float32_where_pytorchs_loses_its_digits():
    x, many = torch.tensor(1.5), torch.tensor(1e6)
    exact = stats.t(1e6).logpdf(1.5)
    assert StudentT(many).log_prob(x).item() == pytest.approx(exact, abs=1e-6)
    assert abs(distributions.StudentT(many).log_prob(x).item() - exact) > 0.05


def test_counts_are_right_in_float32_where_pytorchs_lose_their_digits():
    many = torch.tensor(1e5)
    exact = stats.poisson(1e5).logpmf(1e5)
    assert Poisson(many).log_prob(many).item() == pytest.approx(exact, abs=1e-5)
    assert abs(distributions.Poisson(many).log_prob(many).item() - exact) > 0.05
    x, rate = torch.tensor(100.0), torch.tensor(50.0)
    for total, wrong in ((1e4, 0.005), (1e6, 0.5)):
        overdispersion = torch.tensor(1 / total)
        exact = stats.nbinom(total, 1 / (1 + 50 / total)).logpmf(100)
        assert NegativeBinomial(rate, overdispersion).log_prob(x).item() == pytest.approx(exact, abs=1e-4)
        theirs = distributions.NegativeBinomial(1 / overdispersion, logits=(overdispersion * rate).log())
        assert abs(theirs.log_prob(x).item() - exact) > wrong
