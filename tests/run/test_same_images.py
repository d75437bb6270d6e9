"""The images that a run began with are part of it: every verb compares them with what is there now."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from cli_helpers import contents, refused, results, trained, vaekl
from PIL import Image

from vaekl.data.digest import digest
from vaekl.data.ondisk import OnDisk

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (120, 8, 8), np.uint8)
WORDS = ("dataset=npz", "dataset.path=a.npz")


def save(folder, train=IMAGES[:100], test=IMAGES[100:]):
    np.savez(folder / "a.npz", x_train=train, x_test=test)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with images and a finished run on them; no test changes it."""
    folder = tmp_path_factory.mktemp("made")
    save(folder)
    trained(folder, *WORDS)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A copy of it, whose run reads the copied images."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace(str(made), str(tmp_path)))
    return tmp_path


def another(images, index=57):
    """The images with one of them changed in one value."""
    images = images.copy()
    images[index, 3, 4] ^= 1
    return images


SMALL = ("model.hidden=[16]", "model.latents=4", "trainer.steps=4", "trainer.log_every=2", "trainer.valid_every=2")
AGAIN = ("train", "hydra.run.dir=run", *SMALL, *WORDS)
VERBS = {
    "train": AGAIN,
    "resume": ("resume", "run"),
    "eval": ("eval", "run", "eval.k=1", "eval.ruler_k=1"),
    "sample": ("sample", "run"),
    "encode": ("encode", "run"),
    "score": ("score", "run"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_other_images_are_not_passed_over(verb, folder):
    save(folder, train=another(IMAGES[:100]))
    before = contents(folder / "run")
    refused(vaekl(folder, *VERBS[verb]), "the images are not those that", "more or fewer in train)")
    assert contents(folder / "run") == before


@pytest.mark.parametrize(
    ("train", "test", "splits"),
    [
        (IMAGES[:100], another(IMAGES[100:], 7), "in test)"),
        (IMAGES[:99], IMAGES[100:], "in train)"),
        (IMAGES[1:101], IMAGES[101:], "in train and test)"),
        (IMAGES[:100][::-1], IMAGES[100:], "in train)"),
    ],
)
def test_the_sentence_names_the_splits(folder, train, test, splits):
    save(folder, train, test)
    refused(vaekl(folder, *AGAIN), splits, "--again")


@pytest.mark.parametrize("verb", ["train", "resume", "eval"])
def test_the_same_images_in_a_file_that_was_touched_are_the_same(verb, folder):
    save(folder)
    os.utime(folder / "a.npz", (1, 1))
    assert vaekl(folder, *VERBS[verb]).code == 0


def test_files_that_nobody_touched_are_not_read_again(folder, monkeypatch):
    facts = json.loads((folder / "run" / "facts.json").read_text())
    os.utime(folder / "a.npz", ns=(1, 1))
    from vaekl.config.files import files_digest

    facts["data"]["files"] = files_digest({"path": str(folder / "a.npz")})
    (folder / "run" / "facts.json").write_text(json.dumps(facts))
    monkeypatch.setattr("vaekl.run.start.build_likelihood_and_data", None)
    assert "nothing to resume" in vaekl(folder, "resume", "run").out


def test_images_that_are_gone_are_no_others(folder):
    (folder / "a.npz").unlink()
    answer = vaekl(folder, *AGAIN)
    assert answer.code == 0 and "cannot be compared" in answer.out and "is finished" in answer.out


@pytest.mark.parametrize("words", [(), ("trainer.steps=8",)])
def test_images_that_were_moved_can_be_put_back_or_linked_to(folder, words):
    (folder / "a.npz").rename(folder / "moved.npz")
    if not words:
        (folder / "run" / "results.json").unlink()
    answer = vaekl(folder, "resume", "run", *words)
    refused(answer, "dataset.path of run is not there any more", f"({folder}/a.npz)", "init=")
    (folder / "a.npz").symlink_to("moved.npz")
    assert vaekl(folder, "resume", "run", *words).code == 0


def test_a_typo_in_the_length_of_a_run_gets_a_hint(folder):
    for typo, key in {"trainer.step": "trainer.steps", "steps": "trainer.steps", "epoch": "trainer.epochs"}.items():
        refused(vaekl(folder, "resume", "run", f"{typo}=9"), f"resume cannot change {typo} (did you mean {key}?)")
    assert "did you mean" not in refused(vaekl(folder, "resume", "run", "trainer.ema=0.9"))


def test_a_run_without_a_checkpoint_does_not_begin_with_other_images(folder):
    for name in ("results.json", "last.pt", "metrics.csv"):
        (folder / "run" / name).unlink()
    save(folder, train=another(IMAGES[:100]))
    refused(vaekl(folder, "resume", "run"), "the images are not those")


def test_other_images_can_be_looked_at_as_other_data_and_trained_again(folder):
    save(folder, test=another(IMAGES[100:], 7))
    answer = vaekl(folder, "eval", "run", "dataset.path=a.npz", "eval.k=1", "eval.ruler_k=1")
    assert answer.code == 0 and not (folder / "run" / "eval.json").exists()
    before = results(folder / "run")["digests"]
    assert vaekl(folder, *AGAIN, "--again").code == 0
    after = results(folder / "run")["digests"]
    assert before["train"] == after["train"] and before["test"] != after["test"]


@pytest.mark.nightly
def test_figures_of_two_data_sets_do_not_stand_in_one_row(folder):
    """Two seeds of one command, between which somebody has changed an image."""
    shutil.move(folder / "run", folder / "seed0")
    (folder / "runs").mkdir()
    shutil.move(folder / "seed0", folder / "runs" / "seed0")
    other = ("train", *SMALL, *WORDS, "seed=1")
    assert vaekl(folder, *other, "hydra.run.dir=runs/seed1").code == 0
    answer = vaekl(folder, "report", "runs", "report.measure=false", "report.pictures=0")
    assert answer.code == 0, answer.err
    assert (folder / "runs/report/runs.csv").read_text().count("all runs") == 2
    save(folder, train=another(IMAGES[:100]))
    assert vaekl(folder, *other, "seed=2", "hydra.run.dir=runs/seed2").code == 0
    assert vaekl(folder, "report", "runs", "report.measure=false", "report.pictures=0").code == 0
    rows = (folder / "runs/report/runs.csv").read_text().splitlines()
    groups = {row.split(",")[0]: row.split(",")[3] for row in rows[1:]}
    assert groups["seed0"] == groups["seed1"] != groups["seed2"]
    assert all(group.startswith("images=") for group in groups.values())


@pytest.mark.nightly
def test_a_sweep_sees_that_the_images_of_a_finished_run_have_changed(tmp_path):
    save(tmp_path)
    words = ("train", "-m", "seed=0,1", "hydra/launcher=basic", *SMALL, *WORDS)
    assert vaekl(tmp_path, *words).code == 0
    again = vaekl(tmp_path, *words)
    assert again.code == 0
    save(tmp_path, train=another(IMAGES[:100]))
    assert "the images are not those" in vaekl(tmp_path, *words).err


def test_one_pixel_of_many_image_files_counts(tmp_path):
    place = tmp_path / "photos"
    place.mkdir()
    for i, image in enumerate(IMAGES):
        Image.fromarray(image).save(place / f"{i:03d}.png")
    words = ("dataset=image_folder", "dataset.path=photos", "dataset.grayscale=true", f"data_dir={tmp_path / 'data'}")
    trained(tmp_path, *words)
    Image.fromarray(another(IMAGES)[57]).save(place / "057.png")
    refused(vaekl(tmp_path, "train", "hydra.run.dir=run", *SMALL, *words), "the images are not those")


def test_every_image_of_a_file_counts_up_to_a_size(tmp_path, monkeypatch):
    def of(images):
        np.save(tmp_path / "a.npy", images)
        return digest(OnDisk(tmp_path / "a.npy"))

    assert of(IMAGES) == of(IMAGES) != of(another(IMAGES))
    assert of(IMAGES[:1]) != of(IMAGES[:2])
    monkeypatch.setattr("vaekl.data.digest._MOST_BYTES", 40 * 64)
    assert of(IMAGES) == of(another(IMAGES, 58)) != of(another(IMAGES, 119))
    assert of(IMAGES) != of(another(IMAGES, 0))
    assert (
        digest(torch.from_numpy(IMAGES))
        == digest(torch.from_numpy(IMAGES.copy()))
        != digest(torch.from_numpy(another(IMAGES)))
    )
