"""The loop: seeds, orders, resuming, divergence, early stopping, and what it logs."""

from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import chain, pairwise
from math import inf, isnan, nan
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import SHAPE, Recorder, data_of, grey, model_of, split_of, trainer_of

from vaekl.callbacks import Checkpoints
from vaekl.data import Data, DataSpec, Split
from vaekl.data.transforms import Dequantize
from vaekl.errors import VaeklError
from vaekl.evaluate import evaluate
from vaekl.likelihoods import ContinuousBernoulli, Gaussian, Laplace
from vaekl.schedules import LearningRate, Linear
from vaekl.trainer import DivergedError
from vaekl.weighting import CBNormalizer, FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision

WEIGHTINGS = {
    "fixed_beta": lambda: FixedBeta(Gaussian(), SHAPE, 0.1),
    "cb_normalizer": lambda: CBNormalizer(ContinuousBernoulli(), SHAPE),
    "learned_precision": lambda: LearnedPrecision(Laplace(), SHAPE, "pixel"),
    "optimal_precision": lambda: OptimalPrecision(Gaussian(), SHAPE, "channel", momentum=0.1),
}
#: what no two runs share
TIMING = "images_per_second"


@dataclass(frozen=True)
class Watched(Split):
    """A split that remembers which images were asked for, at each batch."""

    asked: list = field(default_factory=list)

    def batch(self, index, generator=None):
        if not isinstance(index, slice):
            self.asked.append(index.tolist())
        return super().batch(index, generator)


def watched(data):
    train = Watched(data.train.images, None, data.train.transform)
    return replace(data, train=train), train.asked


def byte_data(count=40):
    """Bytes that are dequantised anew at each visit, so that the data draw from the trainer's generator too."""
    spec = DataSpec("bytes", SHAPE, 256, "unit_interval", dequantized=True)
    images = (255 * grey(count + 24)).to(torch.uint8)
    parts = [Split(part, None, Dequantize(255)) for part in images.split([count, 12, 12])]
    return Data(spec, spec, *parts)


def weighted(name, seed=0):
    weighting = WEIGHTINGS[name]()
    return model_of(byte_data().spec, weighting.likelihood, weighting, seed=seed)


def stop_after(trainer, step):
    """As a signal would: between two steps, wherever the epoch and the log's window are."""
    whole = trainer.train_step

    def train_step(index):
        whole(index)
        trainer.stop_requested = trainer.step == step

    trainer.train_step = train_step


