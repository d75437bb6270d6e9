"""A run that diverges says where that began, and may go back to its checkpoint with half the learning rate."""

import signal
import weakref

import numpy as np
import pytest
import torch
from cli_helpers import refused, results, rows, vaekl, weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_recovery import RUN, at_step, stopped

from vaekl.run import build as building
from vaekl.run import start
from vaekl.store import checkpoint
from vaekl.training.callbacks import tensorboard

#: log σ² of the encoder overflows where a step is so large
TOO_FAST = ("likelihood=gaussian", "weighting=fixed_beta", "weighting.beta=0.001", "optim=sgd")


def scalars(run, tag):
    events = EventAccumulator(str(run), {"scalars": 0})
    events.Reload()
    return {event.step: event.value for event in events.Scalars(tag)}


def test_a_run_that_diverges_goes_back_and_halves_its_learning_rate(tmp_path):
    rate = 1.0
    words = (*RUN, *TOO_FAST, "trainer.on_nan=restore")
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *words, f"optim.lr={rate}")
    run = tmp_path / "run"
    assert answer.code == 0, answer.err
    restores = results(run)["restores"]
    assert 1 <= restores <= 10
    assert answer.out.count("back to the last checkpoint with half the learning rate") == restores
    last = rows(run, "train")[-1]
    assert float(last["learning_rate"]) == pytest.approx(rate / 2**restores)
    assert scalars(run, "train/restores")[60] == restores == float(last["restores"])
    assert checkpoint.load(run / "last.pt")["restores"] == restores
    assert all(tensor.isfinite().all() for tensor in weights(run).values() if tensor.is_floating_point())


def test_ten_times_are_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "_LONGEST_WAIT", -1)  # each of them would wait for the next second
    words = (*RUN, *TOO_FAST, "trainer.on_nan=restore", "optim.lr=1e30")
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *words)
    refused(answer, "training diverged", "step 2")
    assert answer.out.count("half the learning rate") == 10


def last_bias(monkeypatch, change):
    """Models whose last bias begins at 0, and is given to `change`, as the model is."""
    build = building.build_model

    def build_model(*arguments):
        model = build(*arguments)
        bias = list(model.decoder.parameters())[-1]
        torch.nn.init.zeros_(bias)
        change(model, bias)
        return model

    monkeypatch.setattr(building, "build_model", build_model)


def breaks_once(monkeypatch, also=lambda: None):
    """A gradient that is NaN at the 34th step, and at no other."""
    gradients = iter(range(1000))

    def gradient_of(gradient):
        if next(gradients) != 33:
            return gradient
        also()
        return gradient * torch.nan

    last_bias(monkeypatch, lambda _, bias: bias.register_hook(gradient_of))


def test_it_goes_back_to_the_checkpoint_and_takes_each_step_once(tmp_path, monkeypatch):
    """One bad gradient, at the 34th step; the replay does not meet it again."""
    gradients = iter(range(1000))
    last_bias(monkeypatch, lambda _, bias: bias.register_hook(lambda g: g * torch.nan if next(gradients) == 33 else g))
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *RUN, "likelihood=gaussian", "trainer.on_nan=restore")
    assert answer.code == 0, answer.err
    assert "resumed at step 20" in answer.out
    run = tmp_path / "run"
    steps = [(row["step"], row["split"]) for row in rows(run)]
    assert len(steps) == len(set(steps)) == 6 + 3 + 1
    rates = {int(row["step"]): float(row["learning_rate"]) for row in rows(run, "train")}
    assert rates == pytest.approx(dict.fromkeys((10, 20), 1e-3) | dict.fromkeys((30, 40, 50, 60), 5e-4))
    assert scalars(run, "train/learning_rate") == pytest.approx(rates)
    assert scalars(run, "train/restores") == dict.fromkeys((30, 40, 50, 60), 1)
    assert checkpoint.load(run / "last.pt")["restores"] == 1


def test_a_run_that_went_back_keeps_its_learning_rate_when_it_is_stopped_and_resumed(tmp_path):
    run = stopped(tmp_path)
    at_40 = checkpoint.load(at_step(tmp_path, 40))
    for name in ("last.pt", "previous.pt"):
        checkpoint.save(run / name, at_40 | {"restores": 3})
    assert vaekl(tmp_path, "resume", str(run)).code == 0
    assert results(run)["restores"] == 3
    assert float(rows(run, "train")[-1]["learning_rate"]) == pytest.approx(1e-3 / 8)


def too_far(bias):
    """Where Adam's steps of 0.001 have taken it after the seventh."""
    return bias.abs().max() > 0.0065


@pytest.fixture
def fragile(monkeypatch):
    """The bias of the last layer, whose gradient is infinite once it has gone too far."""
    last_bias(monkeypatch, lambda _, bias: bias.register_hook(lambda g: g + torch.inf if too_far(bias) else g))


