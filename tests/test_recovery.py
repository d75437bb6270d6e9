"""A run goes on from the checkpoint that can be read, and one that diverged says where that began."""

import numpy as np
import pytest
import torch
from cli_helpers import refused, results, rows, same_weights, trained, vaekl, weights
from helpers import data_of, model_of, trainer_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vaekl import checkpoint
from vaekl import run as experiment_of
from vaekl.callbacks import Checkpoints

RUN = ("trainer.steps=60", "trainer.valid_every=20", "trainer.log_every=10", "model.hidden=[8]", "model.latents=2")
#: log σ² of the encoder overflows where a step is so large
TOO_FAST = ("likelihood=gaussian", "weighting=fixed_beta", "weighting.beta=0.001", "optim=sgd")


def stopped(folder, *words):
    """A run that was killed after its third checkpoint, and before its results."""
    run = trained(folder, *RUN, *words)
    (run / "results.json").unlink()
    return run


@pytest.fixture
def whole(tmp_path):
    (tmp_path / "whole").mkdir()
    return trained(tmp_path / "whole", *RUN)


def at_step(run, step):
    """The same run's checkpoint at a step, from a run that was stopped there."""
    short = run.parent / f"to_{step}"
    vaekl(run.parent, "train", f"hydra.run.dir={short}", *RUN, f"trainer.steps={step}")
    return short / "last.pt"


def damage(file, how):
    content = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
        return
    if how == "flipped":
        content[len(content) // 2] ^= 16
    file.write_bytes(content[: len(content) // 2] if how == "torn" else content)


@pytest.mark.parametrize("how", ["torn", "flipped", "gone"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(how, tmp_path, whole):
    run = stopped(tmp_path)
    checkpoint.save(run / "previous.pt", checkpoint.load(at_step(run, 40)))
    damage(run / "last.pt", how)
    answer = vaekl(tmp_path, "resume", str(run))
    assert answer.code == 0
    assert f"{run / 'last.pt'}" in answer.out and "going on from previous.pt, step 40." in answer.out
    assert same_weights(weights(run), weights(whole))
    assert results(run) == results(whole)
    assert [(row["step"], row["split"]) for row in rows(run)] == [(row["step"], row["split"]) for row in rows(whole)]
    assert (run / "last.damaged.pt").exists() == (how != "gone")
    assert not (run / "previous.pt").exists()  # the run is finished


def test_two_damaged_checkpoints_are_refused_and_left_as_they_are(tmp_path):
    run = stopped(tmp_path)
    for name in ("last.pt", "previous.pt"):
        (run / name).write_bytes(b"torn")
    refused(vaekl(tmp_path, "resume", str(run)), "previous.pt", "cannot be read")
    assert (run / "last.pt").read_bytes() == (run / "previous.pt").read_bytes() == b"torn"


@pytest.mark.parametrize("change", ["more", "other", "same"])
def test_a_run_does_not_go_on_with_other_images(change, tmp_path):
    """With one more image every split is another, and images of the test may have come into training."""
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images)
    run = stopped(tmp_path, "dataset=npz", f"dataset.path={tmp_path / 'a.npz'}")
    images = {"more": np.concatenate([images, images[:1]]), "other": 255 - images, "same": images}[change]
    np.savez(tmp_path / "a.npz", x_train=images)
    answer = vaekl(tmp_path, "resume", str(run))
    if change == "same":
        assert answer.code == 0
    else:
        refused(answer, "the images are not those", str(run))


def test_a_stopped_run_keeps_its_last_two_checkpoints(tmp_path):
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec), steps=10, valid_every=4)
    trainer.callbacks = [Checkpoints(tmp_path)]
    trainer.fit()
    steps = [checkpoint.load(tmp_path / name)["step"] for name in ("previous.pt", "last.pt")]
    assert steps == [8, 10]


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


def test_some_times_are_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment_of, "_MOST_RESTORES", 2)
    words = (*RUN, *TOO_FAST, "trainer.on_nan=restore", "optim.lr=1e30")
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *words)
    refused(answer, "training diverged", "step 2")
    assert answer.out.count("half the learning rate") == 2


@pytest.fixture
def fragile(monkeypatch):
    """The bias of the last layer, whose gradient is infinite once Adam's steps of 0.001 have taken it beyond 0.0065."""
    build = experiment_of.build_model

    def build_model(*arguments):
        model = build(*arguments)
        bias = list(model.decoder.parameters())[-1]
        torch.nn.init.zeros_(bias)
        bias.register_hook(lambda gradient: gradient + torch.inf if bias.abs().max() > 0.0065 else gradient)
        return model

    monkeypatch.setattr(experiment_of, "build_model", build_model)


@pytest.mark.parametrize("save_every", [3, 20])
def test_a_gradient_that_went_first_is_named(save_every, tmp_path, fragile):
    """Logs see it a step later, in the loss; the steps since the checkpoint are taken again to see it itself."""
    words = (*RUN, "likelihood=gaussian", f"trainer.valid_every={save_every}")
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *words)
    text = refused(answer, "training diverged", "not finite", "step 9", "the gradient of decoder.")
    assert "it began at step 8: the gradient of decoder." in text and "every part of the ELBO still finite" in text
    assert (tmp_path / "run/last.pt").exists() == (save_every == 3)