def stored(state):
    """A state through a file, as a checkpoint goes."""
    file = BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def comparable(figures):
    """Without the timing, and with NaN equal to itself."""
    return [
        (step, {key: None if isnan(value) else value for key, value in values.items() if key != TIMING})
        for step, values in figures
    ]


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
def test_a_seed_decides_the_noise_and_the_order(seed):
    data, asked = watched(data_of())
    model = model_of(data.spec)
    noise = []
    model.register_forward_pre_hook(lambda module, inputs: noise.append(inputs[1]))
    trainer_of(data, model, steps=2, seed=seed)[0].fit()
    generator = torch.Generator().manual_seed(seed)
    assert all(torch.equal(found, torch.randn(8, 3, generator=generator)) for found in noise)
    data, others = watched(data_of())
    trainer_of(data, model, steps=2, seed=seed + 1)[0].fit()
    assert asked != others


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
    data, asked = watched(data_of(train=43))
    trainer, _ = trainer_of(data, model_of(data.spec), steps=15, batch_size=8)
    trainer.fit()
    assert [len(batch) for batch in asked] == [8] * 15
    epochs = [list(chain(*asked[start : start + 5])) for start in (0, 5, 10)]
    assert all(len(set(epoch)) == 40 and max(epoch) < 43 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_a_batch_larger_than_the_data_is_the_data():
    data, asked = watched(data_of(train=10))
    trainer, _ = trainer_of(data, model_of(data.spec), steps=3, batch_size=64)
    trainer.fit()
    assert [sorted(batch) for batch in asked] == [list(range(10))] * 3


@pytest.mark.parametrize("stop", [1, 7, 10, 13])
def test_a_resumed_run_continues_the_epoch_s_order(stop):
    data, whole = watched(data_of())
    trainer_of(data, model_of(data.spec))[0].fit()
    data, parts = watched(data_of())
    trainer, _ = trainer_of(data, model_of(data.spec))
    stop_after(trainer, stop)
    trainer.fit()
    assert parts == whole[:stop]
    resumed, _ = trainer_of(data, model_of(data.spec, seed=1))
    resumed.load_state_dict(stored(trainer.state_dict()))
    resumed.fit()
    assert parts == whole


SETTINGS = {
    "adam": {"optimizer": "adam"},
    "sgd, clipped": {"optimizer": "sgd", "clip_norm": 0.5},
    "adam, averaged": {"optimizer": "adam", "ema": 0.9},
    "sgd, averaged, clipped": {"optimizer": "sgd", "ema": 0.5, "clip_norm": 5.0},
}


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("stop", [7, 22])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(weighting, setting, stop):
    """Stopped within an epoch (of 5 steps) and within a log's window (of 4), 23 steps in all."""
    options = SETTINGS[setting] | {
        "steps": 23,
        "log_every": 4,
        "valid_every": 6,
        "schedule": Linear(23, steps=15),
        "lr_schedule": LearningRate(23, warmup_steps=3, final=0.1),
    }
    data = byte_data()
    whole, told = trainer_of(data, weighted(weighting), **options)
    whole.fit()

    stopped, first = trainer_of(data, weighted(weighting), **options)
    stop_after(stopped, stop)
    stopped.fit()
    assert (stopped.step, stopped.finished, first.events) == (stop, False, ["started", "paused"])
    state = stored(stopped.state_dict())

    torch.manual_seed(99)
    resumed, second = trainer_of(data, weighted(weighting, seed=5), **options)
    resumed.load_state_dict(state)
    assert resumed.step == stop
    resumed.fit()

    assert same(resumed.model.state_dict(), whole.model.state_dict())
    assert same(resumed.judged.state_dict(), whole.judged.state_dict())
    assert resumed.finished
    assert comparable(first.figures + second.figures) == comparable(told.figures)
    assert [step for step, *_ in told.evaluations] == [6, 12, 18, 23]
    judged, expected = first.evaluations + second.evaluations, told.evaluations
    assert [(s, e.figures(), better) for s, e, better in judged] == [(s, e.figures(), b) for s, e, b in expected]
    assert resumed.best_elbo == whole.best_elbo == max(e.elbo for _, e, _ in expected)
    assert evaluate(resumed.judged, data.test).figures() == evaluate(whole.judged, data.test).figures()


def test_a_finished_run_has_nothing_to_resume():
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec))
    trainer.fit()
    resumed, recorder = trainer_of(data, model_of(data.spec))
    resumed.load_state_dict(stored(trainer.state_dict()))
    resumed.fit()
    assert (resumed.step, recorder.events, recorder.figures) == (20, ["started", "paused"], [])
    assert same(resumed.model.state_dict(), trainer.model.state_dict())


def observed(trainer):
    """What the model returned at each training step."""
    seen = []
    trainer.model.register_forward_hook(lambda module, inputs, terms: seen.append(terms))
    return seen


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_logged_figures_are_averages_of_every_step_since_the_last(weighting):
    schedule = Linear(13, steps=9)
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
        phi = np.exp(seen[step - 1].dispersion.detach().log().mean().item())
        if weighting != "learned_precision":  # whose φ is one optimiser step further on
            assert figures["dispersion"] == pytest.approx(phi, rel=1e-5)
        expected = figures["dispersion"] * schedule(step - 1)
        assert figures["effective_beta_kl"] == pytest.approx(expected, rel=1e-5)
        assert figures["images_per_second"] > 0


def test_the_logged_learning_rate_is_the_last_step_s():
    data = data_of()
    rate = LearningRate(6, warmup_steps=2, final=0.1)
    trainer, recorder = trainer_of(data, model_of(data.spec), steps=6, log_every=1, lr_schedule=rate)
    trainer.fit()
    logged = [figures["learning_rate"] for _, figures in recorder.figures]
    assert logged == pytest.approx([0.01 * rate(step) for step in range(6)])


