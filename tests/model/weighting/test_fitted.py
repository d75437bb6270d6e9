"""φ found by gradient or in closed form, against numpy and autograd through the closed form."""

import numpy as np
import pytest
import torch
from helpers import seeded
from numpy.testing import assert_allclose
from torch.testing import assert_close
from weighting_cases import GROUPS, LIKELIHOODS, SHAPE, SHARED, images, model_of, noise_of

from vaekl.measures.elbo import evaluate
from vaekl.model.ledger import ElboTerms, PosteriorSample
from vaekl.model.likelihoods import Gaussian
from vaekl.model.weighting import LearnedPrecision, OptimalPrecision

#: s in ln C = −s ln φ + const: one unit of E/φ for each value (Laplace), or half of one (Gaussian)
SCALES = {"gaussian": 0.5, "laplace": 1.0}
every_scale = pytest.mark.parametrize("family", SCALES)
every_group = pytest.mark.parametrize("per", GROUPS)


def energies(family, model, x, noise):
    """E of each value by numpy, from the decoder's output alone."""
    mean, log_std = model.encode(x)
    mu = model.decode(mean + log_std.exp() * noise)[:, 0].detach().numpy().astype(float)
    error = x.numpy().astype(float) - mu
    return 0.5 * error**2 if family == "gaussian" else np.abs(error)


def trained_once(family, per, **options):
    """An optimal weighting after one training batch, its ledger, and E by numpy."""
    likelihood = LIKELIHOODS[family]
    model = model_of(likelihood, OptimalPrecision(likelihood, SHAPE, per, **options)).train()
    x, noise = images(), noise_of()
    return model, model(x, noise), energies(family, model, x, noise)


@every_scale
@every_group
def test_solved_dispersion_is_the_batch_s_mean_energy_over_s(family, per):
    model, terms, energy = trained_once(family, per)
    expected = energy.mean(SHARED[per]).reshape(GROUPS[per]) / SCALES[family]
    assert terms.dispersion.shape == GROUPS[per]
    assert_allclose(terms.dispersion.numpy(), expected, rtol=1e-5)
    assert_allclose(model.weighting.dispersion.numpy(), expected, rtol=1e-5)


@every_scale
@every_group
def test_the_batch_s_energy_over_phi_sums_to_s_n_d(family, per):
    _, terms, _ = trained_once(family, per)
    assert terms.energy_nats.sum().item() == pytest.approx(SCALES[family] * 16 * 24, rel=1e-5)


@every_scale
@every_group
def test_solved_dispersion_is_the_best_one(family, per):
    """No other φ gives the batch a higher likelihood: bracketed, with the density's own formula in numpy."""
    _, terms, energy = trained_once(family, per)
    best = terms.dispersion.numpy().astype(float)

    def log_likelihood(phi):
        return (-energy / phi - SCALES[family] * np.log(phi)).sum()

    for factor in (0.9, 0.99, 1.01, 1.1):
        assert log_likelihood(factor * best) < log_likelihood(best)


@every_scale
@every_group
def test_gradient_is_that_of_the_closed_form(family, per):
    """With φ* put in, E/φ − ln C is s·Σ ln mean(E) + const: autograd through that must agree."""
    model, terms, _ = trained_once(family, per)
    model.weighting.loss(terms, 0.0).backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}

    mean, log_std = model.encode(images())
    eta = model.decode(mean + log_std.exp() * noise_of())
    energy = model.likelihood.energy(eta, images(), torch.ones(1, 1, 1))
    means = energy.mean(SHARED[per])
    values = 24 / max(1, means.numel())
    closed = SCALES[family] * values * means.log().sum()
    expected = torch.autograd.grad(closed, list(model.parameters()))
    for name, gradient in zip(gradients, expected, strict=True):
        assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_no_gradient_goes_through_the_solved_dispersion():
    _, terms, _ = trained_once("gaussian", "scalar")
    assert not terms.dispersion.requires_grad
    assert not terms.log_norm_const.requires_grad


def test_evaluation_uses_the_bias_corrected_running_mean():
    model, _, _ = trained_once("gaussian", "channel", momentum=0.2)
    seen = [model.weighting.batch_phi.double().numpy()]
    assert_allclose(model.eval().weighting.dispersion.numpy(), seen[0], rtol=1e-6)
    model.train()
    for seed in range(1, 6):
        model(images(seed=seed) * (1 + 0.1 * seed), noise_of())
        seen.append(model.weighting.batch_phi.double().numpy())
    weights = 0.2 * 0.8 ** np.arange(len(seen))[::-1]
    expected = np.tensordot(weights / weights.sum(), np.stack(seen), 1)
    assert_allclose(model.eval().weighting.dispersion.numpy(), expected, rtol=1e-5)
    assert_allclose(model.train().weighting.dispersion.numpy(), seen[-1], rtol=1e-6)


