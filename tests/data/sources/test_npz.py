import numpy as np
import pytest
import torch
from source_cases import refused

from vaekl.data import Data
from vaekl.data.auto import AutoTransform
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


@pytest.mark.parametrize("labels", [{}, {"y_test": np.arange(20)}, {"y": np.arange(20)}], ids=["none", "test", "all"])
def test_test_images_alone_can_be_looked_at_and_not_trained_on(tmp_path, labels):
    path = save(tmp_path, x_test=GREY, latents=np.zeros((20, 2)), **labels)
    source = npz(path)
    assert torch.equal(source.test[:, 0], torch.from_numpy(GREY)) and len(source.train) == 0
    assert source.test_labels is None if not labels else source.test_labels.tolist() == list(range(20))
    refused(lambda: Data.from_source(source, AutoTransform(), ("unit_interval",)), path, "20 test images and none to")
    data = Data.from_source(source, AutoTransform(), ("unit_interval",), to_train=False)
    assert (len(data.train), data.valid, len(data.test), list(data.digests)) == (0, None, 20, ["train", "test"])
    np.save(tmp_path / "x_test.npy", GREY)
    (tmp_path / "data.npz").unlink()
    for place in (tmp_path, tmp_path / "x_test.npy"):
        assert (len(npz(str(place)).train), len(npz(str(place)).test)) == (0, 20)
    np.save(tmp_path / "x_val.npy", GREY[:3])
    assert (len(npz(str(tmp_path)).train), len(npz(str(tmp_path)).valid)) == (0, 3)


@pytest.mark.parametrize(
    ("names", "images", "labels"),
    [
        (("x_train", "x_val", "x_test"), (12, 5, 3), False),
        (("X_train", "X_valid", "X_test"), (12, 5, 3), False),
        (("train_images", "val_images", "test_images", "train_labels", "val_labels", "test_labels"), (12, 5, 3), True),
        (("Training", "Validation", "Testing"), (12, 5, 3), False),
        (("imagesTr", "dev_data", "imagesTs", "labelsTr", "dev_targets", "labelsTs"), (12, 5, 3), True),
        (("train/x", "dev/x", "test/x", "train/y", "dev/y", "test/y"), (12, 5, 3), True),
    ],
)
def test_splits_are_known_by_any_usual_name(tmp_path, names, images, labels):
    parts = [GREY[:12], GREY[12:17], GREY[17:]]
    numbers = [np.arange(20)[:12], np.arange(20)[12:17], np.arange(20)[17:]]
    source = npz(save(tmp_path, **dict(zip(names, parts + numbers, strict=False))))
    splits = (source.train, source.valid, source.test)
    assert tuple(map(len, splits)) == images
    for split, part in zip(splits, parts, strict=True):
        assert torch.equal(split[:, 0], torch.from_numpy(part))
    if labels:
        assert source.valid_labels.tolist() == [12, 13, 14, 15, 16] and source.test_labels.tolist() == [17, 18, 19]
    assert source.inventory.left_out == []


@pytest.mark.parametrize("name", ["arr_0", "imgs", "X", "pictures", "something"])
def test_the_only_array_of_images_needs_no_name(tmp_path, name):
    source = npz(save(tmp_path, **{name: GREY}), test_fraction=0.25)
    assert (len(source.train), len(source.test)) == (15, 5)
    assert source.inventory.origins == {"train": name, "test": f"{name}, held out by test_seed=0"}


