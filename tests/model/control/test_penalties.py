"""The controls that change what stands for the KL, against hand, SciPy and closed forms."""

from math import exp, log

import numpy as np
import pytest
import torch
from control_cases import IMAGES, made, penalised, posterior_of, terms_of
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from vaekl.model.control import Decomposed, FreeBits, InformationWeight, LearnedBeta, Mmd
from vaekl.model.control.decomposed import rate_parts
from vaekl.model.control.mmd import squared_mmd
from vaekl.model.ledger import gaussian_kl

KL = [[0.2, 3.0, 0.0], [0.6, 1.0, 0.2]]


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_an_information_weight_multiplies_the_kl():
    control = made(InformationWeight, weight=4.0)
    assert penalised(control, terms_of(KL), 0.5).tolist() == pytest.approx([2 * 3.2, 2 * 1.8])
    assert control.multiplier(0.5) == 2.0
    assert control.weighs and not made(InformationWeight).weighs


@pytest.mark.parametrize(
    ("options", "expected", "free"),
    [
        # means of the batch: 0.4, 2, 0.1
        ({"floor": 0.5}, [0.5 + 3 + 0.5, 0.5 + 1 + 0.5], [True, False, True]),
        ({"floor": 0.5, "of": "image"}, [0.5 + 3 + 0.5, 0.6 + 1 + 0.5], None),
        # groups (0.2 + 3, 0) and (0.6 + 1, 0.2): means 2.4 and 0.1
        ({"floor": 2.0, "groups": 2}, [3.2 + 2, 1.6 + 2], [False, False, True]),
    ],
)
def test_free_bits(options, expected, free):
    kl = torch.tensor(KL, requires_grad=True)
    values = penalised(made(FreeBits, **options), terms_of(kl))
    assert values.tolist() == pytest.approx(expected)
    values.sum().backward()
    if free is not None:
        assert (kl.grad == 0).all(0).tolist() == free


def test_a_learned_beta_ends_where_its_equation_says():
    """λ² + λ/2 = 1/(2 KL) against SciPy's minimum of the penalty, which is bounded for every KL."""
    for kl in (0.01, 1.0, 20.0, 300.0):
        best = minimize_scalar(lambda u, kl=kl: exp(u) * kl + np.log1p(exp(-u) / 2), bounds=(-12, 8), method="bounded")
        weight = exp(best.x)
        assert weight**2 + weight / 2 == pytest.approx(1 / (2 * kl), rel=1e-3)
        control = made(LearnedBeta, init=weight)
        penalty = penalised(control, terms_of([[kl]])).mean()
        assert penalty.item() == pytest.approx(best.fun, rel=1e-5)
        penalty.backward()
        assert control.log_weight.grad.item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("mean", "std", "width"), [(0.0, 1.0, 3.0), (0.8, 1.0, 3.0), (0.0, 0.3, 1.5), (1.0, 0.5, 9.0)])
def test_mmd_of_a_gaussian(mean, std, width):
    """E k of two Gaussians N(m_i, s_i² I): Π (h²/(h² + s_a² + s_b²))^½ exp(−(m_a − m_b)²/(2(h² + s_a² + s_b²)))."""

    def kernel(spread, distance):
        return (width / (width + spread)) ** 1.5 * exp(-3 * distance**2 / (2 * (width + spread)))

    exact = kernel(2 * std**2, 0) - 2 * kernel(std**2 + 1, mean) + kernel(2, 0)
    draws = torch.Generator().manual_seed(1)
    values = [squared_mmd(mean + std * torch.randn(200, 3, generator=draws), width**0.5).item() for _ in range(200)]
    assert np.mean(values) == pytest.approx(exact, abs=4 * np.std(values) / 200**0.5)


def test_mmd_is_added_to_a_share_of_the_kl():
    terms = posterior_of(normal(50, 2), normal(50, 2, seed=2) - 1)
    distance = squared_mmd(terms.posterior.z).item()
    control = made(Mmd, weight=7.0, information_weight=0.25)
    expected = 0.5 * (0.25 * terms.total_kl + 7 * distance)
    torch.testing.assert_close(penalised(control, terms, 0.5), expected)
    assert control.multiplier(0.5) == 0.125


def by_hand(posterior, log_weights):
    """The three parts from SciPy's densities, image by image."""
    z, mean, std = (part.double().numpy() for part in (posterior.z, posterior.mean, posterior.log_std.exp()))
    parts = []
    for i in range(len(z)):
        each = stats.norm(mean, std).logpdf(z[i])
        whole = logsumexp(each.sum(1) + log_weights[i])
        marginals = logsumexp(each + log_weights[i][:, None], axis=0)
        prior = stats.norm.logpdf(z[i])
        parts.append((each[i].sum() - whole, whole - marginals.sum(), (marginals - prior).sum()))
    return np.array(parts)


@pytest.mark.parametrize("estimator", ["weighted", "stratified"])
def test_the_three_parts_of_the_kl(estimator):
    """Chen et al. 2018, appendix C: 1/(NM) for all; or 1/N, (N − M)/(NM) for one image and 1/M for the others."""
    terms = posterior_of(normal(7, 3), 0.5 * normal(7, 3, seed=2) - 0.5)
    if estimator == "weighted":
        log_weights = np.full((7, 7), -log(IMAGES * 7))
    else:
        weights = np.full((7, 7), 1 / 6)
        np.fill_diagonal(weights, 1 / IMAGES)
        weights[np.arange(7), (np.arange(7) + 1) % 7] = (IMAGES - 6) / (IMAGES * 6)
        np.testing.assert_allclose(weights.sum(1), 1)
        log_weights = np.log(weights)
    parts = rate_parts(terms.posterior, IMAGES, estimator)
    np.testing.assert_allclose(torch.stack(parts, 1).double().numpy(), by_hand(terms.posterior, log_weights), rtol=1e-4)
    control = made(
        Decomposed, mutual_information=0.5, total_correlation=3.0, dimension_wise_kl=2.0, estimator=estimator
    )
    penalty = penalised(control, terms, 0.5)
    expected = 0.5 * (2 * terms.total_kl - 1.5 * parts.mutual_information + parts.total_correlation)
    torch.testing.assert_close(penalty, expected)
    # of the exact KL; the two estimates are no KL
    assert control.multiplier(0.5) == 0.5 * 2.0


def test_equal_weights_are_the_kl_itself():
    terms = posterior_of(normal(9, 2), normal(9, 2, seed=2) - 1)
    control = made(Decomposed, mutual_information=1.0, total_correlation=1.0)
    torch.testing.assert_close(penalised(control, terms), gaussian_kl(*terms.posterior[1:3]).sum(1))
