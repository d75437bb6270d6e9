"""Bad data, bad settings and bad disks: one sentence each, and nothing that looks like a finished run."""

import os
import subprocess
import textwrap

import numpy as np
import pytest
import torch
from cli_helpers import SMALL, finished, process, refused, results, rows, vaekl

from vaekl.store import RunFolder, checkpoint
from vaekl.system.errors import VaeklError

RUN = ("train", "hydra.run.dir=run", *SMALL)


def grey(count=20, low=0.0, high=1.0):
    """Float images [count, 8, 8, 1] between two values."""
    return np.random.default_rng(0).uniform(low, high, (count, 8, 8, 1)).astype("float32")


def no_run(folder):
    """Nothing was left behind."""
    assert not (folder / "run").exists()


def npz(folder, images, *words):
    """A run on images from a file."""
    np.savez(folder / "images.npz", x_train=images, x_test=grey(5))
    return vaekl(folder, *RUN, "dataset=npz", "dataset.path=images.npz", *words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("likelihood=bernoulli", ["bernoulli", "digits", "binarize", "cb"]),
        ("likelihood=cb transform=levels", ["cb", "levels"]),
        ("likelihood=categorical transform=scale", ["categorical"]),
        ("likelihood=gaussian weighting=cb_normalizer", ["cb_normalizer", "gaussian", "auto"]),
        ("likelihood=cb weighting=learned_precision", ["learned_precision", "cb", "auto"]),
        ("likelihood=bernoulli transform=binarize weighting=optimal_precision", ["optimal_precision", "bernoulli"]),
        ("likelihood=gaussian weighting=optimal_precision weighting.momentum=5", ["weighting.momentum", "at most 1"]),
        (
            "likelihood=gaussian weighting=optimal_precision trainer.ema=0.9",
            ["trainer.ema", "optimal_precision", "learned_precision"],
        ),
        ("weighting=fixed_beta weighting.beta=0", ["weighting.beta", "positive"]),
        ("weighting=fixed_beta weighting.beta=-1", ["weighting.beta", "positive"]),
        ("weighting=fixed_dispersion weighting.dispersion=much", ["weighting.dispersion", "positive"]),
        ("likelihood=gaussian weighting=learned_precision weighting.per=row", ["weighting.per", "value"]),
        ("schedule=linear schedule.steps=10", ["schedule.steps=10", "4 steps"]),
        ("schedule=linear schedule.fraction=1.5", ["schedule.fraction=1.5", "4 steps"]),
        ("schedule=cyclical schedule.cycles=9", ["cycles", "4 steps"]),
        ("lr_schedule.warmup_steps=10", ["lr_schedule.warmup_steps=10", "4 steps"]),
        ("trainer.device=tpu", ["trainer.device=tpu", "auto", "cpu"]),
        ("trainer.device=cuda:99", ["trainer.device=cuda:99", "cpu"]),
        ("model.activation=mish9", ["activation"]),
        ("dataset=npz", ["dataset.path"]),
        ("dataset=npz dataset.path=nowhere.npz", ["nowhere.npz", "does not exist"]),
        ("dataset=image_folder dataset.path=nowhere", ["nowhere", "does not exist"]),
    ],
)
def test_settings_that_do_not_fit(words, says, tmp_path):
    refused(vaekl(tmp_path, *RUN, *words.split()), *says)
    no_run(tmp_path)


@pytest.mark.parametrize("likelihood", ["cb", "beta", "bernoulli", "categorical"])
def test_values_outside_the_support(likelihood, tmp_path):
    refused(npz(tmp_path, grey(high=2.0), f"likelihood={likelihood}"), likelihood)
    no_run(tmp_path)


OWN_SOURCE = """
    import torch
    from vaekl.data.spec import DataSpec, Source

    def source(bad, **_):
        images = {split: torch.rand(9, 1, 8, 8) for split in ("train", "valid", "test")}
        if bad:
            images[bad][4, 0, 3, 3] = 1.5
        return Source(DataSpec("mine", (1, 8, 8), None, "unit_interval"), **images)
"""


@pytest.mark.parametrize("bad", ["train", "valid", "test", "null"])
def test_every_split_must_keep_what_the_data_promise(bad, tmp_path):
    """A user's own source that says [0, 1] and lies in one value."""
    (tmp_path / "own_source.py").write_text(textwrap.dedent(OWN_SOURCE))
    words = ["dataset=npz", "dataset._target_=own_source.source", f"+dataset.bad={bad}", "likelihood=cb"]
    answer = vaekl(tmp_path, *RUN, *words)
    if bad == "null":
        assert answer.code == 0, answer.err
    else:
        refused(answer, "support [0, 1]", "to 1.5", "rescale")
        no_run(tmp_path)


def test_values_outside_zero_to_one_are_fine_for_a_density_on_the_line(tmp_path):
    assert npz(tmp_path, grey(low=-3, high=3), "likelihood=gaussian").code == 0


@pytest.mark.parametrize(("bad", "says"), [(np.nan, "1 NaN"), (np.inf, "1 infinite"), (-np.inf, "1 infinite")])
def test_values_that_are_not_finite(bad, says, tmp_path):
    images = grey()
    images[3, 2, 1, 0] = bad
    refused(npz(tmp_path, images), "x_train", "images.npz", says)
    no_run(tmp_path)


@pytest.mark.parametrize("images", [grey(0), np.zeros((20, 8, 0, 1)), np.zeros(20), np.array("text")], ids=repr)
def test_arrays_that_hold_no_images(images, tmp_path):
    refused(npz(tmp_path, images), "x_train")
    no_run(tmp_path)