def test_momentum_one_remembers_the_last_batch_alone():
    model, _, _ = trained_once("gaussian", "scalar", momentum=1.0)
    model(2 * images(seed=5), noise_of())
    last = model.weighting.batch_phi.clone()
    assert_close(model.eval().weighting.dispersion, last)


def test_before_the_first_batch_evaluation_takes_one():
    assert OptimalPrecision(Gaussian(), SHAPE, "pixel").eval().dispersion.tolist() == torch.ones(SHAPE).tolist()


def test_a_test_pass_changes_no_buffer():
    """φ is never estimated on the data that are judged."""
    model, _, _ = trained_once("gaussian", "pixel")
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    weights = [p.detach().clone() for p in model.parameters()]

    class Brighter:
        def __len__(self):
            return 16

        def batch(self, index, generator=None):
            return 3 * images(seed=9)[index]

    judged = evaluate(model, Brighter(), seeded())
    assert_close(judged.dispersions.view(SHAPE), before["weighting.batch_phi"])
    after = dict(model.named_buffers())
    assert set(before) == set(after) >= {"weighting.batch_phi", "weighting.running_phi", "weighting.running_weight"}
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))


@every_scale
@every_group
def test_a_constant_pixel_gives_no_infinity(family, per):
    """Reproduced exactly, it has no energy; φ = 0 would be an infinite density."""
    likelihood = LIKELIHOODS[family]
    weighting = OptimalPrecision(likelihood, SHAPE, per).train()
    x = images()
    x[:, 0, 0, 0] = 0.5
    eta = torch.full((16, 1, *SHAPE), 0.5, requires_grad=True)
    weighting.observe(eta.detach(), x)
    phi = weighting.dispersion
    energy = likelihood.energy(eta, x, phi)
    terms = ElboTerms(
        energy=energy.sum_to_size(16, *phi.shape),
        log_norm_const=likelihood.log_norm_const(eta, phi).flatten(1).sum(1),
        kl=torch.zeros(16, 3),
        dispersion=phi,
        posterior=PosteriorSample(*[torch.zeros(16, 3)] * 4),
    )
    loss = weighting.loss(terms, 1.0)
    loss.backward()
    assert phi.min() > 0
    assert loss.isfinite()
    assert terms.elbo.isfinite().all()
    assert eta.grad.isfinite().all()


@every_scale
@every_group
def test_gradient_of_a_learned_log_dispersion_by_hand(family, per):
    """d loss/d ln φ = −mean(E)/φ + s·(values that share this φ)."""
    likelihood = LIKELIHOODS[family]
    weighting = LearnedPrecision(likelihood, SHAPE, per, init=0.3)
    with torch.no_grad():
        weighting.log_dispersion += torch.linspace(-0.5, 0.5, weighting.log_dispersion.numel()).view(GROUPS[per])
    model = model_of(likelihood, weighting)
    x, noise = images(), noise_of()
    weighting.loss(model(x, noise), 1.0).backward()
    energy = energies(family, model, x, noise).sum(SHARED[per]).reshape(GROUPS[per]) / 16
    phi = weighting.dispersion.detach().double().numpy()
    expected = -energy / phi + SCALES[family] * 24 / phi.size
    assert_allclose(weighting.log_dispersion.grad.numpy(), expected, rtol=1e-4, atol=1e-4)


@every_scale
@every_group
def test_the_learned_dispersion_s_best_value_is_the_solved_one(family, per):
    """Both find the same number: at φ* = mean(E)/s the learned one has no gradient left."""
    model, terms, _ = trained_once(family, per)
    learned = LearnedPrecision(model.likelihood, SHAPE, per)
    with torch.no_grad():
        learned.log_dispersion.copy_(terms.dispersion.log())
    model.weighting = learned
    learned.loss(model(images(), noise_of()), 1.0).backward()
    assert learned.log_dispersion.grad.abs().max().item() < 1e-4


def test_a_learned_dispersion_starts_where_it_is_told_and_may_go_below_one():
    weighting = LearnedPrecision(Gaussian(), SHAPE, "channel", init=0.01)
    assert weighting.dispersion.shape == (2, 1, 1)
    assert_close(weighting.dispersion, torch.full((2, 1, 1), 0.01))
    with torch.no_grad():
        weighting.log_dispersion -= 10
    assert_close(weighting.dispersion, torch.full((2, 1, 1), 0.01 * np.exp(-10)))


def test_the_kl_weighs_phi_times_as_much_as_the_energy():
    learned = LearnedPrecision(Gaussian(), SHAPE, init=0.04)
    assert learned.effective_beta_kl(learned.dispersion, 0.5).item() == pytest.approx(0.02)
    energy, kl = torch.ones(1, 1, 1, 1, requires_grad=True), torch.ones(1, 1, requires_grad=True)
    terms = ElboTerms(energy, torch.zeros(1), kl, learned.dispersion, torch.zeros(1, 1))
    learned.loss(terms, 0.5).backward()
    assert (kl.grad / energy.grad.view(1, 1)).item() == pytest.approx(0.02)
