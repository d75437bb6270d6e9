"""The loop: seeds, orders, gradients, averages, and what it logs."""

from dataclasses import replace
from itertools import chain, pairwise
from math import inf
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import SHAPE, Recorder, data_of, model_of, seeded, split_of, trainer_of
from trainer_cases import WEIGHTINGS, byte_data, comparable, flat, followed, same, watched, weighted

from vaekl.data import Split, generator
from vaekl.measures.elbo import evaluate
from vaekl.model.likelihoods import Gaussian
from vaekl.model.weighting import FixedDispersion, LearnedPrecision
from vaekl.training.schedules import LearningRateSchedule, LinearSchedule


def run(seed=0, model_seed=0, **options):
    data = data_of()
    model = model_of(data.spec, seed=model_seed)
    trainer, recorder = trainer_of(data, model, seed=seed, **options)
    trainer.fit()
    return model.state_dict(), recorder


def test_a_seed_is_honoured_and_zero_is_one():
    (first, figures), (again, other), (third, _) = run(seed=0), run(seed=0), run(seed=1)
    assert same(first, again)
    assert comparable(figures.figures) == comparable(other.figures)
    assert not same(first, third)


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_a_seed_decides_the_training_noise_and_the_order(seed):
    data, batches = watched(data_of())
    model = model_of(data.spec)
    noise = []
    model.register_forward_pre_hook(lambda module, inputs: noise.append(inputs[1]))
    trainer_of(data, model, steps=2, seed=seed)[0].fit()
    stream = generator("noise", seed)
    assert all(torch.equal(drawn, torch.randn(8, 3, generator=stream)) for drawn in noise)
    data, others = watched(data_of())
    trainer_of(data, model, steps=2, seed=seed + 1)[0].fit()
    assert batches != others


def test_training_does_not_touch_the_global_generator():
    torch.manual_seed(123)
    expected = torch.rand(3)
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec))
    torch.manual_seed(123)
    trainer.fit()
    assert torch.equal(torch.rand(3), expected)


def test_training_raises_the_elbo():
    data = data_of()
    model = model_of(data.spec, weighting=FixedDispersion(Gaussian(), SHAPE, 0.02))
    trainer, recorder = trainer_of(data, model, steps=200)
    trainer.fit()
    assert recorder.figures[-1][1]["elbo_nats"] > recorder.figures[0][1]["elbo_nats"] + 1
    assert recorder.evaluations[-1][1].elbo > recorder.evaluations[0][1].elbo