@pytest.mark.parametrize("save_every", [3, 20])
def test_a_gradient_that_went_first_is_named(save_every, tmp_path, fragile):
    """Logs see it a step later, in the loss; the steps since the checkpoint are taken again to see it itself."""
    words = (*RUN, "likelihood=gaussian", f"trainer.valid_every={save_every}")
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *words)
    text = refused(answer, "training diverged", "not finite", "step 9", "the gradient of decoder.")
    assert "it began at step 8: the gradient of decoder." in text and "every part of the ELBO still finite" in text
    assert (tmp_path / "run/last.pt").exists() == (save_every == 3)


def test_a_gradient_whose_squares_overflow_is_named_at_its_own_step(tmp_path, monkeypatch):
    """The log that looks at the norm comes two steps later."""
    last_bias(monkeypatch, lambda _, bias: bias.register_hook(lambda g: g.sign() * 1e25 if too_far(bias) else g))
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *RUN, "likelihood=gaussian")
    refused(answer, "the norm of the gradient is not finite at step 10; it began at step 8: the gradient of decoder.")


@pytest.mark.parametrize("clip", ["null", "1"])
def test_of_many_gradients_the_one_nearest_the_loss_is_named(clip, tmp_path, monkeypatch):
    """The gradient of the decoder's first layer is NaN, and so is every one of the encoder behind it.

    A clip would multiply all by their norm, which is NaN.
    """

    def change(model, bias):
        def spoil(_, __, output):
            if output.requires_grad:
                output.register_hook(lambda gradient: gradient * torch.nan if too_far(bias) else gradient)

        next(m for m in model.decoder.modules() if isinstance(m, torch.nn.Linear)).register_forward_hook(spoil)

    last_bias(monkeypatch, change)
    words = (*RUN, "likelihood=gaussian", f"trainer.clip_norm={clip}")
    refused(vaekl(tmp_path, "train", "hydra.run.dir=run", *words), "it began at step 8: the gradient of decoder.0.")


def test_a_weight_that_breaks_by_itself_is_named(tmp_path, monkeypatch):
    """An optimiser's fault: the gradient was finite."""
    step = torch.optim.Adam.step

    def broken(self, *more):
        loss = step(self, *more)
        bias = self.param_groups[0]["params"][-1]
        if too_far(bias):
            bias.data.fill_(torch.inf)
        return loss

    last_bias(monkeypatch, lambda *_: None)
    monkeypatch.setattr(torch.optim.Adam, "step", broken)
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *RUN, "likelihood=gaussian", "optim.fused=false")
    text = refused(answer, "it began at step 7: decoder.", "with the ELBO and the gradient still finite")
    assert ".bias" in text


def test_a_stop_is_heard_while_a_run_diverges(tmp_path, monkeypatch):
    breaks_once(monkeypatch, lambda: signal.raise_signal(signal.SIGTERM))
    words = (*RUN, "likelihood=gaussian", "trainer.on_nan=restore")
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *words)
    assert answer.code == 130 and "stopped as it diverged" in answer.err
    answer = vaekl(tmp_path, "resume", "run")
    assert answer.code == 0 and "resumed at step 20" in answer.out


def test_a_run_that_is_to_stop_where_it_diverges_says_so_even_if_it_was_asked_to(tmp_path, monkeypatch):
    """It would diverge again."""
    breaks_once(monkeypatch, lambda: signal.raise_signal(signal.SIGTERM))
    refused(vaekl(tmp_path, "train", "hydra.run.dir=run", *RUN, "likelihood=gaussian"), "training diverged")


def test_a_run_that_diverged_is_gone_before_it_is_built_again(tmp_path, monkeypatch):
    build, built = start.build, []

    def counted(*arguments):
        assert [trainer() for trainer in built] == [None] * len(built)
        run = build(*arguments)
        built.append(weakref.ref(run.trainer))
        return run

    breaks_once(monkeypatch)
    monkeypatch.setattr(start, "build", counted)
    words = (*RUN, "likelihood=gaussian", "trainer.on_nan=restore")
    assert vaekl(tmp_path, "train", "hydra.run.dir=run", *words).code == 0
    assert len(built) == 3  # the run, the replay, the run again


def test_a_divergence_is_told_even_if_its_steps_cannot_be_taken_again(tmp_path, monkeypatch):
    """Somebody took the data away meanwhile."""
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images)
    breaks_once(monkeypatch, (tmp_path / "a.npz").unlink)
    words = (*RUN, "likelihood=gaussian", "dataset=npz", f"dataset.path={tmp_path / 'a.npz'}")
    refused(vaekl(tmp_path, "train", "hydra.run.dir=run", *words), "training diverged")


def test_the_times_that_a_run_went_back_are_not_those_of_its_best_weights(tmp_path):
    run = stopped(tmp_path, "trainer.patience=9")
    checkpoint.save(run / "last.pt", checkpoint.load(run / "last.pt") | {"restores": 3})
    assert checkpoint.load(run / "best.pt")["restores"] == 0
    assert vaekl(tmp_path, "resume", str(run)).code == 0
    assert results(run)["restores"] == 3
