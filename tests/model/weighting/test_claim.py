"""The claim: tuning the KL's weight is tuning the variance, where ln C does not depend on the decoder.

`fixed_beta` at learning rate r and `fixed_dispersion` at r·β_KL have gradients that differ by the factor β_KL exactly,
so plain SGD must take both through the same parameters. For the continuous Bernoulli it must not.
"""

from math import exp, log

import pytest
import torch
from scipy.optimize import brentq
from torch.testing import assert_close
from weighting_cases import SHAPE, images, model_of, noise_of

from vaekl.model.ledger import ElboTerms, PosteriorSample
from vaekl.model.likelihoods import Bernoulli, Categorical, ContinuousBernoulli, Gaussian, Laplace
from vaekl.model.weighting import CBNormalizer, FixedBeta, FixedDispersion
from vaekl.training.schedules import LinearSchedule

STEPS, RATE = 50, 0.02


#: grey images as values of each family's support
VALUES = {
    "bernoulli": (lambda x: x.round(), "binary", 2),
    "categorical": (lambda x: (4 * x).round().long(), "levels", 5),
}


def walk(likelihood, weighting, rate, information_weight=1.0):
    """Parameters after each step, the reported ELBO at each, and how far the parameters moved."""
    values, *support = VALUES.get(likelihood.name, (lambda x: x, "unit_interval", None))
    model = model_of(likelihood, weighting, 0, *support)
    optimizer = torch.optim.SGD(model.parameters(), rate)
    schedule = LinearSchedule(STEPS, steps=10, start=0.5)
    path = [torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()]
    elbos = []
    for step in range(STEPS):
        terms = model(values(images(seed=step % 4)), noise_of(seed=step))
        optimizer.zero_grad()
        weighting.loss(terms, information_weight * schedule(step)).backward()
        optimizer.step()
        path.append(torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone())
        elbos.append(terms.elbo.detach())
    path = torch.stack(path)
    return path, torch.stack(elbos), (path[-1] - path[0]).norm().item()


def both(likelihood, beta):
    dropped = walk(likelihood, FixedBeta(likelihood, SHAPE, beta), RATE)
    kept = walk(likelihood, FixedDispersion(likelihood, SHAPE, beta), RATE * beta)
    return dropped, kept


@pytest.mark.parametrize("likelihood", [Gaussian(), Gaussian("sigmoid"), Laplace()], ids=["gaussian", "σ", "laplace"])
@pytest.mark.parametrize("beta", [0.25, 4.0])
def test_powers_of_two_walk_bit_for_bit_the_same_way(likelihood, beta):
    """Scaling by a power of two rounds nothing, so that even float32 must agree in every bit."""
    (dropped, dropped_elbo, moved), (kept, kept_elbo, _) = both(likelihood, beta)
    assert moved > 0.1
    assert torch.equal(dropped, kept)
    assert torch.equal(dropped_elbo, kept_elbo)


@pytest.mark.parametrize("beta", [0.03, 0.3, 1.0, 7.7])
def test_any_beta_walks_the_same_way_and_reports_the_same_elbo(beta):
    (dropped, dropped_elbo, moved), (kept, kept_elbo, _) = both(Gaussian(), beta)
    assert moved > 0.1
    assert_close(dropped, kept, rtol=1e-5, atol=1e-5)
    assert_close(dropped_elbo, kept_elbo, rtol=1e-5, atol=1e-4)


def test_the_elbo_of_a_wrong_dispersion_would_differ():
    """The equality above is no accident of a figure that forgets φ."""
    (_, at_its_own, _), _ = both(Gaussian(), 0.3)
    _, (_, at_another, _) = both(Gaussian(), 0.6)
    assert (at_its_own - at_another).abs().min() > 0.5


@pytest.mark.parametrize("beta", [0.25, 1.0, 4.0])
def test_the_continuous_bernoulli_walks_elsewhere(beta):
    """ln C depends on its logit, so dropping it changes every step, at β_KL = 1 also."""
    (dropped, _, moved), (kept, _, _) = both(ContinuousBernoulli(), beta)
    # 1e-6 is what rounding alone does above
    assert (dropped[-1] - kept[-1]).norm().item() > 0.05 * moved


