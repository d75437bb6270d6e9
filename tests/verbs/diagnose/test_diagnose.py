"""`vaekl diagnose`: each cause from evidence that speaks for it, and the exact answers of a linear VAE."""

import json
import re
from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from cli_helpers import contents, refused, rows, trained, vaekl
from pca_model import LATENTS, TEST, TRAIN, held_out, pca, vae

from vaekl.config.verb_options import defaults
from vaekl.data import generator
from vaekl.measures.calibration import calibration
from vaekl.measures.elbo import evaluate
from vaekl.measures.trend import Trend
from vaekl.model.likelihoods import Gaussian, Laplace
from vaekl.model.weighting import FixedDispersion, LearnedPrecision
from vaekl.run.config import RunConfig
from vaekl.run.load import load_run
from vaekl.store import checkpoint
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import Output
from vaekl.verbs.diagnose.causes import causes
from vaekl.verbs.diagnose.evidence import Aggregate, Evidence, Judged, Linear, Log, Settings, Structure, Trial
from vaekl.verbs.diagnose.measure import _aggregate, _optimizer, _repeated, evidence, residuals
from vaekl.verbs.diagnose.options import DiagnoseOptions
from vaekl.verbs.diagnose.reference import fitted_posterior_gain, linear
from vaekl.verbs.diagnose.structure import spikes, structure, survivors, worth
from vaekl.verbs.diagnose.text import text

#: figures of a run with nothing wrong: 64 values, 8 latents of which five are used
FINE = Judged(
    elbo=24.0, kl=10.0, kl_per_latent=(2.5, 2.5, 2.0, 2.0, 1.0, 0.0, 0.0, 0.0), dispersion=0.01,
    calibrated_dispersion=0.01, implied_sigma=0.1, rmse=0.1, active=5, information_weight=1.0, iwae=25.5,
    iwae_elbo=24.0,
)  # fmt: skip
GOOD = Evidence(
    name="outputs/a run", resume="vaekl resume 'outputs/a run'", example="image", dims=64, latents=8, train_images=1000,
    looked_at=(360, 1000),
    settings=Settings(), test=FINE, train=FINE,
    aggregate=Aggregate(5.0, 5.0, 0.4, (0.1,) * 8, (0.5,) * 8, (0.4,) * 8, 0.5, 1.2),
    structure=Structure((60.0, 50.0, 40.0, 30.0, 20.0, 10.0, 5.0, 4.0), (2.0, 1.5)),
    trial=Trial(60, {0.1: 0.1, 1.0: -1.0, 10.0: -30.0, 100.0: -900.0}),
    log=Log(Trend(None, None), progress=40.0, best_valid=23.0, judged_valid=23.0),
)  # fmt: skip
#: of a model none of whose latents says anything
COLLAPSED = replace(FINE, elbo=-4.0, kl=0.1, kl_per_latent=(0.1, *[0.0] * 7), active=0, iwae=-4.0, iwae_elbo=-4.0)
LEFT = Structure((9.0, 8.0, 7.0, 5.0, 4.0, 3.0, 2.0, 1.5), (9.0, 8.0, 7.0, 5.0, 4.0, 3.0, 2.0), 11.0)


def with_settings(**changes):
    return {"settings": replace(Settings(), **changes)}


def of_both(judged, **changes):
    judged = replace(judged, **changes)
    return {"test": judged, "train": judged}


FIXED = {"weighting": "fixed_dispersion", "fits_dispersion": False}
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


