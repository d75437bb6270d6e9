"""A run goes on from the checkpoint that can be read, and with the data that it began with."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import refused, results, rows, same_weights, trained, vaekl, weights
from helpers import data_of, model_of, trainer_of

from vaekl.store import checkpoint
from vaekl.training.callbacks import Checkpoints

RUN = ("trainer.steps=60", "trainer.valid_every=20", "trainer.log_every=10", "model.hidden=[8]", "model.latents=2")


def stopped(folder, *words):
    """A run that was killed after its third checkpoint, and before its results."""
    run = trained(folder, *RUN, *words)
    (run / "results.json").unlink()
    return run


def at_step(folder, step):
    """The run's checkpoint at a step, from a run that ended there."""
    vaekl(folder, "train", f"hydra.run.dir=to_{step}", *RUN, f"trainer.steps={step}")
    return folder / f"to_{step}" / "last.pt"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody stopped; no test changes it."""
    return trained(tmp_path_factory.mktemp("whole"), *RUN)


@pytest.fixture(scope="module")
def at_40(tmp_path_factory):
    """Its checkpoint at step 40."""
    return at_step(tmp_path_factory.mktemp("short"), 40)


@pytest.fixture
def run(whole, tmp_path):
    """A copy of it, killed before its results."""
    run = shutil.copytree(whole, tmp_path / "run")
    (run / "results.json").unlink()
    return run


def damage(file, how):
    content = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
        return
    if how == "flipped":
        content[len(content) // 2] ^= 16
    file.write_bytes(content[: len(content) // 2] if how == "torn" else content)


@pytest.mark.parametrize("how", ["torn", "flipped", "gone"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(how, run, at_40, whole, tmp_path):
    shutil.copy(at_40, run / "previous.pt")
    damage(run / "last.pt", how)
    answer = vaekl(tmp_path, "resume", str(run))
    assert answer.code == 0
    assert f"{run / 'last.pt'}" in answer.out and "going on from previous.pt, step 40." in answer.out
    assert same_weights(weights(run), weights(whole))
    assert results(run) == results(whole)
    assert [(row["step"], row["split"]) for row in rows(run)] == [(row["step"], row["split"]) for row in rows(whole)]
    assert (run / "last.damaged.pt").exists() == (how != "gone")
    assert not (run / "previous.pt").exists()  # the run is finished


def test_two_damaged_checkpoints_are_refused_and_left_as_they_are(run, tmp_path):
    for name in ("last.pt", "previous.pt"):
        (run / name).write_bytes(b"torn")
    refused(vaekl(tmp_path, "resume", str(run)), "last.pt", "previous.pt", "can be read")
    assert (run / "last.pt").read_bytes() == (run / "previous.pt").read_bytes() == b"torn"


@pytest.mark.parametrize("step", ["\x1b[2Jevil", 10**400, None, [1]], ids=["text", "huge", "none", "list"])
def test_what_stands_in_the_one_before_is_not_printed(step, run, tmp_path):
    """It is read, and named, before it is held against the run."""
    state = checkpoint.load(run / "last.pt")
    checkpoint.save(run / "previous.pt", state | {"step": step})
    (run / "last.pt").write_bytes(b"torn")
    answer = vaekl(tmp_path, "resume", str(run))
    refused(answer, "previous.pt", "its step is", "not this run's")
    assert "going on from previous.pt, step" in answer.out and "\x1b" not in answer.out and len(answer.out) < 1000


IMAGES = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)


@pytest.fixture(scope="module")
def on_file(tmp_path_factory):
    """A run on images of a file, killed before its results; no test changes it."""
    folder = tmp_path_factory.mktemp("file")
    np.savez(folder / "a.npz", x_train=IMAGES[:40], x_test=IMAGES[40:])
    return stopped(folder, "dataset=npz", f"dataset.path={folder / 'a.npz'}")


@pytest.mark.parametrize("change", ["more", "fewer", "other", "one other", "another test image", "same"])
def test_a_run_does_not_go_on_with_other_images(change, on_file, tmp_path):
    """With one more image every split is another, and images of the test may have come into training."""
    run = shutil.copytree(on_file, tmp_path / "run")
    train = {"more": IMAGES[:41], "fewer": IMAGES[:39], "other": 255 - IMAGES[:40]}.get(change, IMAGES[:40].copy())
    test = IMAGES[40:].copy()
    if change == "one other":
        train[17] = 255 - train[17]
    if change == "another test image":
        test[7] = 255 - test[7]
    np.savez(on_file.parent / "a.npz", x_train=train, x_test=test)
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


@pytest.mark.parametrize("how", ["later", "no permission"])
def test_what_is_not_damaged_is_not_set_aside(how, run, tmp_path, monkeypatch):
    """A checkpoint of a later vaekl, or one that cannot be read for now, is still the run's last."""
    shutil.copy(run / "last.pt", run / "previous.pt")
    if how == "later":
        state = checkpoint.load(run / "last.pt")
        monkeypatch.setattr(checkpoint, "FORMAT", 99)
        checkpoint.save(run / "last.pt", state)
        monkeypatch.undo()
    else:
        whole = os.open

        def denied(path, *more):
            if Path(os.fsdecode(path)).name == "last.pt":
                raise PermissionError(13, "Permission denied")
            return whole(path, *more)

        monkeypatch.setattr(os, "open", denied)
    refused(vaekl(tmp_path, "resume", str(run)), "last.pt", {"later": "upgrade", "no permission": "readable"}[how])
    assert not (run / "last.damaged.pt").exists()
