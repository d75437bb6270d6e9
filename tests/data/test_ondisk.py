import json
import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import SMALL, results, same_weights, vaekl, weights

from vaekl.data.ondisk import OnDisk
from vaekl.data.sources.npz import npz
from vaekl.data.splits import Data
from vaekl.data.transforms import Scale
from vaekl.system.errors import VaeklError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (60, 6, 5), np.uint8)


def saved(folder, **arrays):
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return str(folder)


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "vaekl read-ahead"]


@pytest.mark.parametrize(
    "array",
    [
        GREY,
        GREY[:, None],
        np.stack([GREY] * 3, -1),
        GREY > 127,
        GREY.astype(np.int64),
        GREY / 255,
        (GREY / 255).astype(">f4"),
        GREY / 255 - 0.5,
    ],
)
def test_a_folder_of_npy_files_is_what_the_npz_file_is(tmp_path, array):
    arrays = {"x_train": array, "y_train": np.arange(len(array)), "x_test": array[:7]}
    np.savez(tmp_path / "all.npz", **arrays)
    loaded, mapped = npz(str(tmp_path / "all.npz")), npz(saved(tmp_path / "all", **arrays))
    assert mapped.spec == loaded.spec
    assert torch.equal(mapped.train_labels, loaded.train_labels)
    for split in ("train", "test"):
        assert isinstance(getattr(mapped, split), OnDisk)
        assert torch.equal(getattr(mapped, split).gather(slice(None)), getattr(loaded, split))
    index = torch.tensor([5, 0, 5])
    assert torch.equal(mapped.train.gather(index), loaded.train[index])


def test_splits_of_mapped_images_are_those_of_resident_ones_and_copy_nothing(tmp_path):
    np.save(tmp_path / "lone.npy", GREY)
    np.savez(tmp_path / "lone.npz", x_train=GREY)
    mapped, loaded = (
        Data.from_source(npz(str(tmp_path / f"lone.{kind}")), Scale(), (), valid=0.2) for kind in ("npy", "npz")
    )
    for split in ("train", "valid", "test"):
        one, other = getattr(mapped, split), getattr(loaded, split)
        assert isinstance(one.images, OnDisk)
        assert torch.equal(one.batch(slice(None)), other.batch(slice(None)))
        assert torch.equal(one.batch(torch.tensor([3, 1])), other.batch(torch.tensor([3, 1])))
        assert torch.equal(one.first(4).batch(slice(1, 9)), other.batch(slice(1, 4)))


def test_values_in_a_file_are_checked_to_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr("vaekl.data.sources.values._VALUES", 100)
    array = GREY / 255
    array[0, 0, :3], array[-1, 1, 1] = np.nan, np.inf
    with pytest.raises(
        VaeklError, match=r"x_test in .* has 3 NaN and 1 infinite values out of 1800 that were looked at;"
    ):
        npz(saved(tmp_path / "a", x_train=GREY / 255, x_test=array))
    with pytest.raises(VaeklError, match="from -1 to 254"):
        npz(saved(tmp_path / "b", x_train=GREY.astype(np.int32) % 255 - np.eye(60, 1, -59, int)[..., None]))
    (tmp_path / "c").mkdir()
    with pytest.raises(VaeklError, match=r"holds no \.npy files"):
        npz(str(tmp_path / "c"))
    with pytest.raises(VaeklError, match=r"numpy\.save"):
        npz(saved(tmp_path / "d", x_train=np.array([None, 1], object)))
    rows = np.asfortranarray(GREY)  # no image of it lies in one piece, so it is read whole, if it fits
    assert npz(saved(tmp_path / "e", x_train=rows)).train.dtype == torch.uint8
    monkeypatch.setattr("vaekl.data.sources.array_files.free_memory", lambda: rows.nbytes - 1)
    with pytest.raises(VaeklError, match="ascontiguousarray"):
        npz(saved(tmp_path / "f", x_train=rows))


def test_a_stream_is_in_order_and_its_thread_ends_with_it(tmp_path):
    images = OnDisk(Path(saved(tmp_path / "a", x=GREY[:, None])) / "x.npy")
    indices = [torch.tensor([i % 60, 3]) for i in range(100)]
    for index, batch in zip(indices, images.stream(indices), strict=True):
        assert torch.equal(batch, torch.from_numpy(GREY[:, None])[index])
    assert not readers()
    with closing(images.stream(indices)) as batches:
        next(batches)
        assert readers()
    assert not readers()


