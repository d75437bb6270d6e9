"""Arrays that are no images, and files that are none of arrays, are refused in a sentence with their path."""

from pathlib import Path

import numpy as np
import pytest
from source_cases import refused

from vaekl.data.sources.npz import npz

GREY = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)


def save(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return str(folder / "data.npz")


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
    "two that may be it": {"first": GREY, "second": GREY},
    "two names for train": {"x_train": GREY, "train_images": GREY},
    "two names for test": {"x_train": GREY, "test": GREY, "x_test": GREY},
    "no images": {"y": np.arange(20)},
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
    for broken in (b"\x93NUMPY", (tmp_path / "lone.npy").read_bytes()[:-1]):
        (tmp_path / "lone.npy").write_bytes(broken)
        refused(lambda: npz(str(tmp_path / "lone.npy")), "lone.npy", "numpy.save")
    refused(lambda: npz(str(tmp_path / "none.npz")), "none.npz", "does not exist")
    refused(npz, "dataset.path")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", ("a MATLAB file", ".mat")),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), ("an HDF5 file", ".h5")),
        (b"\x1f\x8b\x08" + bytes(100), ("a gzip file", "unpack")),
        (b"version https://git-lfs.github.com/spec/v1\n", ("Git LFS", "git lfs pull")),
        (b"<!DOCTYPE html>", ("a web page", "download")),
        (b"\x80\x04K\x01.", ("a pickle", "never read", "numpy.savez")),
        (b"\x89PNG\r\n", ("an image", "dataset=image_folder")),
        (b"PAR1", ("a Parquet file", "dataset=table")),
    ],
)
def test_a_file_of_another_program_is_called_what_it_is(tmp_path, content, words):
    (tmp_path / "a.npz").write_bytes(content)
    assert "truncated" not in refused(lambda: npz(str(tmp_path / "a.npz")), "a.npz is", *words)


def test_what_is_no_file_of_arrays_is_not_called_truncated(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    sentence = refused(lambda: npz(str(tmp_path / "a.csv")), "none of the files", ".safetensors", "dataset=table")
    assert "truncated" not in sentence
    refused(lambda: npz(str(tmp_path)), "holds no .npy files", "dataset=image_folder")