def test_every_epoch_has_its_own_order_and_leaves_out_a_ragged_batch():
    data, batches = watched(data_of(train=43))
    trainer, _ = trainer_of(data, model_of(data.spec), steps=15, batch_size=8)
    trainer.fit()
    assert [len(batch) for batch in batches] == [8] * 15
    epochs = [list(chain(*batches[start : start + 5])) for start in (0, 5, 10)]
    assert all(len(set(epoch)) == 40 and max(epoch) < 43 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_a_batch_larger_than_the_data_is_the_data():
    data, batches = watched(data_of(train=10))
    trainer, _ = trainer_of(data, model_of(data.spec), steps=3, batch_size=64)
    trainer.fit()
    assert [sorted(batch) for batch in batches] == [list(range(10))] * 3


def observed(trainer):
    """What the model returned at each training step."""
    seen = []
    trainer.model.register_forward_hook(lambda module, inputs, terms: seen.append(terms))
    return seen


def phi_after(step, seen, weighting):
    """φ as an evaluation sees it after a step, a geometric mean: what the next step sees, or the running mean."""
    if weighting.name == "optimal_precision":
        shares = np.array([0.1 * 0.9 ** (step - 1 - past) for past in range(step)])
        phi = sum(share * terms.dispersion for share, terms in zip(shares / shares.sum(), seen, strict=False))
    else:
        phi = seen[step].dispersion if step < len(seen) else weighting.dispersion
    return np.exp(phi.detach().log().mean().item())


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_logged_figures_are_averages_of_every_step_since_the_last(weighting):
    schedule = LinearSchedule(13, steps=9)
    trainer, recorder = trainer_of(byte_data(), weighted(weighting), steps=13, schedule=schedule)
    seen = observed(trainer)
    trainer.fit()
    assert [step for step, _ in recorder.figures] == [5, 10, 13]
    columns = [
        {
            "energy_nats": (terms.energy / terms.dispersion).sum().item() / 8,
            "energy": terms.energy.sum().item() / 8,
            "log_norm_const_nats": terms.log_norm_const.sum().item() / 8,
            "kl_nats": terms.kl.sum().item() / 8,
        }
        for terms in seen
    ]
    for step, row in enumerate(columns):
        row["elbo_nats"] = row["log_norm_const_nats"] - row["energy_nats"] - row["kl_nats"]
        if weighting == "fixed_beta":
            row["loss"] = row["energy"] + 0.1 * schedule(step) * row["kl_nats"]
        else:
            row["loss"] = row["energy_nats"] - row["log_norm_const_nats"] + schedule(step) * row["kl_nats"]
    for (step, figures), window in zip(recorder.figures, (columns[:5], columns[5:10], columns[10:]), strict=True):
        for name in window[0]:
            assert figures[name] == pytest.approx(np.mean([row[name] for row in window]), rel=1e-5, abs=1e-5), name
        ledger = figures["log_norm_const_nats"] - figures["energy_nats"] - figures["kl_nats"]
        assert figures["elbo_nats"] == pytest.approx(ledger, rel=1e-5, abs=1e-4)
        assert figures["bits_per_dim"] == pytest.approx(8 - figures["elbo_nats"] / (16 * np.log(2)), rel=1e-6)
        assert figures["schedule"] == schedule(step - 1)
        phi = phi_after(step, seen, trainer.model.weighting)
        assert figures["dispersion"] == pytest.approx(phi, rel=1e-5)
        assert figures["effective_beta_kl"] == pytest.approx(phi * schedule(step - 1), rel=1e-5)
        assert figures["images_per_second"] > 0


def test_the_logged_learning_rate_is_the_last_step_s():
    data = data_of()
    rate = LearningRateSchedule(6, warmup_steps=2, final=0.1)
    trainer, recorder = trainer_of(data, model_of(data.spec), steps=6, log_every=1, lr_schedule=rate)
    trainer.fit()
    logged = [figures["learning_rate"] for _, figures in recorder.figures]
    assert logged == pytest.approx([0.01 * rate(step) for step in range(6)])


def test_images_per_second_count_steps_and_no_validation(monkeypatch):
    """Step k takes k seconds and a validation a thousand, on a clock of the test's own."""
    now = [0.0]
    for module in ("trainer", "judging"):
        monkeypatch.setattr(f"vaekl.training.{module}.time", SimpleNamespace(perf_counter=lambda: now[0]))
    data = data_of()
    trainer, recorder = trainer_of(data, model_of(data.spec), steps=10, log_every=4, valid_every=6)
    whole = trainer.train_step

    def train_step(index):
        whole(index)
        now[0] += trainer.step

    def slow(*arguments):
        now[0] += 1000
        return evaluate(*arguments)

    trainer.train_step = train_step
    monkeypatch.setattr("vaekl.training.judging.evaluate", slow)
    trainer.fit()
    # steps 1 to 4; 7 and 8, for the validation began a new count; 9 and 10
    expected = [4 * 8 / (1 + 2 + 3 + 4), 2 * 8 / (7 + 8), 2 * 8 / (9 + 10)]
    assert [figures["images_per_second"] for _, figures in recorder.figures] == pytest.approx(expected)


def test_sgd_moves_by_the_learning_rate_times_the_gradient_and_its_norm_is_logged():
    data = data_of()
    rate = LearningRateSchedule(4, warmup_steps=2)
    trainer, recorder = trainer_of(data, model_of(data.spec), steps=4, log_every=1, optimizer="sgd", lr_schedule=rate)
    path = followed(trainer)
    trainer.fit()
    moved = [np.linalg.norm(after - before) for before, after in pairwise(path)]
    norms = [figures["gradient_norm"] for _, figures in recorder.figures]
    assert moved == pytest.approx([0.001 * rate(step) * norm for step, norm in enumerate(norms)], rel=1e-3)


def test_a_clipped_gradient_is_no_longer_than_the_clip_and_its_own_norm_is_logged():
    data = data_of()
    trainer, recorder = trainer_of(data, model_of(data.spec), steps=4, log_every=1, optimizer="sgd", clip_norm=0.25)
    path = followed(trainer)
    trainer.fit()
    moved = [np.linalg.norm(after - before) for before, after in pairwise(path)]
    assert moved == pytest.approx([0.001 * 0.25] * 4, rel=1e-2)
    assert min(figures["gradient_norm"] for _, figures in recorder.figures) > 0.25


@pytest.mark.parametrize("clip", [None, 0.25])
def test_the_gradient_s_norm_and_its_clip_are_the_networks_alone(clip):
    """ln φ's gradient, D/2 − E/φ for the Gaussian, is orders larger: in the norm it would clip all else to nothing."""
    data = data_of()
    model = model_of(data.spec, weighting=LearnedPrecision(Gaussian(), SHAPE, init=0.001))
    options = {"steps": 1, "log_every": 1, "optimizer": "sgd", "lr": 1e-4, "clip_norm": clip}
    trainer, recorder = trainer_of(data, model, **options)
    before = {name: value.detach().clone().double() for name, value in model.named_parameters()}
    trainer.fit()
    moved = {name: value.detach().double() - before[name] for name, value in model.named_parameters()}
    ln_phi = moved.pop("weighting.log_dispersion").item()
    ((_, figures),) = recorder.figures
    assert figures["energy_nats"] > 500
    assert ln_phi == pytest.approx(1e-4 * (figures["energy_nats"] - 16 / 2), rel=1e-4)
    length = np.sqrt(sum(value.square().sum().item() for value in moved.values()))
    if clip is None:
        assert length == pytest.approx(1e-4 * figures["gradient_norm"], rel=1e-3)
    else:
        assert length == pytest.approx(1e-4 * clip, rel=1e-2)
        assert figures["gradient_norm"] > clip


def test_the_average_by_hand_is_what_is_judged():
    """The first step starts the average; each further one counts a tenth."""
    data = data_of()
    trainer, recorder = trainer_of(data, model_of(data.spec), ema=0.9)
    path = followed(trainer)
    trainer.fit()
    average = path[1]
    for point in path[2:]:
        average = 0.9 * average + 0.1 * point
    np.testing.assert_allclose(flat(trainer.judged), average, rtol=1e-4, atol=1e-6)
    assert np.abs(flat(trainer.model) - average).max() > 1e-3
    assert (
        recorder.evaluations[-1][1].figures() == evaluate(trainer.judged, data.valid, generator("valid", 0)).figures()
    )


def test_without_validation_images_nothing_is_judged():
    data = data_of(valid=0)
    trainer, recorder = trainer_of(data, model_of(data.spec))
    trainer.fit()
    assert recorder.evaluations == [(10, None, False), (20, None, False)]
    assert trainer.best_elbo == -inf


def test_validation_uses_training_s_schedule():
    schedule = LinearSchedule(20, steps=16)
    data = data_of()
    trainer, recorder = trainer_of(data, model_of(data.spec), schedule=schedule)
    trainer.fit()
    _, first, _ = recorder.evaluations[0]
    # φ = 1
    assert first.loss == pytest.approx(first.energy_nats - first.log_norm_const + schedule(9) * first.kl, rel=1e-6)
    assert first.loss != pytest.approx(-first.elbo, rel=1e-3)


def test_callbacks_are_told_in_their_order():
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec))
    calls = []
    for name in ("first", "second"):
        callback = Recorder()
        callback.logged = lambda trainer, figures, name=name: calls.append(name)
        trainer.callbacks.append(callback)
    trainer.fit()
    assert calls == ["first", "second"] * 4


def test_the_trained_images_are_train_s_alone():
    """A "test" set that is the training split is one of the field's mistakes: other images are never asked for."""

    class Forbidden(Split):
        def stored(self, index):
            raise AssertionError("the test images were looked at in training")

    data = data_of()
    data = replace(data, test=Forbidden(data.test.images, None, data.test.transform))
    trainer, _ = trainer_of(data, model_of(data.spec, weighting=FixedDispersion(Gaussian(), SHAPE)))
    trainer.fit()
    assert evaluate(trainer.judged, split_of(data.test.images), seeded()).images == 12
