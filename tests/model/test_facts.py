"""What a family and a weighting say of themselves, for readers of a run folder who have not the class."""

import json
from math import gamma, inf, sqrt

import pytest
import torch
from scipy import stats

from vaekl.model import weighting as weightings
from vaekl.model.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    CensoredGaussian,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    Likelihood,
    Logistic,
    LogisticMixture,
    LogitNormal,
    Mixture,
    NegativeBinomial,
    Poisson,
    StudentT,
    TruncatedGaussian,
)
from vaekl.model.weighting import FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision, Weighting
from vaekl.system.errors import VaeklError

SHAPE = (1, 2, 2)


class Quartic(Gaussian):
    """p(x) ∝ exp(−(x − μ)⁴/φ)."""

    scale_power = 0.25

    def variance(self, eta, dispersion):
        return (dispersion.sqrt() * gamma(0.75) / gamma(0.25)).expand_as(eta[:, 0])


class Spread(Gaussian):
    """Its σ depends on the decoder."""

    name = "spread"

    def variance(self, eta, dispersion):
        return eta[:, 0].square() * dispersion


class Half(Gaussian):
    bounds = (0.0, inf)


@pytest.mark.parametrize(
    ("family", "support", "dispersion", "discrete"),
    [
        (Bernoulli(), "{0, 1}", "the dispersion", True),
        (Categorical(4), "levels", "the dispersion", True),
        (DiscretizedLogistic(levels=4), "levels", "the scale, where levels are k/(levels − 1)", True),
        (LogisticMixture(levels=4), "levels", "1, as the decoder gives the scales", True),
        (ContinuousBernoulli(), "[0, 1]", "the dispersion", False),
        (Beta(), "[0, 1]", "the dispersion", False),
        (TruncatedGaussian(), "[0, 1]", "the variance before the truncation", False),
        (CensoredGaussian(), "[0, 1]", "the variance before the tails are folded into 0 and 1", False),
        (LogitNormal(), "[0, 1]", "the variance of the logits", False),
        (Gaussian(), "the real line", "the variance", False),
        (Laplace(), "the real line", "the scale", False),
        (Logistic(), "the real line", "the scale", False),
        (StudentT(), "the real line", "the squared scale", False),
        (Gaussian(scale="decoder"), "the real line", "a factor of the decoder's scale", False),
        (Poisson(), "{0, 1, 2, ...}", "1", True),
        (NegativeBinomial(), "{0, 1, 2, ...}", "the overdispersion: the variance is μ + φμ²", True),
        (NegativeBinomial("decoder"), "{0, 1, 2, ...}", "1: the decoder gives the overdispersion", True),
        (Half(), "[0, inf)", "the variance", False),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_family_s_facts_survive_json(family, support, dispersion, discrete):
    facts = family.facts()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["name"] == family.name and facts["accepts"] == list(family.accepts)
    assert (facts["support"], facts["dispersion"], facts["discrete"]) == (support, dispersion, discrete)


@pytest.mark.parametrize("phi", [1.0, 0.04, 9.0])
def test_sigma_follows_from_the_facts_alone(phi):
    def sigma(family):
        facts = family.facts()
        return facts["unit_sigma"] * phi ** facts["scale_power"]

    assert sigma(Gaussian()) == pytest.approx(stats.norm(scale=sqrt(phi)).std())
    assert sigma(Laplace()) == pytest.approx(stats.laplace(scale=phi).std())
    assert sigma(StudentT(df=3)) == pytest.approx(stats.t(3, scale=sqrt(phi)).std())
    assert sigma(Logistic()) == pytest.approx(stats.logistic(scale=phi).std())
    # the generalised normal distribution with exponent 4 and scale φ^¼
    assert sigma(Quartic()) == pytest.approx(stats.gennorm(4, scale=phi**0.25).std(), rel=1e-6)


@pytest.mark.parametrize(
    "family",
    [
        Bernoulli(),
        ContinuousBernoulli(),
        Beta(),
        Categorical(4),
        Spread(),
        Laplace(scale="decoder"),
        StudentT(df="learned"),
        TruncatedGaussian(),
        CensoredGaussian(),
        LogitNormal(),
        Mixture("gaussian", 2),
    ],
)
def test_where_no_single_sigma_belongs_to_a_dispersion_none_is_given(family):
    assert family.facts()["unit_sigma"] is None


def test_a_mixture_of_one_has_the_sigma_of_its_family():
    assert Mixture("laplace", 1).facts()["unit_sigma"] == pytest.approx(2**0.5)


def test_a_class_without_a_name_is_called_as_the_class():
    assert Quartic().facts()["name"] == "Quartic" and Spread().facts()["name"] == "spread"

    class Geco(FixedDispersion):
        pass

    assert Geco(Gaussian(), SHAPE).facts()["name"] == "Geco"


def test_a_weighting_s_facts_say_whether_phi_is_found_and_the_constant_dropped():
    facts = [
        kind(Gaussian(), SHAPE, *options).facts()
        for kind, *options in (
            (FixedBeta, 0.25), (FixedDispersion, 0.5), (LearnedPrecision, "pixel"), (OptimalPrecision,)
        )
    ]  # fmt: skip
    assert [fact["name"] for fact in facts] == [
        "fixed_beta",
        "fixed_dispersion",
        "learned_precision",
        "optimal_precision",
    ]
    assert [fact["fits_dispersion"] for fact in facts] == [False, False, True, True]
    assert [fact["dispersion"] for fact in facts] == [0.25, 0.5, None, None]
    assert [fact["drops_constant"] for fact in facts] == [True, False, False, False]
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_a_likelihood_may_name_the_weighting_that_auto_takes():
    class Solved(Gaussian):
        weighting = "optimal_precision"

    class Lost(Gaussian):
        weighting = "none such"

    assert isinstance(weightings.auto_weighting(Solved(), SHAPE), OptimalPrecision)
    with pytest.raises(VaeklError, match=r"likelihood=Lost must be .*not 'none such'"):
        weightings.auto_weighting(Lost(), SHAPE)


def test_the_base_classes_need_no_more_than_their_abstract_methods():
    """A user's class from the README's recipe has facts without a further line."""

    class Shift(Weighting):
        @property
        def dispersion(self):
            return torch.full((1, 1, 1), 2.0)

    assert Shift(Gaussian(), SHAPE).facts()["dispersion"] == 2.0
    assert Likelihood.facts is Quartic.facts
