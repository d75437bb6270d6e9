"""The causes that `vaekl diagnose` names, of made-up evidence that speaks for each."""

from dataclasses import replace

import pytest
from made_up_evidence import COLLAPSED, FINE, FIXED, GOOD, LEFT, of_both, with_settings

from vaekl.measures.trend import Trend
from vaekl.verbs.diagnose.causes import causes
from vaekl.verbs.diagnose.evidence import Linear, Structure, Trial
from vaekl.verbs.diagnose.text import text

SPOILED = {
    "dispersion too large": with_settings(**FIXED)
    | of_both(COLLAPSED, dispersion=1.0, calibrated_dispersion=0.065, implied_sigma=1.0, rmse=0.25)
    | {"structure": LEFT},
    "dispersion too small": with_settings(**FIXED)
    | of_both(FINE, dispersion=0.0005, calibrated_dispersion=0.01, implied_sigma=0.022)
    | {"log": replace(GOOD.log, trend=Trend(None, 100.0)), "trial": Trial(60, {0.1: 20.0, 1.0: 30.0})},
    "λ too large": of_both(COLLAPSED, information_weight=30.0)
    | {"structure": LEFT, "trial": Trial(60, {0.1: 0.0, 1.0: 0.0}, 0.1)},
    "λ too small": of_both(FINE, information_weight=0.02, kl=60.0)
    | {"trial": Trial(60, {0.1: 1.0, 1.0: 2.0}, 30.0)},
    "prior hole": {"aggregate": replace(GOOD.aggregate, gaussian_kl=8.0, samples_distance=2.0)},
    "constant dropped": with_settings(
        likelihood="cb", scale_power=None, weighting="fixed_beta", fits_dispersion=False, drops_constant=True
    ),
    "schedule unfinished": with_settings(schedule=0.3, finished=False, step=300),
    "test images are training images": {"seen_before": 0.9},
    "wrong support": with_settings(support="binary"),
    "stopped too early": of_both(COLLAPSED) | {"structure": LEFT, "trial": Trial(60, {0.1: 0.1, 1.0: 4.0, 10.0: 8.0})},
    "learning rate too high": of_both(FINE, kl=80_000.0, elbo=-80_000.0) | {"trial": None},
    "learning rate too low": {"trial": Trial(60, {0.1: 0.0, 1.0: 0.5, 10.0: 5.0, 100.0: 49.0})},
    "overfit": {"test": replace(FINE, elbo=-30.0), "log": replace(GOOD.log, judged_valid=-20.0)},
    "encoder too weak": of_both(COLLAPSED) | {"structure": LEFT},
    "encoder gap": {"train": replace(FINE, iwae=30.0, fitted_gain=9.0)},
    "worse than a linear model": {"linear": Linear(34.0, 10.0, 1.0)},
    "all images are alike": {"all_alike": True, "trial": Trial(60, {0.1: 0.0, 1.0: 0.5, 10.0: 5.0, 100.0: 49.0})},
    "too few latents": of_both(FINE, kl_per_latent=(3.0,) * 8) | {"structure": LEFT},
}  # fmt: skip


def spoiled(cause):
    return replace(GOOD, **SPOILED[cause])


@pytest.mark.parametrize("cause", SPOILED)
def test_the_right_cause_stands_first(cause):
    first = causes(spoiled(cause))[0]
    assert first.cause == cause
    assert first.sentence.endswith(".") and any(digit.isdigit() for digit in first.sentence) and first.cure


def test_of_a_good_run_nothing_stands_out():
    assert causes(GOOD) == []
    printed = text(GOOD, [])
    assert "nothing stands out" in printed and "scale factor 1/std = 2.0000" in printed
    assert "3 of 8 carry less than 0.01 nats" in printed


def test_what_other_commands_call_unfinished_is_called_so_here_too():
    short = replace(GOOD, log=replace(GOOD.log, trend=Trend(None, None, short=True)))
    printed = text(short, [])
    assert "no cause stands out" in printed and "unfinished by its log: the run is too short to tell" in printed
    early = replace(GOOD, **SPOILED["stopped too early"])
    assert "by its log" not in text(early, causes(early))


def test_a_learning_rate_that_is_too_high_shows_in_several_ways():
    dead = replace(GOOD, **(of_both(COLLAPSED) | {"structure": LEFT} | with_settings(learning_rate=0.05)))
    assert [cause.cause for cause in causes(dead)] == ["learning rate too high"]
    restored = replace(GOOD, **with_settings(restores=2))
    assert "2 times" in causes(restored)[0].sentence
    noisy = replace(GOOD, trial=Trial(60, {0.1: 9.0, 1.0: -1.0}))
    assert "a tenth of the learning rate" in causes(noisy)[0].sentence