@pytest.mark.parametrize("length", [0, 10, 1000, -1])
def test_a_truncated_file(length, tmp_path):
    np.savez(tmp_path / "whole.npz", x_train=grey())
    (tmp_path / "images.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:length])
    says = "truncated" if length else "is empty; set dataset.path=FILE.npz to where the data are."
    refused(vaekl(tmp_path, *RUN, "dataset=npz", "dataset.path=images.npz"), "images.npz", says)
    no_run(tmp_path)


def test_a_usual_learning_rate_is_one_of_several_causes(tmp_path):
    np.savez(tmp_path / "huge.npz", x_train=np.full((200, 6), 1e30, np.float32) * np.arange(1, 7, dtype=np.float32))
    words = ("dataset=npz", "dataset.path=huge.npz", "likelihood=gaussian", "transform=as_stored", "optim.lr=0.1")
    sentence = refused(vaekl(tmp_path, *RUN, *words), "training diverged")
    assert sentence.endswith(
        "train afresh with values of about 1 (rescale the data), a lower optim.lr, trainer.clip_norm or "
        "trainer.on_nan=restore."
    )


DIVERGING = ("likelihood=gaussian", "weighting=fixed_dispersion", "optim=sgd", "optim.lr=1e30")


def test_a_loss_that_is_not_finite_names_its_step(tmp_path):
    sentence = refused(vaekl(tmp_path, *RUN, *DIVERGING), "training diverged", "step 2", "optim.lr")
    assert sentence.endswith(
        "what was saved before is kept: train afresh with a lower learning rate, optim.lr=1e+30 is far above the usual "
        "0.001."
    )
    assert not (tmp_path / "run" / "results.json").exists()
    assert not (tmp_path / "run" / "last.pt").exists()


LATE = """
    def late(total_steps):
        return lambda step: 1.0 if step < 45 else 1e30
"""


def test_the_last_good_checkpoint_outlives_a_diverging_run(tmp_path):
    """A learning rate that is healthy for 45 steps and absurd thereafter."""
    (tmp_path / "late_module.py").write_text(textwrap.dedent(LATE))
    words = ["trainer.steps=200", "trainer.valid_every=20", "likelihood=gaussian", "weighting=fixed_dispersion"]
    words += ["~lr_schedule.warmup_steps", "~lr_schedule.final", "lr_schedule._target_=late_module.late", "optim=sgd"]
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *SMALL[:2], *words)
    refused(answer, "training diverged", "step 47")
    kept = checkpoint.load(tmp_path / "run" / "last.pt")
    assert kept["step"] == 40 and finite(kept)
    assert not (tmp_path / "run" / "results.json").exists()


def finite(state):
    """Whether every weight in a checkpoint is."""
    return all(bool(value.isfinite().all()) for value in state["model"].values())


def test_an_output_folder_that_is_a_file(tmp_path):
    (tmp_path / "outputs").write_text("not a folder")
    refused(vaekl(tmp_path, "train", *SMALL), "outputs")
    assert (tmp_path / "outputs").read_text() == "not a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_folder(tmp_path):
    (tmp_path / "outputs").mkdir(mode=0o555)
    refused(vaekl(tmp_path, "train", *SMALL), "outputs")


@pytest.mark.parametrize(
    ("blocked", "refusal"),
    [
        ("last.pt", "could not be written"),
        ("metrics.csv", "it is a folder, not a regular file"),
        ("results.json", "could not be written"),
    ],
)
def test_a_file_that_cannot_be_replaced(blocked, refusal, tmp_path, monkeypatch):
    """Root may write anywhere, but nobody replaces a folder by a file."""
    claim = RunFolder.claim

    def claim_and_block(folder, *arguments, **options):
        claim(folder, *arguments, **options)
        (folder.path / blocked).mkdir()

    monkeypatch.setattr(RunFolder, "claim", claim_and_block)
    refused(vaekl(tmp_path, *RUN), blocked, refusal)
    assert not (tmp_path / "run" / "results.json").is_file()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 120 KB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_save_on_a_full_disk_keeps_the_earlier_one(small_disk):
    checkpoint.save(small_disk / "last.pt", {"weight": torch.arange(1000.0)})
    with pytest.raises(VaeklError, match=r"^the checkpoint .*the disk is full\): free some space;.*\.$"):
        checkpoint.save(small_disk / "last.pt", {"weight": torch.zeros(100_000)})
    assert torch.equal(checkpoint.load(small_disk / "last.pt")["weight"], torch.arange(1000.0))
    assert [path.name for path in small_disk.iterdir()] == ["last.pt"]


@pytest.mark.nightly
@pytest.mark.parametrize("every", [pytest.param(7, marks=pytest.mark.nightly), 1000], ids="checkpoint every {}".format)
def test_a_full_disk_leaves_the_earlier_checkpoint(every, small_disk):
    words = ["trainer.steps=300", f"trainer.valid_every={every}", "trainer.log_every=1"]
    answer = finished(process(small_disk, "train", "hydra.run.dir=run", *SMALL[:2], *words))
    refused(answer, "the disk is full", "free some space")
    run = small_disk / "run"
    assert not (run / "results.json").exists()
    assert not list(run.glob(".*.partial"))
    if (run / "last.pt").exists():
        assert finite(checkpoint.load(run / "last.pt"))
    subprocess.run(["mount", "-o", "remount,size=32m", small_disk], check=True)
    answer = vaekl(small_disk, "resume", "run")
    assert answer.code == 0, answer.err
    assert results(run)["step"] == 300
    assert [int(row["step"]) for row in rows(run, "train")] == list(range(1, 301))