def test_sgd_moves_by_the_learning_rate_times_the_gradient_and_its_norm_is_logged():
    data = data_of()
    rate = LearningRate(4, warmup_steps=2)
    trainer, recorder = trainer_of(data, model_of(data.spec), steps=4, log_every=1, optimizer="sgd", lr_schedule=rate)
    path = followed(trainer)
    trainer.fit()
    moved = [np.linalg.norm(after - before) for before, after in pairwise(path)]
    norms = [figures["gradient_norm"] for _, figures in recorder.figures]
    assert moved == pytest.approx([0.001 * rate(step) * norm for step, norm in enumerate(norms)], rel=1e-3)


def followed(trainer):
    """All parameters before the first step and after each."""
    path = [flat(trainer.model)]
    whole = trainer.train_step

    def train_step(index):
        whole(index)
        path.append(flat(trainer.model))

    trainer.train_step = train_step
    return path


def flat(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().double().numpy()


def test_a_clipped_gradient_is_no_longer_than_the_clip_and_its_own_norm_is_logged():
    data = data_of()
    trainer, recorder = trainer_of(data, model_of(data.spec), steps=4, log_every=1, optimizer="sgd", clip_norm=0.25)
    path = followed(trainer)
    trainer.fit()
    moved = [np.linalg.norm(after - before) for before, after in pairwise(path)]
    assert moved == pytest.approx([0.001 * 0.25] * 4, rel=1e-2)
    assert min(figures["gradient_norm"] for _, figures in recorder.figures) > 0.25


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
    assert recorder.evaluations[-1][1].figures() == evaluate(trainer.judged, data.valid).figures()


def test_the_average_is_of_weights_and_takes_the_dispersion_as_it_is():
    data = data_of()
    model = model_of(data.spec, weighting=OptimalPrecision(Gaussian(), SHAPE, momentum=0.1))
    trainer, _ = trainer_of(data, model, ema=0.9)
    trainer.fit()
    judged, trained = dict(trainer.judged.named_buffers()), dict(model.named_buffers())
    assert same(judged, trained)
    assert trained["weighting.running_weight"].item() == pytest.approx(1 - 0.9**20)


def test_without_validation_images_nothing_is_judged():
    data = data_of(valid=0)
    trainer, recorder = trainer_of(data, model_of(data.spec))
    trainer.fit()
    assert recorder.evaluations == [(10, None, False), (20, None, False)]
    assert trainer.best_elbo == -inf


def test_validation_uses_training_s_schedule():
    schedule = Linear(20, steps=16)
    data = data_of()
    trainer, recorder = trainer_of(data, model_of(data.spec), schedule=schedule)
    trainer.fit()
    _, first, _ = recorder.evaluations[0]
    # φ = 1
    assert first.loss == pytest.approx(first.energy_nats - first.log_norm_const + schedule(9) * first.kl, rel=1e-6)
    assert first.loss != pytest.approx(-first.elbo, rel=1e-3)


def test_patience_stops_the_run_and_keeps_the_best(monkeypatch, tmp_path):
    elbos = iter([1.0, 3.0, 2.0, 3.0, 9.0])
    monkeypatch.setattr("vaekl.trainer.evaluate", lambda *_: SimpleNamespace(elbo=next(elbos)))
    data = data_of()
    options = {"steps": 100, "valid_every": 3, "patience": 2}
    trainer, recorder = trainer_of(data, model_of(data.spec), **options)
    path = followed(trainer)
    trainer.callbacks.append(Checkpoints(tmp_path))
    trainer.fit()
    assert [(step, improved) for step, _, improved in recorder.evaluations] == [
        (3, True), (6, True), (9, False), (12, False),
    ]  # fmt: skip
    assert (trainer.step, trainer.finished, trainer.best_elbo) == (12, True, 3.0)
    best = torch.load(tmp_path / "best.pt", weights_only=True)["state"]
    kept, _ = trainer_of(data, model_of(data.spec, seed=3), **options)
    kept.load_state_dict(best)
    assert kept.step == 6
    np.testing.assert_array_equal(flat(kept.model), path[6])

    resumed, again = trainer_of(data, model_of(data.spec), **options)
    resumed.load_state_dict(torch.load(tmp_path / "last.pt", weights_only=True)["state"])
    resumed.fit()
    assert (resumed.step, again.evaluations) == (12, [])


def test_patience_counts_validations_in_a_row(monkeypatch):
    elbos = iter([1.0, 0.0, 2.0, 1.0, 3.0, 2.0, 2.0, 9.0])
    monkeypatch.setattr("vaekl.trainer.evaluate", lambda *_: SimpleNamespace(elbo=next(elbos)))
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec), steps=100, valid_every=2, patience=2)
    trainer.fit()
    assert (trainer.step, trainer.best_elbo) == (14, 3.0)


