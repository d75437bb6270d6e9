"""`of` gives each family, as a decoder's output means it, the same density as the family itself."""

from math import inf, log

import pytest
import torch
from torch import distributions
from torch.distributions import Independent
from torch.testing import assert_close

from vaekl import distributions as ours
from vaekl.model import likelihoods
from vaekl.model.likelihoods import Likelihood
from vaekl.model.likelihoods.choices import FAMILIES
from vaekl.system.errors import VaeklError

S = (2, 3)
EXTRA = {
    "gaussian, by decoder": likelihoods.Gaussian("sigmoid", scale="decoder"),
    "laplace, an image's scale": likelihoods.Laplace(scale="decoder", per="image"),
    "cb, clipped": likelihoods.ContinuousBernoulli(max_logit=2.0),
    "student_t, all by decoder": likelihoods.StudentT(scale="decoder", df="decoder"),
    "beta, clamped": likelihoods.Beta(clamp=0.01),
}
#: all but that of a table, which wants the kinds of its columns
CASES = {family.name: family for family in FAMILIES if family is not likelihoods.Columns} | EXTRA
#: PyTorch's own classes, which are exact
THEIRS = {
    "bernoulli": distributions.Bernoulli,
    "categorical": distributions.Categorical,
    "gaussian": distributions.Normal,
    "laplace": distributions.Laplace,
}


def built(name):
    """A family, with five levels where it has levels."""
    case = CASES[name]
    if isinstance(case, Likelihood):
        return case
    return case(levels=5) if "levels" in case.accepts else case()


@pytest.fixture(params=CASES)
def drawn(request):
    """A name, its family, η of four examples, φ and draws of the family."""
    likelihood = built(request.param)
    torch.manual_seed(0)
    eta = torch.randn(4, likelihood.outputs, *S, dtype=torch.float64)
    dispersion = 1.0
    for value in (0.7, 1.7):
        try:
            likelihood.check_dispersion(value)
        except VaeklError:
            continue
        dispersion = value
    phi = torch.full(S, dispersion, dtype=torch.float64)
    return request.param, likelihood, eta, phi, likelihood.sample(eta, phi)


def test_it_is_the_density_of_the_family(drawn):
    name, likelihood, eta, phi, x = drawn
    law = ours.of(likelihood, eta, phi)
    assert law.batch_shape == (4, *S) and law.event_shape == ()
    assert type(law) is THEIRS.get(name, type(law))
    assert_close(law.log_prob(x), likelihood.log_prob(eta, x, phi))
    if type(law).__name__ != "Categorical":  # whose levels are names to PyTorch
        assert_close(law.mean, likelihood.mean(eta, phi))
        assert_close(law.variance, likelihood.variance(eta, phi))
    assert law.support.check(law.sample((50,))).all()
    # of a batch of batches
    assert_close(law.log_prob(torch.stack([x, x])), likelihood.log_prob(eta, x, phi).expand(2, 4, *S))
    image = Independent(law, len(S))
    assert_close(image.log_prob(x), likelihood.log_prob(eta, x, phi).sum((1, 2)))
    wide = image.expand((3, 4))
    assert wide.sample().shape == (3, 4, *S)
    assert_close(wide.log_prob(x), image.log_prob(x).expand(3, 4))


def test_it_has_the_gradients_of_the_family(drawn):
    _, likelihood, eta, phi, x = drawn
    eta.requires_grad_()
    slopes = [
        torch.autograd.grad(nats.sum(), eta)[0]
        for nats in (ours.of(likelihood, eta, phi).log_prob(x), likelihood.log_prob(eta, x, phi))
    ]
    assert_close(*slopes)


def test_a_mixture_is_pytorchs_mixture_of_discretized_logistics():
    family = likelihoods.LogisticMixture(components=3, levels=5, min_scale=1e-9)
    eta = torch.randn(4, 9, *S, generator=torch.Generator().manual_seed(0)).double()
    logits, loc, log_scale = (part.movedim(1, -1) for part in eta.chunk(3, 1))
    mixture = distributions.MixtureSameFamily(
        distributions.Categorical(logits=logits), ours.DiscretizedLogistic(loc, log_scale.exp(), levels=5)
    )
    law, x = ours.of(family, eta), torch.full((4, *S), 3.0).double()
    assert_close(mixture.log_prob(x), law.log_prob(x))
    assert_close(mixture.variance, law.variance)
    assert_close(mixture.cdf(x), law.cdf(x))
    assert law.entropy().shape == mixture.sample().shape == (4, *S)


def test_a_number_is_a_dispersion():
    eta = torch.zeros(2, 1, *S)
    assert_close(ours.of(likelihoods.Gaussian(), eta, 4.0).stddev, torch.full((2, *S), 2.0))
    with pytest.raises(VaeklError, match="at least 1"):
        ours.of(likelihoods.Beta(), torch.zeros(2, 2, *S), 0.5)
    with pytest.raises(ValueError, match="dispersion"):
        ours.of(likelihoods.Beta(clamp=0.1), torch.zeros(2, 2, *S), torch.tensor(-1.0))


class Exponential(Likelihood):
    """A user's own: E = x/μ, ln C = −ln μ, with the mean μ = exp(η)."""

    name = "exponential"
    accepts = ("real",)
    bounds = (0.0, inf)

    def energy(self, eta, x, dispersion):
        return x * (-eta[:, 0]).exp()

    def log_norm_const(self, eta, dispersion):
        return (-eta[:, 0] - dispersion.log()).expand_as(eta[:, 0])

    def mean(self, eta, dispersion):
        return eta[:, 0].exp() * dispersion

    def variance(self, eta, dispersion):
        return self.mean(eta, dispersion).square()

    def sample(self, eta, dispersion, generator=None):
        return self.mean(eta, dispersion) * torch.empty_like(eta[:, 0]).exponential_(generator=generator)


def test_a_family_of_ones_own():
    law = ours.of(Exponential(), torch.full((2, 1, 3), log(2.0)), 1.5)
    exact = distributions.Exponential(torch.tensor(1 / 3))
    x = law.sample((10,))
    assert_close(law.log_prob(x), exact.log_prob(x))
    assert_close(law.variance, torch.full((2, 3), 9.0))
    with pytest.raises(ValueError, match="support"):
        law.log_prob(-x)
    for method in (law.rsample, law.entropy, lambda: law.cdf(x), lambda: law.icdf(x)):
        with pytest.raises(NotImplementedError):
            method()
