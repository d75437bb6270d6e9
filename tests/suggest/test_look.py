"""The first look at the data: what fits, what does not and why, and in which forms."""

from vaekl.data import DataSpec
from vaekl.data.auto import AutoTransform
from vaekl.model.likelihoods import Bernoulli, ContinuousBernoulli, NegativeBinomial
from vaekl.suggest import look
from vaekl.suggest.look import _families, _fitting


def fits(auto, support, levels=None, shape=(1, 4, 4)):
    spec = DataSpec("made up", shape, levels, support)
    likelihood = auto()
    seen = AutoTransform().resolve(spec, likelihood.accepts).spec(spec) if levels else spec
    return _fitting(spec, AutoTransform(), _families(), likelihood, seen)


def test_grey_levels_fit_every_family_that_a_ruler_can_measure():
    fitting, outputs, unfit = fits(ContinuousBernoulli, "levels", 16)
    assert next(iter(fitting)) == "cb"  # the one that `likelihood=auto` takes comes first
    assert {"gaussian", "beta", "categorical", "discretized_logistic", "censored_gaussian"} <= fitting.keys()
    assert outputs["categorical"] == 16 and outputs["cb"] == 1
    assert {"bernoulli", "poisson", "columns"} <= unfit.keys()


def test_variants_follow_from_what_a_family_can():
    fitting, _, _ = fits(ContinuousBernoulli, "levels", 16)
    plain = ["likelihood=gaussian", "likelihood.link=sigmoid"]
    assert fitting["gaussian"] == [
        plain, [*plain, "weighting=learned_precision", "weighting.per=value"], [*plain, "likelihood.scale=decoder"],
    ]  # fmt: skip
    assert fitting["cb"] == [["likelihood=cb"]]


def test_where_values_have_probabilities_densities_are_left_out():
    fitting, _, unfit = fits(Bernoulli, "binary", 2)
    assert "bernoulli" in fitting and "gaussian" not in fitting
    assert "is a density on real numbers, and the data are binary data {0, 1}, which have" in unfit["gaussian"]
    counts, _, _ = fits(NegativeBinomial, "counts")
    assert set(counts) == {"negative_binomial", "poisson", "zinb"}


def test_floats_in_0_1_leave_out_what_gives_single_values_a_probability():
    fitting, _, unfit = fits(ContinuousBernoulli, "unit_interval")
    assert {"cb", "gaussian", "truncated_gaussian"} <= fitting.keys()
    assert "gives single values a probability" in unfit["censored_gaussian"]


def test_small_data_hold_out_more_unless_the_user_says():
    assert look.held_out(100, []) == ["valid=0.3"]
    assert look.held_out(2000, []) == ["valid=0.15"]
    assert look.held_out(60_000, []) == look.held_out(100, ["valid=0.1"]) == []
