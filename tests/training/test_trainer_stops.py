"""What ends a run before its last step: patience, a number that is not finite, or the user."""

import os
import signal
from dataclasses import replace
from math import inf, nan
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cli_helpers import SMALL, vaekl
from helpers import data_of, model_of, trainer_of
from trainer_cases import Watched, flat, followed, stop_after

from vaekl.system.errors import VaeklError
from vaekl.training.callbacks import Checkpoints
from vaekl.training.divergence import DivergedError
from vaekl.training.schedules import LinearSchedule
from vaekl.training.trainer import Trainer


def test_patience_stops_the_run_and_keeps_the_best(monkeypatch, tmp_path):
    elbos = iter([1.0, 3.0, 2.0, 3.0, 9.0])
    monkeypatch.setattr("vaekl.training.judging.evaluate", lambda *_: SimpleNamespace(elbo=next(elbos)))
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
    monkeypatch.setattr("vaekl.training.judging.evaluate", lambda *_: SimpleNamespace(elbo=next(elbos)))
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec), steps=100, valid_every=2, patience=2)
    trainer.fit()
    assert (trainer.step, trainer.best_elbo) == (14, 3.0)


@pytest.mark.parametrize(
    ("patience", "last", "best", "stale"),
    [(2, 1.0, 3.0, 0), (2, 9.0, 9.0, 0), (None, 1.0, 3.0, 0), (None, 9.0, 3.0, 0)],
)
def test_the_validation_at_an_end_between_others_counts_only_as_the_new_best(monkeypatch, patience, last, best, stale):
    """A run of more steps has none there, and goes on from this one's checkpoint."""
    elbos = iter([2.0, 3.0, last])
    monkeypatch.setattr("vaekl.training.judging.evaluate", lambda *_: SimpleNamespace(elbo=next(elbos)))
    data = data_of()
    trainer, recorder = trainer_of(data, model_of(data.spec), steps=8, valid_every=3, patience=patience)
    trainer.fit()
    assert [step for step, *_ in recorder.evaluations] == [3, 6, 8]
    assert (trainer.best_elbo, trainer.stale_validations) == (best, stale)


def test_validations_during_a_warm_up_do_not_count(monkeypatch):
    """Below its full weight the KL rises and the ELBO falls, whatever the run is worth."""
    elbos = iter([9.0, 8.0, 7.0, 1.0, 2.0, 1.5, 1.4])
    monkeypatch.setattr("vaekl.training.judging.evaluate", lambda *_: SimpleNamespace(elbo=next(elbos)))
    data = data_of()
    options = {"steps": 100, "valid_every": 3, "patience": 2, "schedule": LinearSchedule(100, steps=10)}
    trainer, recorder = trainer_of(data, model_of(data.spec), **options)
    trainer.fit()
    # step 12 is the first whose multiplier, that of (0-based) step 11, is 1
    assert [(step, improved) for step, _, improved in recorder.evaluations] == [
        (3, False), (6, False), (9, False), (12, True), (15, True), (18, False), (21, False),
    ]  # fmt: skip
    assert trainer.best_elbo == 2.0


class Spoiled(Watched):
    """A split whose eighth batch is NaN."""

    def stored(self, index):
        x = super().stored(index)
        return x * nan if len(self.batches) == 8 else x


def diverged(trainer):
    with pytest.raises(DivergedError) as caught:
        trainer.fit()
    text = str(caught.value)
    assert isinstance(caught.value, VaeklError)
    assert "\n" not in text
    assert text.endswith(
        "what was saved before is kept: train afresh with values of about 1 (rescale the data), a lower optim.lr, "
        "trainer.clip_norm or trainer.on_nan=restore."
    )
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


def test_a_gradient_whose_squares_overflow_is_named():
    """Adam would divide by infinity from then on: figures that are finite, and weights that never move again."""
    data = data_of()
    model = model_of(data.spec)
    trainer, recorder = trainer_of(data, model, steps=10, log_every=5)
    model.decoder[-2].bias.register_hook(lambda gradient: gradient.sign() * 1e25)
    assert "the norm of the gradient is not finite at step 5" in diverged(trainer)
    assert recorder.figures == []


def test_a_loss_that_no_log_has_seen_is_not_saved():
    """The checkpoint would end every run that goes on from it at its next log."""
    data = data_of()
    trainer, recorder = trainer_of(data, model_of(data.spec), steps=20, log_every=10, valid_every=8)
    whole = trainer.train_step

    def train_step(stored):
        whole(stored)
        if trainer.step == 7:
            trainer.rows[6, 0] = inf

    trainer.train_step = train_step
    assert "energy_nats is not finite at step 7, with every parameter still finite" in diverged(trainer)
    assert recorder.events == ["started", "failed"]


def test_a_validation_that_is_not_finite_ends_the_run(monkeypatch):
    """An outlier among the held-out images, say: it is not in any batch."""
    monkeypatch.setattr("vaekl.training.judging.evaluate", lambda *_: SimpleNamespace(elbo=-inf))
    data = data_of()
    trainer, recorder = trainer_of(data, model_of(data.spec), valid_every=3)
    assert "the validation's elbo_nats is not finite at step 3" in diverged(trainer)
    assert recorder.evaluations == []


def test_an_optimiser_that_remembers_such_a_gradient_is_not_saved():
    """No log saw it, every weight is finite, and that one would never move again."""
    data = data_of()
    model = model_of(data.spec)
    trainer, recorder = trainer_of(data, model, steps=10, log_every=5, valid_every=8)
    bias = model.decoder[-2].bias
    bias.register_hook(lambda gradient: gradient.sign() * 1e25 if trainer.step == 6 else gradient)
    (name,) = [name for name, parameter in model.named_parameters() if parameter is bias]
    assert f"the optimiser's exp_avg_sq of parameter {name} is not finite after step 8" in diverged(trainer)
    assert recorder.evaluations == []


def test_a_run_that_is_stopped_after_it_diverged_is_not_saved():
    """Otherwise the last good checkpoint would be written over by weights that are NaN."""
    trainer, recorder = spoiled(log_every=100, valid_every=100)
    stop_after(trainer, 9)
    diverged(trainer)
    assert recorder.events == ["started", "failed"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("times", [1, 2])
def test_a_second_signal_stops_at_once(times, number, tmp_path, monkeypatch):
    """The first ends the step; the second finds the handlers that were there before."""
    whole, calls = Trainer.train_step, []

    def train_step(self, index):
        if self.step == 2:
            for _ in range(times):
                os.kill(os.getpid(), number)
        calls.append(self.stop_requested)
        whole(self, index)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "train_step", train_step)
    before = [signal.signal(one, interrupt) for one in (signal.SIGINT, signal.SIGTERM)]
    try:
        answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *SMALL, "trainer.valid_every=100")
        assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == [interrupt] * 2
    finally:
        for one, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(one, handler)
    assert answer.code == 130
    if times == 1:
        assert (calls, "stopped at step 3" in answer.err) == ([False, False, True], True)
    else:
        assert (calls, answer.err) == ([False, False], "vaekl: interrupted.\n")
    assert (tmp_path / "run" / "last.pt").exists() is (times == 1)