class Spoiled(Watched):
    """A split whose eighth batch is NaN."""

    def batch(self, index, generator=None):
        x = super().batch(index, generator)
        return x * nan if len(self.asked) == 8 else x


def diverged(trainer):
    with pytest.raises(DivergedError) as caught:
        trainer.fit()
    text = str(caught.value)
    assert isinstance(caught.value, VaeklError)
    assert text.endswith(".")
    assert "\n" not in text
    assert "optim.lr" in text
    assert "trainer.clip_norm" in text
    return text


def spoiled(**options):
    data = data_of()
    data = replace(data, train=Spoiled(data.train.images, None, data.train.transform))
    return trainer_of(data, model_of(data.spec), **options)


def test_a_nan_names_its_step_and_its_part():
    trainer, recorder = spoiled()
    text = diverged(trainer)
    assert "energy_nats is not finite at step 8 and parameter encoder." in text
    assert [step for step, _ in recorder.figures] == [5]
    assert recorder.events == ["started", "failed"]


def test_a_learning_rate_that_is_far_too_large_names_a_step_and_a_part():
    data = data_of()
    model = model_of(data.spec)
    trainer, recorder = trainer_of(data, model, optimizer="sgd", lr_schedule=lambda step: 1e12)
    text = diverged(trainer)
    assert "is not finite at step 2" in text or "is not finite at step 3" in text
    assert recorder.events == ["started", "failed"]


def test_a_parameter_that_breaks_at_the_last_step_is_named():
    """The loss of the last step was still finite, so only the parameters can tell."""
    data = data_of()
    model = model_of(data.spec)
    trainer, recorder = trainer_of(data, model, steps=10)
    bias = model.decoder[-2].bias
    bias.register_hook(lambda gradient: gradient * nan if trainer.step == 9 else gradient)
    (name,) = [name for name, parameter in model.named_parameters() if parameter is bias]
    assert f"parameter {name} is not finite after step 10" in diverged(trainer)
    assert recorder.evaluations == []


def test_a_run_that_is_stopped_after_it_diverged_is_not_saved():
    """Otherwise the last good checkpoint would be written over by weights that are NaN."""
    trainer, recorder = spoiled(log_every=100, valid_every=100)
    stop_after(trainer, 9)
    diverged(trainer)
    assert recorder.events == ["started", "failed"]


def test_callbacks_are_told_in_their_order():
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec))
    told = []
    for name in ("first", "second"):
        callback = Recorder()
        callback.logged = lambda trainer, figures, name=name: told.append(name)
        trainer.callbacks.append(callback)
    trainer.fit()
    assert told == ["first", "second"] * 4


def test_the_trained_images_are_train_s_alone():
    """A "test" set that is the training split is one of the field's mistakes: other images are never asked for."""

    class Forbidden(Split):
        def batch(self, index, generator=None):
            raise AssertionError("the test images were looked at in training")

    data = data_of()
    data = replace(data, test=Forbidden(data.test.images, None, data.test.transform))
    trainer, _ = trainer_of(data, model_of(data.spec, weighting=FixedDispersion(Gaussian(), SHAPE)))
    trainer.fit()
    assert evaluate(trainer.judged, split_of(data.test.images)).images == 12