@pytest.mark.parametrize("likelihood", [Bernoulli(), Categorical(5)], ids=lambda likelihood: likelihood.name)
@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_beta_of_a_discrete_family_is_an_information_weight_at_phi_one(likelihood, beta):
    """The energy is −ln p at φ = 1, whose decoder does not depend on β: what is judged is the density at φ = 1."""
    weighted = walk(likelihood, FixedBeta(likelihood, SHAPE, beta), RATE)
    at_one = walk(likelihood, FixedDispersion(likelihood, SHAPE, 1.0), RATE, information_weight=beta)
    assert weighted[2] > 0.1
    assert_close(weighted[0], at_one[0], rtol=1e-5, atol=1e-5)
    assert_close(weighted[1], at_one[1], rtol=1e-5, atol=1e-4)
    assert "nothing is dropped" in FixedBeta(likelihood, SHAPE, beta).explanation()


@pytest.mark.parametrize("likelihood", [Bernoulli(), Categorical(5)], ids=lambda likelihood: likelihood.name)
def test_a_tempered_discrete_family_walks_elsewhere(likelihood):
    """At φ = 4, ln C = −ln Σ p^(1/φ) of the decoder's p."""
    weighted = walk(likelihood, FixedBeta(likelihood, SHAPE, 4.0), RATE)
    tempered = walk(likelihood, FixedDispersion(likelihood, SHAPE, 4.0), RATE * 4)
    assert (weighted[0][-1] - tempered[0][-1]).norm().item() > 0.05 * weighted[2]


def test_beta_judges_the_pixel_that_the_decoder_says():
    """A Bernoulli pixel with p = 0.9 that is 1: ln 0.9 at any β. At φ = 4, p^(1/4) normalised is 0.634."""
    likelihood = Bernoulli()
    eta, x = torch.tensor(0.9).logit().view(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    weighting = FixedBeta(likelihood, (1, 1, 1), 4.0)
    phi = weighting.dispersion
    assert phi.item() == 1
    assert likelihood.log_prob(eta, x, phi).item() == pytest.approx(log(0.9), rel=1e-6)
    assert weighting.effective_beta_kl(phi, 0.5).item() == 2.0
    tempered = likelihood.log_prob(eta, x, torch.full((1, 1, 1), 4.0)).item()
    assert exp(tempered) == pytest.approx(0.9**0.25 / (0.9**0.25 + 0.1**0.25), rel=1e-5)


@pytest.mark.parametrize("mean", [0.05, 0.3, 0.8, 0.97])
def test_the_dropped_constant_moves_the_best_logit(mean):
    """Without ln C the best logit solves sigmoid(a) = x̄; with it, 1/(1 − e^−a) − 1/a = x̄."""
    likelihood = ContinuousBernoulli()
    x = torch.full((1, 1, 1, 1), mean)

    def slope(weighting, a):
        eta = torch.full((1, 1, 1, 1, 1), a, requires_grad=True)
        phi, none = weighting.dispersion, torch.zeros(1, 1)
        constant = likelihood.log_norm_const(eta, phi).flatten(1).sum(1)
        weighting.loss(
            ElboTerms(likelihood.energy(eta, x, phi), constant, none, phi, PosteriorSample(*[none] * 4)), 1.0
        ).backward()
        return eta.grad.item()

    without = log(mean / (1 - mean))
    exact = brentq(lambda a: 1 / (1 - exp(-a)) - 1 / a - mean, *((-200, -1e-3) if mean < 0.5 else (1e-3, 200)))
    assert abs(exact) > 1.5 * abs(without)
    dropped, kept = FixedBeta(likelihood, (1, 1, 1)), CBNormalizer(likelihood, (1, 1, 1))
    assert slope(dropped, without) == pytest.approx(0, abs=1e-6)
    assert slope(kept, exact) == pytest.approx(0, abs=1e-6)
    assert abs(slope(dropped, exact)) > 0.02
    assert abs(slope(kept, without)) > 0.02