def test_an_error_of_the_thread_is_raised_where_the_batches_are_used(tmp_path):
    file = Path(saved(tmp_path / "a", x=GREY[:, None])) / "x.npy"
    images = OnDisk(file)
    with closing(images.stream(torch.tensor([i % 60]) for i in range(100))) as batches:
        next(batches)
        os.truncate(file, 100)
        with pytest.raises(VaeklError, match=r"x\.npy has become shorter"):
            list(batches)
    assert not readers()


@pytest.mark.nightly  # whole runs, one of them in a process that begins with nothing loaded
def test_a_run_on_mapped_images_is_the_run_on_resident_ones_stopped_or_not(tmp_path):
    np.savez(tmp_path / "all.npz", x_train=GREY, x_test=GREY[:9])
    saved(tmp_path / "all", x_train=GREY, x_test=GREY[:9])
    words = ["dataset=npz", *SMALL, "trainer.steps=30", "trainer.batch_size=7", "trainer.valid_every=10", "valid=8"]
    for name, path in (("resident", "all.npz"), ("mapped", "all")):
        answer = vaekl(tmp_path, "train", f"hydra.run.dir={name}", *words, f"dataset.path={path}")
        assert answer.code == 0, answer.err
        assert not readers()
    program = (
        "import os, signal, sys\n"
        "from vaekl import cli\n"
        "from vaekl.training.trainer import Trainer\n"
        "step = Trainer.train_step\n"
        "def stopping(self, stored):\n"
        "    step(self, stored)\n"
        "    if self.step == 13: os.kill(os.getpid(), signal.SIGTERM)\n"
        "Trainer.train_step = stopping\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    command = ["train", "hydra.run.dir=stopped", *words, "dataset.path=all"]
    stopped = subprocess.run([sys.executable, "-c", program, *command], cwd=tmp_path, capture_output=True, text=True)
    assert "stopped at step 13" in stopped.stderr + stopped.stdout, stopped.stderr
    assert vaekl(tmp_path, "resume", "stopped").code == 0
    expected = figures(tmp_path / "resident")
    for name in ("mapped", "stopped"):
        assert figures(tmp_path / name) == expected
        assert same_weights(weights(tmp_path / name), weights(tmp_path / "resident"))


def figures(run):
    return {split: results(run)[split] for split in ("valid", "test")}


def test_a_failing_step_ends_the_thread(tmp_path, monkeypatch):
    saved(tmp_path / "all", x_train=GREY)
    monkeypatch.setattr("vaekl.training.trainer.Trainer.train_step", lambda self, stored: 1 / 0)
    assert vaekl(tmp_path, "train", "hydra.run.dir=run", *SMALL, "dataset=npz", "dataset.path=all").code != 0
    assert not readers()


PEAK = """
import json, sys
from vaekl.data.sources.npz import npz
from vaekl.data import Data, batch_slices, epoch_order
from vaekl.data.transforms import Scale
import torch
data = Data.from_source(npz(sys.argv[1]), Scale(), (), valid=100)
batches = batch_slices(len(data.train), 100)
for epoch in range(2000 // len(batches) + 1):
    order = epoch_order(len(data.train), 0, epoch)
    for images in data.train.stream(order[part] for part in batches[:1000]):
        data.train.transform(images)
for split in (data.train, data.test):
    for part in batch_slices(len(split), 500):
        split.batch(part)
status = open("/proc/self/status").read().splitlines()
print(json.dumps({line.split(":")[0]: int(line.split()[1]) for line in status if line.startswith("VmHWM")}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say")
@pytest.mark.nightly
def test_memory_is_flat_in_the_number_of_images(tmp_path):
    peaks = []
    for count in (2_000, 200_000):
        file = tmp_path / f"{count}.npy"
        images = np.lib.format.open_memmap(file, "w+", np.uint8, (count, 24, 24))
        for part in np.array_split(images, 100):
            part[:] = 200
        del images, part
        answer = subprocess.run([sys.executable, "-c", PEAK, str(file)], capture_output=True, text=True, check=True)
        peaks.append(json.loads(answer.stdout)["VmHWM"] / 1024)
    # 115 MB more images; what grows are row numbers and the order of an epoch
    assert peaks[1] - peaks[0] < 30
