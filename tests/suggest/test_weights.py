"""What a noise level is as a weight of the KL, and how many latents it lets live, against closed forms."""

import msgspec
import numpy as np
import pytest
import torch

from vaekl.data import DataSpec
from vaekl.model.likelihoods import Bernoulli, Gaussian, Laplace
from vaekl.store.schema import ControlFacts, DataFacts, Facts, LikelihoodFacts, WeightingFacts
from vaekl.suggest import weights
from vaekl.verbs.audit import spectrum


def facts(likelihood, shape=(1, 4, 4)):
    spec = DataSpec("made up", shape, None, "unit_interval")
    weighting = {
        "name": "learned_precision", "loss": "", "fits_dispersion": True, "dispersion": None, "implied_beta_kl": None,
        "drops_constant": False,
    }  # fmt: skip
    return Facts(
        schema=1, metrics_schema=1, command="", git_revision=None, python="", platform="", packages={},
        data=msgspec.convert(spec.facts() | {"digests": {"train": "", "test": ""}, "files": None}, DataFacts),
        likelihood=msgspec.convert(likelihood.facts(), LikelihoodFacts),
        weighting=msgspec.convert(weighting, WeightingFacts),
        control=ControlFacts(name="none", penalty="KL", target_kl_nats=None),
        parameters=1,
    )  # fmt: skip


@pytest.mark.parametrize("likelihood", [Gaussian(), Laplace()])
def test_every_form_of_the_loss_is_the_same_loss_up_to_a_factor(likelihood):
    x, mean = torch.rand(5, 16, dtype=torch.float64), torch.rand(5, 16, dtype=torch.float64)
    kl, phi, latents = torch.rand(5, 7, dtype=torch.float64), 0.0063, 7
    energy = likelihood.energy(mean.view(5, 1, 1, 4, 4), x.view(5, 1, 4, 4), torch.ones(1, 1, 1)).flatten(1).sum(1)
    exact = energy / phi + kl.sum(1)
    error = (x - mean).square() if likelihood.name == "gaussian" else (x - mean).abs()
    summed, averaged, both = weights.weights(facts(likelihood), phi, latents)
    for loss in (
        error.sum(1) + summed.beta * kl.sum(1),
        error.mean(1) + averaged.beta * kl.sum(1),
        error.mean(1) + both.beta * kl.mean(1),
    ):
        ratio = loss / exact
        assert torch.allclose(ratio, ratio[0])


def test_the_weight_of_squared_errors_is_what_the_card_says():
    forms = weights.weights(facts(Gaussian(), (1, 28, 28)), 0.0063, 20)
    assert [form.beta for form in forms] == pytest.approx([0.0126, 0.0126 / 784, 0.0126 * 20 / 784])
    assert weights.sentence(forms).startswith("β_KL = 0.0126 beside Σ (x − x̂)²; ")


def test_a_family_whose_dispersion_is_no_scale_has_no_weight():
    assert weights.weights(facts(Bernoulli()), 1.0, 20) == []


def test_a_linear_model_uses_the_latents_whose_eigenvalue_is_above_phi():
    eigenvalues = np.array([4.0, 2.0, 1.0, 0.5])
    phi = spectrum.noise_variance(eigenvalues, 2)
    assert phi == 0.75
    assert sum(value > phi for value in eigenvalues) == spectrum.above(eigenvalues, phi) == 3
