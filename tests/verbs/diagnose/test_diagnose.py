"""`vaekl diagnose`: the evidence of a run, and the exact answers of a linear VAE."""

import json
import re
from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from cli_helpers import contents, refused, rows, trained, vaekl
from made_up_evidence import FINE, FIXED, GOOD, with_settings
from pca_model import LATENTS, TEST, TRAIN, held_out, pca, vae

from vaekl.config.verb_options import defaults
from vaekl.data import generator
from vaekl.measures.calibration import calibration
from vaekl.measures.elbo import evaluate
from vaekl.model.likelihoods import Gaussian, Laplace
from vaekl.model.weighting import FixedDispersion, LearnedPrecision
from vaekl.run.config import RunConfig
from vaekl.run.load import load_run
from vaekl.store import checkpoint
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import Output
from vaekl.verbs.diagnose.causes import causes
from vaekl.verbs.diagnose.measure import _aggregate, _optimizer, _repeated, evidence, residuals
from vaekl.verbs.diagnose.options import DiagnoseOptions
from vaekl.verbs.diagnose.reference import fitted_posterior_gain, linear
from vaekl.verbs.diagnose.structure import spikes, structure, survivors, worth


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