def test_a_run_of_few_steps_is_not_said_to_have_a_weak_encoder():
    log = replace(GOOD.log, trend=Trend(None, None, short=True))
    (only,) = causes(replace(spoiled("encoder too weak"), log=log))
    assert only.cause == "stopped too early" and "too short to tell" in only.sentence
    (only,) = causes(replace(spoiled("worse than a linear model"), log=log))
    assert only.cause == "stopped too early" and only.nats == 10.0


def test_networks_worse_than_a_linear_model_are_named_where_nothing_else_explains_them():
    behind = SPOILED["worse than a linear model"]
    (only,) = causes(replace(GOOD, **(SPOILED["too few latents"] | SPOILED["prior hole"] | behind)))
    assert only.cause == "worse than a linear model" and "34.0 nats" in only.sentence
    for cause in ("λ too large", "stopped too early", "overfit", "encoder too weak"):
        assert "worse than a linear model" not in [each.cause for each in causes(replace(spoiled(cause), **behind))]
    within_noise = {"linear": Linear(34.0, 10.0, 5.0)}
    assert causes(replace(GOOD, **within_noise)) == []
    # it has λ = 1, and its KL is what the data ask for
    for settings in (with_settings(holds_target=True), of_both(replace(FINE, information_weight=0.25))):
        assert causes(replace(GOOD, **settings)) == causes(replace(GOOD, **(settings | behind)))


def test_of_a_gap_or_latents_nothing_is_said_that_their_cure_does_not_return():
    assert causes(replace(GOOD, train=replace(FINE, iwae=30.0, fitted_gain=0.5))) == []
    chance = SPOILED["too few latents"] | {"structure": replace(LEFT, held=-2.0)}
    assert causes(replace(GOOD, **chance)) == []


def test_what_a_trial_gains_by_chance_is_no_evidence():
    for cause in ("learning rate too low", "stopped too early"):
        trial = spoiled(cause).trial
        errors = dict.fromkeys(trial.by_rate, 50.0)
        chance = replace(spoiled(cause), trial=replace(trial, errors=errors))
        assert cause not in [each.cause for each in causes(chance)]


def test_training_that_still_rises_is_no_reason_to_go_on_where_validation_is_at_rest():
    rising = replace(GOOD.log, trend=Trend(None, 2.0))
    early = replace(GOOD, trial=Trial(60, {0.1: 0.1, 1.0: 0.2}), log=replace(rising, valid_trend=2.0))
    (only,) = causes(early)
    assert only.cause == "stopped too early" and "validation ELBO still rising by 2 nats per 100 steps" in only.sentence
    assert causes(replace(early, log=rising)) == []
    without = replace(rising, best_valid=None, judged_valid=None)
    assert [cause.cause for cause in causes(replace(early, log=without))] == ["stopped too early"]


def test_an_overfit_run_that_a_large_rate_makes_forget_has_no_low_rate():
    gains = SPOILED["learning rate too low"]
    assert [cause.cause for cause in causes(replace(spoiled("overfit"), **gains))] == ["overfit"]


def test_a_weight_whose_cost_only_a_linear_model_shows_is_too_large():
    few = {"structure": Structure((1.5,), ()), "linear": Linear(0.0, 5.0, 1.0)}
    assert causes(replace(spoiled("λ too large"), **few))[0].cause == "λ too large"


def test_the_cures_are_in_words_of_the_run():
    assert "bernoulli" in causes(spoiled("wrong support"))[0].cure
    assert "negative_binomial" in causes(replace(GOOD, **with_settings(support="counts")))[0].cure
    early = spoiled("stopped too early")
    assert causes(early)[0].cure == early.settings.longer
    scheduled = replace(early, settings=replace(early.settings, longer=""))
    assert causes(scheduled)[0].cure == "train one with trainer.steps=2000 from its first step"
    weighed = with_settings(weighs_kl=True)
    assert causes(replace(spoiled("λ too large"), **weighed))[0].cure.startswith("weighting=auto")


def test_causes_that_follow_from_the_files_stand_before_costlier_ones():
    both = replace(spoiled("overfit"), **with_settings(schedule=1.0, support="counts"))
    assert [cause.cause for cause in causes(both)] == ["wrong support", "overfit"]


def test_a_target_is_no_mistake_of_the_weight():
    held = replace(GOOD, **(of_both(FINE, information_weight=9.0) | with_settings(holds_target=True, control="geco")))
    assert causes(held) == []
