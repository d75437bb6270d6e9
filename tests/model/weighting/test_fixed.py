"""The weightings whose dispersion is a number, by hand."""

import pytest
import torch
from weighting_cases import LIKELIHOODS, SHAPE

from vaekl.model.ledger import ElboTerms, PosteriorSample
from vaekl.model.likelihoods import Mixture
from vaekl.model.weighting import CBNormalizer, FixedBeta, FixedDispersion, auto_weighting

#: two images: E 6 and 2, ln C −3 and 5, KL 1 + 2 and 0.5 + 0
TERMS = {
    "energy": torch.tensor([6.0, 2.0]).view(2, 1, 1, 1),
    "log_norm_const": torch.tensor([-3.0, 5.0]),
    "kl": torch.tensor([[1.0, 2.0], [0.5, 0.0]]),
    "posterior": PosteriorSample(*[torch.zeros(2, 2)] * 4),
}


def terms_at(phi):
    return ElboTerms(dispersion=torch.full((1, 1, 1), phi), **TERMS)


def test_fixed_beta_drops_the_constant_and_weighs_the_kl():
    weighting = FixedBeta(LIKELIHOODS["gaussian"], SHAPE, beta=4)
    # mean of 6 + 4·½·3 and 2 + 4·½·0.5
    assert weighting.loss(terms_at(4.0), 0.5).item() == 7.5
    assert weighting.dispersion.tolist() == [[[4.0]]]
    assert (weighting.beta_kl, weighting.effective_beta_kl(weighting.dispersion, 0.5).item()) == (4.0, 2.0)


def test_fixed_dispersion_keeps_everything():
    weighting = FixedDispersion(LIKELIHOODS["gaussian"], SHAPE, dispersion=4)
    # mean of 6/4 + 3 + ½·3 and 2/4 − 5 + ½·0.5
    assert weighting.loss(terms_at(4.0), 0.5).item() == pytest.approx((6.0 - 4.25) / 2)
    assert (weighting.beta_kl, weighting.effective_beta_kl(weighting.dispersion, 0.5).item()) == (1.0, 2.0)


def test_cb_normalizer_is_the_elbo_itself():
    weighting = CBNormalizer(LIKELIHOODS["cb"], SHAPE)
    # mean of 6 + 3 + 3 and 2 − 5 + 0.5
    assert weighting.loss(terms_at(1.0), 1.0).item() == pytest.approx((12 - 2.5) / 2)
    assert weighting.dispersion.tolist() == [[[1.0]]]


def test_the_dispersion_is_saved_and_never_trained():
    weighting = FixedBeta(LIKELIHOODS["gaussian"], SHAPE, 0.3)
    assert list(weighting.parameters()) == []
    assert list(weighting.state_dict()) == ["phi"]


@pytest.mark.parametrize(
    ("likelihood", "name", "phi"),
    [
        ("gaussian", "learned_precision", 1.0),
        ("laplace", "learned_precision", 1.0),
        ("logistic", "learned_precision", 1.0),
        ("student_t", "learned_precision", 1.0),
        ("by decoder", "fixed_dispersion", 1.0),
        ("cb", "cb_normalizer", 1.0),
        ("bernoulli", "fixed_dispersion", 1.0),
        ("beta", "fixed_dispersion", 1.0),
        ("categorical", "fixed_dispersion", 1.0),
        ("discretized_logistic", "learned_precision", 1.0),
        ("logistic_mixture", "fixed_dispersion", 1.0),
        ("poisson", "fixed_dispersion", 1.0),
        ("negative_binomial", "learned_precision", 1.0),
        ("truncated_gaussian", "learned_precision", 1.0),
        ("censored_gaussian", "learned_precision", 1.0),
        ("logit_normal", "learned_precision", 1.0),
    ],
)
def test_auto_takes_what_the_theory_asks_for(likelihood, name, phi):
    weighting = auto_weighting(LIKELIHOODS[likelihood], SHAPE)
    assert weighting.name == name
    assert weighting.dispersion.tolist() == [[[phi]]]
    assert weighting.beta_kl == 1.0


@pytest.mark.parametrize(
    ("weighting", "equation"),
    [
        (FixedBeta(LIKELIHOODS["gaussian"], SHAPE, 0.5), "½(x − μ)² + 0.5 · KL"),
        (FixedBeta(LIKELIHOODS["logistic"], SHAPE, 0.5), "2φ ln cosh((x − μ)/2φ) + 0.5 · KL"),
        (auto_weighting(LIKELIHOODS["by decoder"], SHAPE), "[½((x − μ)/s)²] − [−½ ln(2πs²φ)] + KL"),
        (FixedDispersion(LIKELIHOODS["bernoulli"], SHAPE), "[softplus(a) − a x] + KL"),
        (FixedDispersion(LIKELIHOODS["cb"], SHAPE, 0.5), "[softplus(a) − a x]/φ − [ln C(η, φ)] + KL"),
        (CBNormalizer(LIKELIHOODS["cb"], SHAPE), "[softplus(a) − a x] − [ln(a / tanh(a/2))] + KL"),
        (auto_weighting(LIKELIHOODS["gaussian"], SHAPE), "[½(x − μ)²]/φ − [−½ ln(2πφ)] + KL"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_the_loss_is_printed_as_the_equation_that_is_minimised(weighting, equation):
    assert weighting.equation() == equation
    assert "\n" not in weighting.explanation()


@pytest.mark.parametrize("beta", [1, 4])
def test_dropping_a_constant_that_depends_on_the_decoder_is_called_what_it_is(beta):
    families = {name: family for name, family in LIKELIHOODS.items() if not family.needs_constant}
    texts = {name: FixedBeta(likelihood, SHAPE, beta).explanation() for name, likelihood in families.items()}
    changed = {"cb", "beta", "truncated_gaussian"}
    assert {name for name, text in texts.items() if "changes the optimum" in text} == changed
    assert {name for name, text in texts.items() if f"φ = {beta}" in text} >= {
        "gaussian",
        "laplace",
        "logistic",
        "student_t",
        "logit_normal",
    }
    assert all("φ = 1" in texts[name] for name in (*changed, "bernoulli", "categorical"))


@pytest.mark.parametrize("family", ["cb", "beta", "truncated_gaussian"])
def test_nothing_is_dropped_from_a_mixture_whose_energy_holds_the_constants(family):
    weighting = FixedBeta(Mixture(family, 3), SHAPE)
    assert not weighting.drops_constant and "nothing is dropped" in weighting.explanation()


def test_the_published_normalisation_is_of_latents_over_values():
    """Higgins et al. 2017: β_norm = β · Z/N; here N = 24."""
    weighting = FixedBeta(LIKELIHOODS["gaussian"], SHAPE, beta_norm=0.5, latents=6)
    assert weighting.beta_kl == weighting.dispersion.item() == 0.5 * 24 / 6