def test_a_linear_vae_at_its_optimum_leaves_nothing_and_away_from_it_names_the_right_dispersion():
    fitted = pca()
    model, split = vae(fitted), held_out(TRAIN)
    seen = structure(residuals(model, split, 0), residuals(model, held_out(), 0))
    expected = np.sort(np.linalg.eigvalsh(np.cov(TRAIN.T, bias=True)))[::-1][:20] / fitted.noise_variance_
    np.testing.assert_allclose(seen.data[:20], expected, rtol=1e-4)
    assert survivors(seen.data, LATENTS) == LATENTS == survivors(seen.data, 8, 0.99 * expected[7])
    assert survivors(seen.data, LATENTS, 1.01 * expected[3]) == 3

    noise = torch.Generator().manual_seed(0)
    (best,) = {round(value, 12) for value in calibration(model, split, noise).calibrated_dispersion[:1]}
    assert best == pytest.approx(fitted.noise_variance_, rel=0.02)
    # the same networks under ten times the noise are told the noise that their errors have
    model.weighting = FixedDispersion(Gaussian(), model.spec.shape, 10 * fitted.noise_variance_)
    wide = calibration(model, split, torch.Generator().manual_seed(0))
    judged = replace(
        FINE, dispersion=10 * fitted.noise_variance_, calibrated_dispersion=wide.calibrated_dispersion[0],
        implied_sigma=wide.implied_sigma[0], rmse=wide.rmse[0],
    )  # fmt: skip
    spread = structure(residuals(model, split, 0), residuals(model, held_out(), 0))
    (first,) = causes(replace(GOOD, test=judged, train=judged, structure=spread, **with_settings(**FIXED)))
    assert first.cause == "dispersion too large" and f"weighting.dispersion={best:.2g}" in first.cure
    # at a fixed decoder ten times the noise costs D/2 (1/10 − 1 + ln 10)
    cost = 32 * (0.1 - 1 + log(10))
    assert first.nats - worth(spread.rest, LATENTS) == pytest.approx(cost, rel=0.02)


def test_spikes_are_told_from_noise():
    generator = np.random.default_rng(0)
    rows, dims = 400, 200
    x = generator.normal(size=(rows, dims))
    assert spikes(np.linalg.eigvalsh(x.T @ x / rows)[::-1].tolist(), dims / rows)[1:] == []
    x[:, 0] *= 5
    strongest = spikes(np.linalg.eigvalsh(x.T @ x / rows)[::-1].tolist(), dims / rows)[0]
    assert strongest == pytest.approx(25, rel=0.15)


def test_the_linear_model_to_compare_with_is_probabilistic_pca():
    fitted = pca()
    model = vae(fitted, shrink=0.5)
    noise = generator("linear", 0)
    assert linear(model, held_out(TRAIN), held_out(), noise) is None  # at a fixed φ another optimum holds
    model.weighting = LearnedPrecision(Gaussian(), model.spec.shape)
    best = linear(model, held_out(TRAIN), held_out(), noise)
    own = evaluate(model, held_out(), generator("judge", 0))
    assert best.elbo == pytest.approx(fitted.score(TEST), rel=1e-3)
    assert best.ahead == pytest.approx(fitted.score(TEST) - own.elbo, rel=0.01)
    assert 0 < best.error < 0.1 * best.ahead
    model.likelihood = Laplace()
    assert linear(model, held_out(TRAIN), held_out(), noise) is None


def test_a_fitted_posterior_gains_what_the_encoder_loses():
    fitted = pca()
    exact, halved = (
        fitted_posterior_gain(vae(fitted, shrink), held_out(TRAIN), generator("fit", 0)) for shrink in (1.0, 0.5)
    )
    # KL(q ‖ p(z|x)) of normal distributions whose means differ by half of the exact one
    means = (TRAIN[:100] - fitted.mean_) @ vae(fitted).encoder.mean.weight.detach().double().numpy().T
    variance = fitted.noise_variance_ / fitted.explained_variance_
    loss = (0.5 * (0.5 * means) ** 2 / variance).sum(1).mean()
    assert exact == pytest.approx(0, abs=0.05)
    assert halved == pytest.approx(loss, rel=0.02)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("diagnose"), "likelihood=gaussian", "weighting=fixed_dispersion")


def test_the_moments_of_a_linear_vae_have_their_closed_form():
    """Aggregated, latent i has the variance a² (l − φ)/l + φ/l, where a shrinks the posterior's means."""
    fitted = pca()
    left = fitted.noise_variance_ / fitted.explained_variance_
    for shrink in (1.0, 0.5):
        variance = shrink**2 * (1 - left) + left
        aggregate = _aggregate(vae(fitted, shrink), held_out(TRAIN), held_out(), held_out(TRAIN), 0)
        expected = 0.5 * (variance - 1 - np.log(variance)).sum()
        assert aggregate.gaussian_kl == pytest.approx(expected, rel=0.01, abs=0.01)
        assert aggregate.std == pytest.approx(np.sqrt(variance), rel=0.01)


