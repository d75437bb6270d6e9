import numpy as np
import pytest
import torch
from helpers import seeded
from PIL import Image
from source_cases import refused

from vaekl.data import Data
from vaekl.data.auto import AutoTransform
from vaekl.data.sources.folders import image_folder


def picture(path, value, size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, value)).save(path)


def test_image_folder(tmp_path):
    for split in ("train", "test"):
        for label, kind in enumerate(("cat", "dog")):
            for i in range(3):
                picture(tmp_path / split / kind / f"{i}.png", 100 * label + i)
    source = image_folder(str(tmp_path))
    assert source.spec.shape == (3, 6, 8)
    assert source.spec.levels == 256
    train = source.train.gather(slice(None))
    assert train[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]
    assert train[:, 1].max() == 0
    assert source.test_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert image_folder(str(tmp_path), size=4, grayscale=True).spec.shape == (1, 4, 4)
    picture(tmp_path / "test" / "bird" / "0.png", 1)
    assert image_folder(str(tmp_path)).test_labels.tolist() == [0, 1, 1, 1, 2, 2, 2]
    picture(tmp_path / "test" / "0.png", 1)
    source = image_folder(str(tmp_path))
    assert source.train_labels is None and "1 images lie in none" in source.inventory.left_out[0]


def test_image_folder_that_is_one_folder(tmp_path):
    for i in range(10):
        picture(tmp_path / f"{i}.png", i)
    source = image_folder(str(tmp_path), test_fraction=0.3)
    assert (len(source.train), len(source.test)) == (7, 3)
    assert source.train_labels is None
    picture(tmp_path / "x.png", 1, (9, 9))
    refused(lambda: image_folder(str(tmp_path)), "x.png", "dataset.size")
    file = tmp_path / "x.png"
    file.write_bytes(file.read_bytes()[:40])
    refused(lambda: image_folder(str(tmp_path), size=4), "1 of 11 images cannot be read", "x.png", "skip_broken=true")
    refused(lambda: image_folder(str(tmp_path / "3.png")), "3.png", "folder")
    (tmp_path / "bare").mkdir()
    refused(lambda: image_folder(str(tmp_path / "bare")), "bare")
    refused(image_folder, "dataset.path")


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [
        ("train", "val", "test"), ("Training", "Validation", "Testing"), ("TRAIN", "dev", "Test"),
        ("train2017", "val2017", "test2017"), ("train_images", "valid_images", "test_images"),
    ],
)  # fmt: skip
def test_splits_are_known_by_any_usual_name(tmp_path, train, valid, test):
    for value, (split, count) in enumerate(((train, 4), (valid, 3), (test, 2))):
        for i in range(count):
            picture(tmp_path / split / "a" / f"{i}.png", 10 * value + i)
    source = image_folder(str(tmp_path))
    values = [split.gather(slice(None))[:, 0, 0, 0].tolist() for split in (source.train, source.valid, source.test)]
    assert values == [[0, 1, 2, 3], [10, 11, 12], [20, 21]]
    assert source.inventory.origins == {"train": f"{train}/", "valid": f"{valid}/", "test": f"{test}/"}
    assert source.inventory.left_out == []


def test_a_folder_that_is_none_of_the_splits_is_refused_by_name(tmp_path):
    picture(tmp_path / "train" / "0.png", 0)
    picture(tmp_path / "train" / "1.png", 1)
    picture(tmp_path / "holdout" / "a" / "2.png", 2)
    refused(lambda: image_folder(str(tmp_path)), "holdout holds 1 images beside train/", "dataset.path=")
    (tmp_path / "holdout" / "a" / "2.png").unlink()
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "train" / "Thumbs.db").write_text("")
    (tmp_path / "train" / ".DS_Store").write_text("")
    picture(tmp_path / "cover.png", 2)
    source = image_folder(str(tmp_path))
    assert (len(source.train), len(source.test)) == (1, 1)
    assert source.inventory.left_out == [
        "1 folders without images: holdout/",
        "1 images beside train/, in no split: cover.png",
        "2 files that are no images: 1 .db, 1 .txt",
        "1 hidden files and folders, whose names begin with a dot",
    ]


@pytest.mark.parametrize(
    ("folders", "named"),
    [
        (("images/train", "images/test"), "images/test"),
        (("cat/train", "cat/val"), "cat/val"),
        (("train/a", "train/test"), "train/test"),
        (("test/a", "b"), "no train/"),
        (("train", "Train"), "two names for one split"),
        (("train", "val", "validation"), "two names for one split"),
    ],
)
def test_what_could_train_on_test_images_is_refused(tmp_path, folders, named):
    for i, folder in enumerate(folders):
        picture(tmp_path / folder / "0.png", i)
    refused(lambda: image_folder(str(tmp_path)), named)


def test_a_class_that_every_split_has_may_be_called_like_a_split(tmp_path):
    for split in ("train", "test"):
        for kind in ("valid", "invalid"):
            picture(tmp_path / split / kind / "0.png", 3)
    assert image_folder(str(tmp_path)).train_labels.tolist() == [0, 1]