def test_an_array_may_be_named_and_the_rest_is_counted(tmp_path):
    meta = np.array({"title": "t"}, object)
    path = save(tmp_path, first=GREY, second=GREY // 2, meta=meta, factors=np.zeros((20, 5)), kind=np.arange(20))
    refused(lambda: npz(path), "first (20×6×5)", "second", "meta (pickled objects)", "dataset.images")
    refused(lambda: npz(path, images="frist"), "dataset.images=frist", "did you mean first?")
    refused(lambda: npz(path, images="meta"), "dataset.images=meta", "pickled objects")
    source = npz(path, images="second", labels="kind", test_fraction=0.5)
    assert source.train.max() <= 127
    assert sorted(source.train_labels.tolist() + source.test_labels.tolist()) == list(range(20))
    assert source.inventory.left_out == [
        "meta: pickled objects", "2 arrays that are not used: first (20×6×5), factors (20×5)",
    ]  # fmt: skip


def test_what_may_hold_the_test_images_is_compared_with_them(tmp_path):
    """No name says that `images` are others than those of the test."""
    path = save(tmp_path, images=GREY, test_images=GREY[17:])
    refused(lambda: npz(path), "images in", "holds 3 of the images of test_images")
    path = save(tmp_path, images=GREY[:17], test_images=GREY[17:], x_val=GREY[16:17])
    refused(lambda: npz(path), "holds 1 of the images of x_val")
    assert len(npz(save(tmp_path, images=GREY[:17], test_images=GREY[17:])).train) == 17
    # who trains on the test images by name has another test cut from them, and no other array beside it
    source = npz(save(tmp_path, x_train=GREY[:10], x_test=GREY[10:]), images="x_test", test_fraction=0.2)
    assert (len(source.train), len(source.test), source.valid) == (8, 2, None)


@pytest.mark.parametrize(
    ("labels", "expected", "words"),
    [
        (np.array(["dog", "cat", "ox"])[np.arange(20) % 3], [1, 0, 2], "3 words"),
        (np.array([b"dog", b"cat"])[np.arange(20) % 2], [1, 0], "2 words"),
        (np.eye(4)[np.arange(20) % 4], [0, 1, 2, 3], "one-hot"),
        ((np.arange(20) % 4).astype(np.float64), [0, 1, 2, 3], ""),
        ((np.arange(20) % 4)[:, None], [0, 1, 2, 3], ""),
        (np.arange(20) % 2 == 1, [0, 1], ""),
        (np.linspace(0, 1, 20), None, "no whole numbers"),
        (np.ones((20, 5), int), None, "each image has 5"),
        (np.zeros(3, int), None, "3 for 20 images"),
        (np.full(20, np.nan), None, "not finite"),
        (np.full(20, "2020-01-01", "M8[D]"), None, "datetime64"),
        (np.full(20, None), None, "pickled objects"),
    ],
)
def test_labels_of_any_kind_never_block_the_images(tmp_path, labels, expected, words):
    source = npz(save(tmp_path, x_train=GREY, x_test=GREY // 2, y_train=labels))
    if expected is None:
        assert source.train_labels is None
        assert any(words in line for line in source.inventory.left_out)
    else:
        assert source.train_labels.tolist() == (expected * 20)[:20]
        assert source.inventory.left_out == []
        assert any(words in line for line in [*source.inventory.remarks, ""])
    assert torch.equal(source.train[:, 0], torch.from_numpy(GREY))


def test_words_have_the_same_numbers_in_every_split(tmp_path):
    words = np.array(["ox", "dog"])[np.arange(20) % 2]
    source = npz(save(tmp_path, x_train=GREY, x_test=GREY[:3], y_train=words, y_test=np.array(["dog", "cat", "ox"])))
    assert source.train_labels.tolist()[:2] == [2, 1] and source.test_labels.tolist() == [1, 0, 2]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f2", ">i4", ">u2"])
def test_every_order_of_bytes_and_axes_is_read(tmp_path, dtype, order):
    array = np.asarray(GREY.astype(dtype), order=order)
    np.save(tmp_path / "a.npy", array)
    for path in (save(tmp_path, x_train=array, x_test=array[:2]), str(tmp_path / "a.npy")):
        source = npz(path, test_fraction=0.1)
        train = source.train if isinstance(source.train, torch.Tensor) else source.train.gather(slice(None))
        kept = [i for i in range(20) if (train[:, 0] == torch.from_numpy(GREY[i].astype(np.float32))).all((1, 2)).any()]
        assert len(kept) == len(train) and train[0, 0].tolist() == GREY[kept[0]].tolist()


@pytest.mark.parametrize("labelled", [True, False])
def test_images_along_the_last_axis(tmp_path, labelled):
    """As MATLAB has them: labels say so, or the layout."""
    for array, layout in ((GREY.transpose(1, 2, 0), "HWN"), (np.stack([GREY] * 3, 1).transpose(2, 3, 1, 0), "HWCN")):
        labels = {"y_train": np.arange(20)} if labelled else {}
        path = save(tmp_path, x_train=array, **labels)
        source = npz(path, layout=None if labelled else layout, test_fraction=0.1)
        assert source.spec.shape == (array.shape[2] if array.ndim == 4 else 1, 6, 5)
        assert len(source.train) == 18


def test_a_folder_of_arrays_leaves_out_what_it_does_not_know(tmp_path):
    for name, array in {"X_train": GREY, "val_images": GREY[:4], "embedding": GREY // 3}.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "broken.npy").write_bytes(b"no array")
    source = npz(str(tmp_path))
    assert len(source.valid) == 4 and len(source.train) == 18
    assert source.inventory.left_out == ["broken, embedding: of no usual name"]
    assert npz(str(tmp_path), images="embedding").train.gather(slice(None)).max() <= 85
    refused(lambda: npz(str(tmp_path), images="broken"), "broken.npy")