def test_evidence_is_of_the_right_images_and_of_each_learning_rate(run):
    loaded = load_run(run, "cpu")
    options = DiagnoseOptions.checked(defaults("diagnose"))
    measured = evidence(loaded, options)
    for split, judged in (("train", measured.train), ("test", measured.test)):
        images = loaded.split(split).first(options.images)
        assert judged.elbo == pytest.approx(
            evaluate(loaded.model, images, generator("diagnose judge", options.seed)).elbo, rel=1e-5
        )
    assert abs(measured.train.elbo - measured.test.elbo) > 0.02  # else the images could be exchanged unseen
    assert measured.trial is not None and len(set(measured.trial.by_rate.values())) == len(measured.trial.by_rate)
    valid = [float(row["elbo_nats"]) for row in rows(run, "valid")]
    assert measured.log.best_valid == pytest.approx(max(valid))
    assert _repeated(loaded.split("train"), loaded.split("train")) == (1, False)
    assert _repeated(loaded.split("train"), loaded.split("test")) == (0, False)
    assert measured.seen_before == 0 and measured.trial.split == "valid"


def test_a_trial_begins_with_the_optimisers_memory_at_the_full_learning_rate(run):
    loaded = load_run(run, "cpu")
    state = checkpoint.load(run / "last.pt")
    optimizer = _optimizer(loaded, RunConfig.of(loaded.config, run / "config.yaml"), loaded.model, state)
    memory = optimizer.state_dict()
    assert [group["lr"] for group in memory["param_groups"]] == [1e-3] * len(memory["param_groups"])
    for number, entry in state["optimizer"]["state"].items():
        assert torch.equal(memory["state"][number]["exp_avg"], entry["exp_avg"])
        assert memory["state"][number]["exp_avg"] is not entry["exp_avg"]
    state["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3)
    with pytest.raises(VaeklError, match=r"last.pt.*optimizer.state.0.exp_avg"):
        _optimizer(loaded, RunConfig.of(loaded.config, run / "config.yaml"), loaded.model, state)


def test_a_run_is_diagnosed_and_left_as_it_is(run):
    before = contents(run)
    answer = vaekl(run.parent, "diagnose", "run", "--json", "diagnose.images=50", "diagnose.trial_steps=2")
    assert answer.code == 0, answer.err
    (record,) = json.loads(answer.out)
    assert record["causes"][0]["cause"] == "dispersion too large"
    assert record["evidence"]["settings"]["step"] == 4 and len(record["evidence"]["aggregate"]["std"]) == 4
    assert set(record["evidence"]["trial"]["by_rate"]) == {"0.1", "1.0", "10.0", "100.0"}
    printed = vaekl(run.parent, "diagnose", "run", "diagnose.images=50", "diagnose.trial_steps=0")
    assert "1. dispersion too large" in printed.out and "cure: weighting=learned_precision" in printed.out
    assert contents(run) == before


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("run", "dataset=mnist"), ("own data", "leave dataset=mnist away")),
        (("run", "diagnose.images=1"), ("diagnose.images",)),
        (("run", "diagnose.image=5"), ("diagnose.images",)),
        (("nothing",), ("nothing",)),
    ],
)
def test_mistakes_in_the_words(run, words, parts):
    refused(vaekl(run.parent, "diagnose", *words), *parts)


def test_a_run_that_cannot_be_read_does_not_hide_the_others(run):
    (run.parent / "broken").mkdir()
    (run.parent / "broken" / "config.yaml").write_text("choices: [")
    answer = vaekl(run.parent, "diagnose", "run", "broken", "diagnose.images=50", "diagnose.trial_steps=0")
    assert answer.code == 1 and "nats" in answer.out and "1 of 2 runs could not be diagnosed" in answer.err


def test_in_a_terminal_a_bar_says_which_of_several_runs_is_looked_at(run, monkeypatch):
    words = ("diagnose", "run", "run/last.pt", "diagnose.images=50", "diagnose.trial_steps=0")
    plain = vaekl(run.parent, *words)
    assert plain.code == 0 and not plain.err.strip()
    monkeypatch.setattr(Output, "isatty", lambda self: not self.is_standard)
    shown = vaekl(run.parent, *words, TERM="xterm", COLUMNS="80")
    assert shown.out == plain.out  # the bar goes to the standard error
    assert re.search(r"run/last.pt .*1/2", shown.err)
    assert "/1" not in vaekl(run.parent, "diagnose", *words[2:], TERM="xterm").err  # one run is soon done
