"""KL divergences between distributions, and where PyTorch's own continuous Bernoulli and beta go wrong in float32."""

import numpy as np
import pytest
import torch
from distribution_cases import LAWS, ContinuousBernoulliByMpmath, quantile
from scipy import stats
from scipy.integrate import quad
from torch import distributions
from torch.distributions import kl_divergence
from torch.testing import assert_close

from vaekl.distributions import Beta, ContinuousBernoulli, DiscretizedLogistic

#: those of which PyTorch's registry knows a KL
KNOWN = [name for name, law in LAWS.items() if (type(law.batch()[0]),) * 2 in distributions.kl._KL_REGISTRY]


def test_pairs_of_a_kind_are_registered():
    assert {"cb", "beta", "discretized_logistic"} <= set(KNOWN)
    with pytest.raises(NotImplementedError, match="levels"):
        kl_divergence(DiscretizedLogistic(0.5, 0.1, 5), DiscretizedLogistic(0.5, 0.1, 6))


def kl_by_quadrature(p, q):
    """Of two laws of SciPy's."""
    if hasattr(p, "logpmf"):
        k = np.arange(int(p.ppf(1 - 1e-15)) + 1)
        return (p.pmf(k) * (p.logpmf(k) - q.logpmf(k))).sum()
    low, high = (quantile(p, u) for u in (1e-12, 1 - 1e-12))
    return quad(lambda x: np.exp(p.logpdf(x)) * (p.logpdf(x) - q.logpdf(x)), low, high, epsabs=1e-8, limit=100)[0]


@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
@pytest.mark.parametrize("name", KNOWN)
def test_kl_is_the_integral(name):
    law = LAWS[name]
    batch, parameters = law.batch(grad=True)
    nats = kl_divergence(batch, law.make(**{key: value.roll(1) for key, value in parameters.items()}))
    exact = law.each()
    for index, p in enumerate(exact):
        q = exact[index - 1]
        right = p.kl(q) if hasattr(p, "kl") else kl_by_quadrature(p, q)
        assert nats[index].item() == pytest.approx(right, rel=1e-6, abs=1e-8)
    assert all(slope.isfinite().all() for slope in torch.autograd.grad(nats.sum(), list(parameters.values())))
    assert_close(kl_divergence(batch, batch), torch.zeros_like(nats), rtol=0, atol=1e-9)
    assert kl_divergence(batch.expand((2, *batch.batch_shape)), batch).shape == (2, *batch.batch_shape)


@pytest.mark.parametrize(
    ("a", "c"), [(-500.0, 20.0), (20.0, -500.0), (-25.0, 30.0), (3.0, 3.0001), (3e4, 30003.0), (1e-4, -1e-4)]
)
def test_kl_of_continuous_bernoullis_is_never_negative(a, c):
    """PyTorch issue 72525: its own KL of the first pair is −16.7."""
    ours = kl_divergence(*(ContinuousBernoulli(logits=torch.tensor(logit)) for logit in (a, c))).item()
    p, q = (ContinuousBernoulliByMpmath(torch.tensor(logit).item()) for logit in (a, c))
    assert ours == pytest.approx(p.kl(q), rel=1e-4, abs=1e-13) and ours > 0
    if a == -500:
        theirs = kl_divergence(*(distributions.ContinuousBernoulli(logits=torch.tensor(logit)) for logit in (a, c)))
        assert theirs < -16


@pytest.mark.parametrize("a", [-1e4, -50.0, -17.0, -0.3, 1e-6, 1.9, 16.5, 20.0, 300.0])
def test_the_continuous_bernoulli_is_right_in_float32_where_pytorchs_freezes(a):
    exact = ContinuousBernoulliByMpmath(a)
    x = torch.tensor([0.0, 0.125, 0.5, 0.875, 1.0])

    def slope(make):
        logit = torch.tensor(a, requires_grad=True)
        nats = make(logits=logit).log_prob(x)
        return nats.detach(), torch.autograd.grad(nats.sum(), logit)[0].item()

    nats, to_logit = slope(ContinuousBernoulli)
    assert_close(nats.double(), torch.tensor([exact.logpdf(v) for v in x.tolist()]).double(), rtol=3e-7, atol=3e-7)
    right = sum(x.tolist()) - len(x) * exact.mean()
    assert to_logit == pytest.approx(right, rel=1e-5, abs=1e-6)
    law = ContinuousBernoulli(logits=torch.tensor(a))
    assert law.mean.item() == pytest.approx(exact.mean(), rel=1e-6)
    assert law.variance.item() == pytest.approx(exact.var(), rel=1e-5)
    if abs(a) >= 17:  # PyTorch 2.11 still moves at 16.5, and 2.15 no more
        # its ln C stands still, so that its gradient is that of BCE alone, which is 0 at x = 1 and 0
        theirs, their_slope = slope(distributions.ContinuousBernoulli)
        assert their_slope == pytest.approx(sum(x.tolist()) - len(x) * (a > 0), abs=1e-5)
        assert abs(their_slope - right) > 0.01 * abs(1 / a) and (theirs.double() - nats.double()).abs().max() > 0.01


def test_the_beta_is_right_in_float32_where_pytorchs_loses_its_digits():
    x, many = torch.tensor(0.5), torch.tensor(1e4)
    exact = stats.beta(1e4, 1e4).logpdf(x.item())
    assert Beta(many, many).log_prob(x).item() == pytest.approx(exact, abs=1e-3)
    assert abs(distributions.Beta(many, many).log_prob(x).item() - exact) > 5e-3


def test_the_beta_at_the_ends_is_as_pytorchs():
    one, two, half = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(0.5)
    for alpha, beta in ((one, one), (one, two), (two, one), (half, one), (two, two), (half, half)):
        for x in (torch.tensor(0.0), torch.tensor(1.0)):
            assert_close(Beta(alpha, beta).log_prob(x), distributions.Beta(alpha, beta).log_prob(x), atol=1e-6, rtol=0)
