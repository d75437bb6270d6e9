"""Rates in proportion to each row's total: SciPy's laws at shifted means, best rates in closed form, every figure."""

import numpy as np
import pytest
import torch
from helpers import model_of, seeded, split_of
from scipy import stats

from vaekl.data import DataSpec
from vaekl.measures.annealing import annealed_bound
from vaekl.measures.calibration import calibration
from vaekl.measures.elbo import evaluate
from vaekl.measures.importance import importance_bounds
from vaekl.measures.pictures import decoded
from vaekl.measures.ruler import log_density
from vaekl.model.likelihoods import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from vaekl.model.weighting import FixedDispersion
from vaekl.training.callbacks.baseline import rmse_of_mean

D, MEAN = 5, 12.5
SPEC = DataSpec("words", (D,), None, "counts", mean_total=MEAN)
X = torch.tensor(np.random.default_rng(0).poisson(3, (20, D)) * np.array([[1], [9]] * 10), dtype=torch.float32)
#: what multiplies the rates of each row
EXPOSURE = X.numpy().sum(1, keepdims=True) / MEAN
FAMILIES = {
    "poisson": Poisson(),
    "negative_binomial": NegativeBinomial(),
    "by decoder": NegativeBinomial("decoder"),
    "zinb": ZeroInflatedNegativeBinomial(),
    "zinb by decoder": ZeroInflatedNegativeBinomial("decoder"),
}


def trained_like(family, spec=SPEC, latents=2):
    """A model with weights of chance, φ = 0.7 where the family has one."""
    shared = not family.weighs_energy
    return model_of(spec, family, FixedDispersion(family, spec.shape, 0.7 if shared else 1.0), latents).eval()


@pytest.mark.parametrize("name", FAMILIES)
def test_probabilities_and_moments_are_scipys_at_the_shifted_mean(name):
    family = FAMILIES[name]
    model = trained_like(family)
    with torch.no_grad():
        terms, _ = model.terms(X, torch.zeros(len(X), 2))
        z = model.encode(X)[0]
        eta, shifted = model.decode(z), model.decode(z, X)
        mean, variance = (part.numpy() for part in model.moments(shifted))
        log_prob = model.log_prob(shifted, X)
    rate, x, phi = np.exp(eta[:, 0].double().numpy()) * EXPOSURE, X.numpy(), 0.7
    if "decoder" in name:
        phi = np.exp(eta[:, 1].double().numpy())
    more = 1 / (1 + np.exp(-eta[:, -1].double().numpy())) if "zinb" in name else 0.0
    law = stats.poisson(rate) if name == "poisson" else stats.nbinom(1 / phi, 1 / (1 + phi * rate))
    expected = np.log(more * (x == 0) + (1 - more) * law.pmf(x)).sum(1)
    np.testing.assert_allclose(-terms.energy_nats, expected, rtol=2e-5)
    np.testing.assert_allclose(log_prob, expected, rtol=2e-5)
    np.testing.assert_allclose(mean, (1 - more) * law.mean(), rtol=1e-5)
    second = (1 - more) * (law.var() + law.mean() ** 2)
    np.testing.assert_allclose(variance, second - ((1 - more) * law.mean()) ** 2, rtol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_twice_the_total_is_twice_the_mean(name):
    model = trained_like(FAMILIES[name])
    z = torch.randn(len(X), 2, generator=seeded())
    with torch.no_grad():
        once, twice = (model.moments(model.decode(z, x))[0] for x in (X, 2 * X))
        at_mean = model.moments(model.decode(z, X * (MEAN / X.sum(1, keepdim=True))))[0]
        torch.testing.assert_close(at_mean, model.moments(model.decode(z))[0])
        draws = decoded(model, z.repeat(60, 1), seeded(1), 2 * X.repeat(60, 1)).view(60, *X.shape).mean(0)
    torch.testing.assert_close(twice, 2 * once)
    torch.testing.assert_close(draws.sum(), twice.sum(), rtol=0.1, atol=0)


def test_training_without_a_useful_latent_ends_at_the_sums_of_the_columns_over_the_sum_of_the_exposures():
    """The best Poisson rates of exposures t_i are Σ_i x_id / Σ_i t_i."""
    model = model_of(SPEC, Poisson(), latents=1, hidden=())
    bias = model.decoder.last_bias
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    search = torch.optim.LBFGS([bias], line_search_fn="strong_wolfe", max_iter=60, tolerance_change=0)

    def loss():
        search.zero_grad()
        value = model.loss(model(X, torch.zeros(len(X), 1)), 1.0)
        value.backward()
        return value

    search.step(loss)
    np.testing.assert_allclose(bias.detach().exp(), X.numpy().sum(0) / EXPOSURE.sum(), rtol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_row_of_zeros_is_certain_given_its_total(name):
    """Its rate is 0: ln p = 0, nothing but zeros is drawn, and no gradient is lost."""
    model, x, z = trained_like(FAMILIES[name]), torch.zeros(3, D), torch.randn(3, 2, generator=seeded())
    eta = model.decode(z, x)
    log_prob = model.log_prob(eta, x)
    log_prob.sum().backward()
    assert log_prob.abs().max() < 1e-6
    assert all(part.abs().max() == 0 for part in model.moments(eta))
    assert decoded(model, z, seeded(), x).abs().max() == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_every_figure_is_of_the_rows_own_totals():
    """ELBO, RMSE, σ and the bounds agree with what is computed by hand from each row's rate."""
    model, split = trained_like(Poisson()), split_of(X)
    with torch.no_grad():
        evaluation = evaluate(model, split, seeded(4))
        judged = calibration(model, split, seeded(4))
        bounds = importance_bounds(model, split, log_density(model), [1, 30], seeded(4), chunk=7)
        annealed = annealed_bound(model, split, seeded(5), 20).mean().item()
        drawn = model.sample_posterior(X, seeded(4)).z
        rate = model.decode(drawn)[:, 0].double().exp().numpy() * EXPOSURE
    assert evaluation.energy == pytest.approx(-stats.poisson(rate).logpmf(X.numpy()).sum(1).mean(), rel=1e-5)
    assert evaluation.rmse == pytest.approx(np.sqrt(np.square(rate - X.numpy()).mean()), rel=1e-5)
    assert evaluation.implied_sigma == pytest.approx(np.sqrt(rate.mean()), rel=1e-5)
    assert judged.rmse[0] == pytest.approx(evaluation.rmse) and judged.implied_sigma[0] == pytest.approx(
        evaluation.implied_sigma
    )
    assert bounds.elbo.mean().item() == pytest.approx(evaluation.elbo, rel=1e-6)
    assert evaluation.elbo < bounds.bound[30].mean().item() < annealed + 1


def test_the_error_without_a_model_is_that_of_each_values_share():
    x = X.numpy()
    left = x - x.sum(0) / EXPOSURE.sum() * EXPOSURE
    error = rmse_of_mean(split_of(X), SPEC, torch.device("cpu"))
    assert error == pytest.approx(np.sqrt(np.square(left).mean()), rel=1e-6)
