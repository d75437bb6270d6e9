"""Every weighting × likelihood either builds or says in one sentence why not and what would work."""

import pytest
from weighting_cases import LIKELIHOODS, SHAPE, WEIGHTINGS

from vaekl.model.likelihoods import Gaussian, Mixture, StudentT
from vaekl.model.weighting import (
    CBNormalizer,
    FixedBeta,
    FixedDispersion,
    LearnedPrecision,
    OptimalPrecision,
    auto_weighting,
)
from vaekl.system.errors import VaeklError

#: weighting -> the likelihoods that it fits
FITS = {
    "fixed_beta": set(LIKELIHOODS) - {"by decoder"},
    "fixed_dispersion": set(LIKELIHOODS),
    "cb_normalizer": {"cb"},
    "learned_precision": {
        "gaussian",
        "laplace",
        "logistic",
        "student_t",
        "logit_normal",
        "discretized_logistic",
        "truncated_gaussian",
        "censored_gaussian",
        "negative_binomial",
        "zinb",
    },
    "optimal_precision": {"gaussian", "laplace", "logistic", "student_t", "logit_normal"},
}
CURES = {
    "fixed_beta": ("weighting=fixed_dispersion", "control=information_weight"),
    "cb_normalizer": ("likelihood=cb", "weighting=auto"),
    "learned_precision": ("weighting=auto",),
    "optimal_precision": ("weighting=auto",),
}


def sentence(make):
    with pytest.raises(VaeklError) as caught:
        make()
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert ". " not in text, "more than one sentence"
    return text


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_every_pair_builds_or_names_itself_and_the_cures(weighting, likelihood):
    assert set(FITS) == set(WEIGHTINGS)
    build = WEIGHTINGS[weighting]
    if likelihood in FITS[weighting]:
        assert build(LIKELIHOODS[likelihood], SHAPE).name == weighting
        return
    text = sentence(lambda: build(LIKELIHOODS[likelihood], SHAPE))
    for part in (f"weighting={weighting}", f"likelihood={LIKELIHOODS[likelihood].name}", *CURES[weighting]):
        assert part in text


SCALES = "gaussian, laplace, logistic"


@pytest.mark.parametrize(
    ("name", "support", "weighting", "others"),
    [
        ("poisson", "counts", LearnedPrecision, ", or likelihood=negative_binomial or zinb."),
        ("poisson", "counts", OptimalPrecision, "."),
        ("categorical", None, LearnedPrecision, ", or likelihood=discretized_logistic."),
        ("bernoulli", "binary", LearnedPrecision, f", or likelihood={SCALES} or student_t."),
        ("cb", "unit_interval", OptimalPrecision, f", or likelihood={SCALES}, logit_normal or student_t."),
        (
            "by decoder",
            "real",
            LearnedPrecision,
            f", or likelihood={SCALES} or student_t.",
        ),
    ],
)
def test_other_families_are_named_that_fit_the_data_and_the_weighting(name, support, weighting, others, monkeypatch):
    monkeypatch.setattr(LIKELIHOODS[name], "data_support", support)
    text = sentence(lambda: weighting(LIKELIHOODS[name], SHAPE))
    assert text.endswith(f"use weighting=auto{others}")


def test_the_family_of_cb_normalizer_is_offered_where_it_fits_the_data(monkeypatch):
    gaussian = Gaussian()
    for support, cure in (("real", "so use weighting=auto."), ("unit_interval", "so use that, or weighting=auto.")):
        monkeypatch.setattr(gaussian, "data_support", support)
        assert sentence(lambda: CBNormalizer(gaussian, SHAPE)).endswith(f"the constant of likelihood=cb, {cure}")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("poisson", "can only be 1"),
        ("logistic_mixture", "can only be 1"),
        ("cb", "cannot be told apart from the decoder's output scale"),
        ("by decoder", "cannot be told apart from the decoder's output scale"),
    ],
)
def test_why_a_dispersion_is_not_learned(name, why):
    assert f"whose dispersion {why}: use" in sentence(lambda: LearnedPrecision(LIKELIHOODS[name], SHAPE))


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda value: FixedBeta(Gaussian(), SHAPE, value), "weighting.beta"),
        (lambda value: FixedDispersion(Gaussian(), SHAPE, value), "weighting.dispersion"),
        (lambda value: LearnedPrecision(Gaussian(), SHAPE, init=value), "weighting.init"),
        (lambda value: LearnedPrecision(Gaussian(), SHAPE, lr_factor=value), "weighting.lr_factor"),
        (lambda value: OptimalPrecision(Gaussian(), SHAPE, momentum=value), "weighting.momentum"),
    ],
)
@pytest.mark.parametrize("value", [0, -1.0, float("inf"), float("nan"), "a lot", True])
def test_a_number_that_is_not_positive_is_named_with_its_key(make, key, value):
    text = sentence(lambda: make(value))
    assert key in text
    assert repr(value) in text


@pytest.mark.parametrize("kind", [LearnedPrecision, OptimalPrecision])
def test_an_unknown_group_is_named_with_the_choices(kind):
    text = sentence(lambda: kind(Gaussian(), SHAPE, per="image"))
    assert all(word in text for word in ("weighting.per", "scalar, channel or value", "'image'"))


def test_a_dispersion_under_which_beta_is_no_density_is_refused():
    text = sentence(lambda: FixedDispersion(LIKELIHOODS["beta"], SHAPE, 0.5))
    assert all(word in text for word in ("likelihood=beta", "at least 1", "0.5"))
    assert FixedBeta(LIKELIHOODS["beta"], SHAPE, 0.5).dispersion.item() == 1


def test_cb_normalizer_has_no_dispersion_to_tune():
    with pytest.raises(TypeError):
        CBNormalizer(LIKELIHOODS["cb"], SHAPE, 0.5)


def test_a_loss_without_ln_c_is_refused_where_a_parameter_is_learned_from_it():
    text = sentence(lambda: FixedBeta(StudentT(df="learned"), SHAPE, 0.3))
    assert "likelihood=student_t" in text and "weighting=fixed_dispersion with weighting.dispersion=0.3" in text
    assert FixedBeta(StudentT(df=7), SHAPE, 0.3).dispersion.item() == pytest.approx(0.3)
    text = sentence(lambda: FixedBeta(Mixture("student_t", 2, {"df": "learned"}), SHAPE, 0.3))
    assert "likelihood=mixture" in text and "weighting.dispersion=0.3" in text


@pytest.mark.parametrize(
    ("likelihood", "shape", "says"),
    [
        ("cb", SHAPE, "likelihood must be an object such as vaekl.Gaussian(), not of type str"),
        (Gaussian, SHAPE, "likelihood must be an object"),
        (Gaussian(), 64, "shape must be that of one example, such as (1, 28, 28) or (64,), not 64"),
        (Gaussian(), (1, 8.0), "not (1, 8.0)"),
    ],
)
def test_the_usual_weighting_of_something_else(likelihood, shape, says):
    text = sentence(lambda: auto_weighting(likelihood, shape))
    assert says in text and text.endswith(".") and "\n" not in text
