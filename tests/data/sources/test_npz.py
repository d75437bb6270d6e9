from pathlib import Path

import numpy as np
import pytest
import torch
from source_cases import refused

from vaekl.data.sources.npz import npz

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 6, 5), np.uint8)


def save(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return str(folder / "data.npz")


def test_cifar_subset(shared):
    source = npz(str(shared / "cifar10_subset.npz"))
    stored = np.load(shared / "cifar10_subset.npz")
    assert source.train.shape == (20_000, 3, 32, 32)
    assert source.test.shape == (1017, 3, 32, 32)
    assert np.array_equal(source.train[123].permute(1, 2, 0), stored["x_train"][123])
    mean = source.train.float().mean((0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.003)
    assert source.train_labels.dtype == torch.int64
    assert source.train_labels.bincount().shape == (10,)


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (GREY, (1, 6, 5)),
        (GREY[..., None], (1, 6, 5)),
        (GREY[:, None], (1, 6, 5)),
        (np.stack([GREY] * 3, -1), (3, 6, 5)),
        (np.stack([GREY] * 3, 1), (3, 6, 5)),
    ],
)
def test_layouts_that_are_plain(tmp_path, array, shape):
    source = npz(save(tmp_path, x_train=array, x_test=array[:3]))
    assert source.spec.shape == shape
    assert torch.equal(source.train[:, 0], torch.from_numpy(GREY))


def test_a_layout_that_is_not_plain_must_be_given(tmp_path):
    array = RNG.integers(0, 256, (4, 3, 5, 3), np.uint8)
    path = save(tmp_path, x_train=array, x_test=array)
    refused(lambda: npz(path), "x_train", "(4, 3, 5, 3)", "dataset.layout")
    assert npz(path, layout="NHWC").spec.shape == (3, 3, 5)
    assert npz(path, layout="NCHW").spec.shape == (3, 5, 3)
    refused(lambda: npz(path, layout="NHW"), "dataset.layout")


@pytest.mark.parametrize(
    ("array", "support", "levels", "dtype"),
    [
        (GREY, "levels", 256, torch.uint8),
        (GREY > 127, "binary", 2, torch.uint8),
        ((GREY > 127).astype(np.uint8), "binary", 2, torch.uint8),
        ((GREY > 127).astype(np.float32), "binary", 2, torch.uint8),
        (GREY.astype(np.int64), "levels", 256, torch.uint8),
        (GREY / 255, "unit_interval", None, torch.float32),
        (GREY / 255 - 0.5, "real", None, torch.float32),
    ],
)
def test_values_say_what_they_are(tmp_path, array, support, levels, dtype):
    source = npz(save(tmp_path, train=array, test=array[:3]))
    assert (source.spec.support, source.spec.levels, source.train.dtype) == (support, levels, dtype)


def test_without_a_test_array_one_is_cut_by_seed(tmp_path):
    path = save(tmp_path, x=np.arange(20, dtype=np.uint8).reshape(20, 1, 1) + 2, y=np.arange(20))
    source = npz(path, test_fraction=0.25)
    train, test = set(source.train.flatten().tolist()), set(source.test.flatten().tolist())
    assert len(test) == 5
    assert train | test == set(range(2, 22))
    assert not train & test
    assert torch.equal(source.test_labels + 2, source.test.flatten())
    assert torch.equal(npz(path, test_fraction=0.25).test, source.test)
    assert set(npz(path, test_fraction=0.25, test_seed=1).test.flatten().tolist()) != test


BAD = {
    "empty": {"x_train": GREY[:0], "x_test": GREY},
    "no pixels": {"x_train": GREY[:, :0], "x_test": GREY[:, :0]},
    "text": {"x_train": np.full((2, 2, 2), "a"), "x_test": GREY},
    "too large": {"x_train": GREY.astype(np.int32) * 2, "x_test": GREY},
    "negative": {"x_train": GREY.astype(np.int32) - 300, "x_test": GREY},
    "sizes": {"x_train": GREY, "x_test": GREY[:, :3]},
    "types": {"x_train": GREY, "x_test": GREY / 255},
    "flat": {"x_train": GREY.reshape(20, 30), "x_test": GREY},
    "complex": {"x_train": GREY.astype(complex), "x_test": GREY},
    "labels": {"x_train": GREY, "x_test": GREY, "y_train": np.zeros(3, int)},
    "float labels": {"x_train": GREY, "x_test": GREY, "y_train": np.zeros(20)},
    "other names": {"images": GREY},
    "objects": {"x_train": np.array([None, 1], object)},
    "one image": {"x": GREY[:1]},
}


@pytest.mark.parametrize("arrays", BAD.values(), ids=BAD)
def test_arrays_that_are_not_images_are_refused(tmp_path, arrays):
    path = save(tmp_path, **arrays)
    refused(lambda: npz(path), path)


def test_values_that_are_not_finite_are_counted(tmp_path):
    array = GREY / 255
    array[0, 0, :3], array[1, 1, 1] = np.nan, np.inf
    path = save(tmp_path, x_train=GREY / 255, x_test=array)
    refused(lambda: npz(path), "x_test", path, "3 NaN", "1 infinite")


def test_files_that_cannot_be_read(tmp_path):
    path = save(tmp_path, x_train=GREY, x_test=GREY)
    file = Path(path)
    whole = file.read_bytes()
    for length in (0, 10, 300, len(whole) // 2, len(whole) - 30):
        file.write_bytes(whole[:length])
        refused(lambda: npz(path), path)
    file.write_bytes(whole[:200] + bytes(100) + whole[300:])
    refused(lambda: npz(path), path)
    np.save(tmp_path / "lone.npy", GREY)
    for broken in (b"", (tmp_path / "lone.npy").read_bytes()[:-1]):
        (tmp_path / "lone.npy").write_bytes(broken)
        refused(lambda: npz(str(tmp_path / "lone.npy")), "lone.npy", "numpy.save")
    refused(lambda: npz(str(tmp_path / "none.npz")), "none.npz", "does not exist")
    refused(npz, "dataset.path")