def test_links_are_followed_and_nothing_is_taken_twice(tmp_path):
    for i, kind in enumerate("abc"):
        for j in range(3):
            picture(tmp_path / "store" / kind / f"{j}.png", 10 * i + j)
    some = tmp_path / "some"
    some.mkdir()
    (tmp_path / "store" / "a").rename(some / "a")
    (some / "b").symlink_to(tmp_path / "store" / "b")
    (some / "c").symlink_to("../store/c", target_is_directory=True)
    (some / "a" / "loop").symlink_to(some)
    (some / "A_again").symlink_to("a")
    (some / "a" / "9.png").symlink_to("0.png")
    (some / "a" / "nothing.png").symlink_to("nowhere.png")
    (some / "b" / "up").symlink_to(some / "c")
    source = image_folder(str(some), test_fraction=0.2)
    images = torch.cat([source.train.gather(slice(None)), source.test.gather(slice(None))])
    assert sorted(images[:, 0, 0, 0].tolist()) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert sorted(torch.cat([source.train_labels, source.test_labels]).tolist()) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert any("1 links to nothing" in line and "nothing.png" in line for line in source.inventory.left_out)
    assert any("4 links to what was taken" in line for line in source.inventory.left_out)


@pytest.mark.parametrize("link", ["folder", "file"])
def test_a_link_from_one_split_into_another_is_refused(tmp_path, link):
    for split in ("train", "test"):
        picture(tmp_path / split / "a" / "0.png", 1)
    if link == "folder":
        (tmp_path / "train" / "more").symlink_to("../test/a")
    else:
        (tmp_path / "test" / "a" / "1.png").symlink_to("../../train/a/0.png")
    refused(lambda: image_folder(str(tmp_path)), "are one file", "two splits")


def test_what_was_met_in_the_images_is_said(tmp_path):
    for i in range(8):
        picture(tmp_path / f"{i}.png", 3 * i)
    assert image_folder(str(tmp_path)).inventory.remarks == []
    for i in range(3):
        Image.new("RGBA", (8, 6), (0, 0, 0, 9 * i)).save(tmp_path / f"{i}.png")
    shots = [Image.new("RGB", (8, 6), (i, 0, 0)) for i in range(5)]
    shots[0].save(tmp_path / "a.tif", save_all=True, append_images=shots[1:])
    source = image_folder(str(tmp_path), background="black")
    assert len(source.train) + len(source.test) == 13
    assert source.inventory.remarks == [
        "5 images are the pages of 1 files; where a split is cut off, pages of one file may be in both",
        "3 images with transparent pixels, put on dataset.background=black",
    ]
    refused(lambda: image_folder(str(tmp_path), background="gray-ish"), "dataset.background", "'gray-ish'")


def test_images_without_colour_could_do_with_one_channel(tmp_path):
    for i in range(4):
        Image.new("L", (8, 6), i).save(tmp_path / f"{i}.png")
    assert "dataset.grayscale=true would do" in image_folder(str(tmp_path)).inventory.remarks[0]
    assert image_folder(str(tmp_path), grayscale=True).inventory.remarks == []
    picture(tmp_path / "4.png", 9)
    assert image_folder(str(tmp_path)).inventory.remarks == []


def test_broken_files_are_named_at_once_or_left_out(tmp_path):
    for split, count in (("train", 14), ("test", 3)):
        for i in range(count):
            picture(tmp_path / split / "ab"[i % 2] / f"{i:02d}.png", i)
    broken = sorted(tmp_path.glob("train/*/*.png"))[:12] + sorted(tmp_path.glob("test/*/*.png"))[:1]
    for file in broken:
        file.write_bytes(file.read_bytes()[:40])
    sentence = refused(
        lambda: image_folder(str(tmp_path)), "13 of 17 images cannot be read", *broken[:10], "and 3 more"
    )
    assert str(broken[10]) not in sentence
    source = image_folder(str(tmp_path), skip_broken=True)
    assert (len(source.train), len(source.test)) == (2, 2)
    assert source.train.gather(slice(None))[:, 0, 0, 0].tolist() == [11, 13]
    assert source.train_labels.tolist() == [1, 1] and source.test_labels.tolist() == [0, 1]
    assert source.inventory.left_out[0].startswith("13 images that cannot be read (skip_broken=true): ")


@pytest.mark.parametrize(("top", "levels"), [(4095, 4096), (4096, 65536), (255, 256)])
def test_sixteen_bit_images_have_the_levels_that_they_need(tmp_path, top, levels):
    values = np.random.default_rng(0).integers(0, top, (12, 6, 8), np.uint16)
    values[3, 2, 1] = top
    for i, one in enumerate(values):
        Image.fromarray(one).save(tmp_path / f"{i:02d}.png")
    source = image_folder(str(tmp_path), grayscale=True, test_fraction=0.25)
    assert (source.spec.support, source.spec.levels) == ("levels", levels)
    assert f"{levels:,} levels" in source.inventory.remarks[0] or levels == 256
    data = Data.from_source(source, AutoTransform(), ("unit_interval",), valid=0.2)
    x = torch.cat([split.batch(slice(None), seeded()) for split in (data.train, data.valid, data.test)])
    assert x.min() > 0 and x.max() < 1
    assert sorted((x.double() * levels).floor().sum((1, 2, 3)).tolist()) == sorted(values.sum((1, 2), int).tolist())
    assert data.spec.protocol == f"dequantized (k + U)/{levels}"
    assert image_folder(str(tmp_path), grayscale=True, levels=65536).spec.levels == 65536
    refused(lambda: image_folder(str(tmp_path), grayscale=True, levels=16), "dataset.levels=16 has the whole numbers")


def test_equal_images_of_two_splits_are_counted(tmp_path):
    for split, values in (("train", [1, 2, 3]), ("test", [3, 4, 1])):
        for value in values:
            picture(tmp_path / split / f"{value}.png", value)
    assert image_folder(str(tmp_path)).inventory.remarks == ["2 of the test images are equal to training images"]
