"""Folders with one .npy file for each sample."""

import numpy as np
import pytest
import torch
from source_cases import refused

from vaekl.data.sources.npz import npz

GREY = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)


def save(file, array):
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, array)


@pytest.mark.parametrize("name", ["vol_{:05d}", "img{}", "{}"])
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f8", "<u2"])
def test_a_folder_may_have_a_file_for_each_sample(tmp_path, dtype, name):
    values = GREY.astype(dtype)
    for i, one in enumerate(values):
        save(tmp_path / f"{name.format(i)}.npy", np.asarray(one, order="CF"[i % 2]))
    source = npz(str(tmp_path), test_fraction=0.25)
    images = torch.cat([source.train.gather(slice(None)), source.test.gather(slice(None))])[:, 0].double()
    assert (len(source.train), len(source.test)) == (15, 5)
    assert sorted(images.flatten(1).tolist()) == sorted(values.reshape(20, -1).astype(float).tolist())
    assert any("20 .npy files, taken as one sample of 6×5 each" in line for line in source.inventory.remarks)


@pytest.mark.parametrize(
    ("sample", "shape"),
    [(np.arange(7.0), (7,)), (np.ones((6, 5, 3)), (3, 6, 5)), (np.ones((1, 4, 6, 5)), (1, 4, 6, 5))],
)
def test_samples_are_vectors_images_or_volumes(tmp_path, sample, shape):
    for i in range(4):
        save(tmp_path / f"{i}.npy", sample * i)
    assert npz(str(tmp_path), kind="real").spec.shape == shape


def test_samples_in_a_file_each_have_splits_and_classes(tmp_path):
    for split, count in (("Train", 4), ("val", 2), ("test", 3)):
        for i in range(count):
            save(tmp_path / split / "ab"[i % 2] / f"{i}.npy", np.stack([GREY[i]] * 3, -1))
    save(tmp_path / "mean.npy", GREY[0])
    source = npz(str(tmp_path))
    assert tuple(map(len, (source.train, source.valid, source.test))) == (4, 2, 3)
    assert torch.equal(source.train.gather(slice(None))[:, 2], torch.from_numpy(GREY[[0, 2, 1, 3]]))
    assert source.train_labels.tolist() == [0, 0, 1, 1] and source.test_labels.tolist() == [0, 0, 1]
    assert source.inventory.left_out == ["1 arrays beside Train/, in no split: mean.npy"]
    assert "2 of the valid images are equal to training images" in source.inventory.remarks
    save(tmp_path / "test" / "a" / "9.npy", GREY)
    refused(lambda: npz(str(tmp_path)), "9.npy has the shape", "dataset.images")


def test_a_sample_that_has_changed_is_read_again(tmp_path):
    for i in range(4):
        save(tmp_path / f"{i}.npy", GREY[i])
    assert npz(str(tmp_path)).spec.shape == (1, 6, 5)
    for i in range(4):
        save(tmp_path / f"{i}.npy", GREY[i] // 2)
    source = npz(str(tmp_path))
    assert source.train.gather(slice(None)).max() <= 127


def test_samples_that_cannot_be_read_are_named_at_once(tmp_path):
    for i in range(300):
        (tmp_path / f"{i:04d}.npy").write_bytes(b"no array" * (i % 2))
    sentence = refused(lambda: npz(str(tmp_path)), "none of the 300", "it is no .npy file")
    assert len(sentence) < 400
    save(tmp_path / "whole.npy", GREY[0])
    sentence = refused(lambda: npz(str(tmp_path)), "300 of 301", "0000.npy (it is no .npy file)", "and 290 more")
    assert len(sentence) < 2000


def test_objects_and_cut_off_samples_are_not_read(tmp_path):
    save(tmp_path / "0.npy", GREY[0])
    np.save(tmp_path / "1.npy", np.array([{}]), allow_pickle=True)
    save(tmp_path / "2.npy", GREY[0])
    (tmp_path / "2.npy").write_bytes((tmp_path / "2.npy").read_bytes()[:-1])
    refused(lambda: npz(str(tmp_path)), "2 of 3", "1.npy (it holds pickled objects)", "2.npy")


def test_names_of_two_splits_in_one_folder_are_refused(tmp_path):
    for i in range(4):
        save(tmp_path / f"{('train', 'test')[i % 2]}_{i}.npy", GREY[i])
    refused(lambda: npz(str(tmp_path)), "two splits", "put them into train/, val/ and test/")


def test_whole_arrays_by_name_are_no_samples(tmp_path):
    for name in ("first", "second"):
        save(tmp_path / f"{name}.npy", GREY)
    assert len(npz(str(tmp_path), images="second", test_fraction=0.5).train) == 10
    refused(lambda: npz(str(tmp_path), images="third"), "dataset.images=third")
    for split, count in (("train", 12), ("test", 8)):
        save(tmp_path / "own" / split / "x.npy", GREY[:count])
    source = npz(str(tmp_path / "own"))
    assert (len(source.train), len(source.test)) == (12, 8)
