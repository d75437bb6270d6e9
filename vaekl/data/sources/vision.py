"""Data sets that torchvision knows: fetched once into the data directory, then uint8 [N, C, H, W] in memory."""

import logging
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from vaekl.data.inventory import some_of
from vaekl.data.ondisk import Array
from vaekl.data.sources.build import Part, build_source
from vaekl.data.sources.idx import read_idx
from vaekl.data.sources.images import decoded, read_images
from vaekl.data.sources.pixels import Decoding
from vaekl.data.sources.staging import data_root, obtain
from vaekl.data.spec import Source
from vaekl.system.checks import one_of
from vaekl.system.errors import VaeklError
from vaekl.system.libraries import torchvision

log = logging.getLogger(__name__)
EMNIST_SPLITS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
TRAIN = {"train": True, "test": False}
#: the two files of each split in MNIST's format, and how many axes they have
_CONTENTS = {"images-idx3": 3, "labels-idx1": 1}


def mnist(root: str | None = None, name: str = "mnist") -> Source:
    """Handwritten digits, 1x28x28, 60,000 to train and 10,000 to test.

    Args:
        root: the data directory; None means VAEKL_DATA_DIR, or else the user's cache.
        name: what the data set is called in reports.

    Returns:
        The source, 256 levels, with labels.

    Raises:
        VaeklError: the data is neither there nor to be fetched, an archive is corrupt, or torchvision does not load.
    """
    return _idx("MNIST", root, name)


def fashion_mnist(root: str | None = None, name: str = "fashion_mnist") -> Source:
    """Photographs of clothes, 1x28x28, 60,000 to train and 10,000 to test.

    Args:
        root: the data directory, as for `mnist`.
        name: what the data set is called in reports.
    """
    return _idx("FashionMNIST", root, name)


def kmnist(root: str | None = None, name: str = "kmnist") -> Source:
    """Handwritten Japanese characters, 1x28x28, 60,000 to train and 10,000 to test.

    Args:
        root: the data directory, as for `mnist`.
        name: what the data set is called in reports.
    """
    return _idx("KMNIST", root, name)


def emnist(root: str | None = None, name: str = "emnist", split: str = "balanced") -> Source:
    """Handwritten letters and digits, 1x28x28 and upright; "balanced" has 112,800 to train and 18,800 to test.

    Args:
        root: the data directory, as for `mnist`.
        name: what the data set is called in reports.
        split: byclass, bymerge, balanced, letters, digits or mnist.

    Raises:
        VaeklError: as for `mnist`, or an unknown split.
    """
    return _idx("EMNIST", root, name, split=one_of(split, "dataset.split", EMNIST_SPLITS))


def cifar10(root: str | None = None, name: str = "cifar10") -> Source:
    """Small photographs of 10 classes, 3x32x32, 50,000 to train and 10,000 to test.

    Args:
        root: the data directory, as for `mnist`.
        name: what the data set is called in reports.
    """
    return _cifar("CIFAR10", root, name)


def cifar100(root: str | None = None, name: str = "cifar100") -> Source:
    """Small photographs of 100 classes, 3x32x32, 50,000 to train and 10,000 to test.

    Args:
        root: the data directory, as for `mnist`.
        name: what the data set is called in reports.
    """
    return _cifar("CIFAR100", root, name)


def svhn(root: str | None = None, name: str = "svhn") -> Source:
    """House numbers from the street, 3x32x32, 73,257 to train and 26,032 to test.

    Args:
        root: the data directory, as for `mnist`.
        name: what the data set is called in reports.
    """
    kind = torchvision("datasets").SVHN

    def read(folder: Path, download: bool) -> dict[str, Part]:
        sets = {split: kind(folder, split=split, download=download) for split in TRAIN}
        return {split: Part(svhn.data, svhn.labels, f"{split} of {name}") for split, svhn in sets.items()}

    archives = [(file, md5) for _, file, md5 in (kind.split_list[split] for split in TRAIN)]
    return _load(name, kind.__name__, root, archives, read, most=1 << 28)


def omniglot(root: str | None = None, name: str = "omniglot", size: int = 28) -> Source:
    """Handwritten characters, 1xSxS, bright strokes on black: the 19,280 background images to train, 13,180 to test.

    Args:
        root: the data directory, as for `mnist`.
        name: what the data set is called in reports.
        size: the side in pixels that the 105x105 originals are resized to.
    """
    kind = torchvision("datasets").Omniglot

    def one(folder: Path, download: bool, split: str) -> Part:
        images = Path(kind(folder, background=TRAIN[split], download=download).target_folder)
        # sorted here, since torchvision takes images and labels in the order of the file system
        paths = sorted(images.glob("*/*/*.png"))
        with zipfile.ZipFile(f"{images}.zip") as archive:
            expected = sum(member.endswith(".png") for member in archive.namelist())
        if len(paths) != expected:
            raise RuntimeError(f"{images} holds {len(paths)} of {expected} images")
        _, labels = np.unique([str(path.parent) for path in paths], return_inverse=True)
        return Part(255 - read_images(paths, Decoding(size, grayscale=True)), labels, f"{split} of {name}")

    def read(folder: Path, download: bool) -> dict[str, Part]:
        return {split: one(folder, download, split) for split in TRAIN}

    archives = [(f"{kind.folder}/{file}.zip", md5) for file, md5 in kind.zips_md5.items()]
    return _load(name, kind.__name__, root, archives, read, most=1 << 25, unpack=True)


def celeba(root: str | None = None, name: str = "celeba", size: int = 64, crop: int = 148) -> Source:
    """Faces, 3xSxS: 162,770 to train, 19,867 of its own to validate and 19,962 to test.

    They are decoded once, into files in the data directory from which they are then read.

    Args:
        root: the data directory, as for `mnist`.
        name: what the data set is called in reports.
        size: the side in pixels after resizing.
        crop: the side of the central square that is cut from the aligned 178x218 images before that.
    """
    kind = torchvision("datasets").CelebA

    def read(folder: Path, download: bool) -> dict[str, list[str]]:
        return {
            split: list(kind(folder, split=split, download=download).filename) for split in ("train", "valid", "test")
        }

    archives = [(f"{kind.base_folder}/{file}", md5) for _, md5, file in kind.file_list]
    place = data_root(root)
    names = obtain(name, kind.__name__, place, archives, read, most=1 << 31, unpack=True)
    originals = place / kind.base_folder / "img_align_celeba"
    parts = {}
    for split, files in names.items():
        paths = [originals / file for file in files]
        images = decoded(originals, paths, place, Decoding(size, crop=crop), part=split)
        if unreadable := [path for path, pages in zip(paths, images.pages, strict=True) if not pages]:
            raise VaeklError(f"The images {some_of(unreadable)} cannot be read; remove or replace them.")
        parts[split] = Part(images.images, None, f"{split} of {name}")
    return build_source(name, parts, levels=256)


def _idx(kind_name: str, root: str | None, name: str, **arguments: str) -> Source:
    """MNIST and the data sets in its file format, by the name of torchvision's class.

    Only where they are not unpacked is torchvision loaded, which unpacks or fetches them.
    """
    is_emnist, place = kind_name == "EMNIST", data_root(root)
    prefixes = {split: f"emnist-{arguments['split']}-{split}" if is_emnist else split for split in TRAIN}
    if not is_emnist:
        prefixes["test"] = "t10k"
    raw, most = f"{kind_name}/raw", 1 << 30 if is_emnist else 1 << 26
    files = {split: {f"{raw}/{prefixes[split]}-{what}-ubyte": _CONTENTS[what] for what in _CONTENTS} for split in TRAIN}

    def part(images: Array, labels: Array, split: str) -> Part:
        images = images[:, None]
        # EMNIST's files hold each image on its side
        return Part(images.swapaxes(2, 3) if is_emnist else images, labels, f"{split} of {name}")

    with suppress(OSError, ValueError):  # torchvision says what is missing or wrong
        arrays = {split: [read_idx(place / file, axes, most) for file, axes in files[split].items()] for split in TRAIN}
        parts = {split: part(images, labels.astype(np.int64), split) for split, (images, labels) in arrays.items()}
        return build_source(name, parts, levels=256)
    original = getattr(torchvision("datasets"), kind_name)
    # without what torchvision kept before 2021, files of PyTorch's that it would read before it looks at any other
    kind = type(kind_name, (original,), {"_check_legacy_exist": lambda self: False})

    def one(folder: Path, download: bool, split: str) -> Part:
        stored = kind(folder, train=TRAIN[split], download=download, **arguments)
        return part(stored.data.numpy(), stored.targets.numpy(), split)

    def read(folder: Path, download: bool) -> dict[str, Part]:
        return {split: one(folder, download, split) for split in TRAIN}

    archives = [("gzip.zip", original.md5)] if is_emnist else original.resources
    archives = [(f"{raw}/{file}", md5) for file, md5 in archives]
    return _load(
        name, kind_name, root, archives, read, most, unpacked=[file for both in files.values() for file in both]
    )


def _cifar(kind_name: str, root: str | None, name: str) -> Source:
    kind = getattr(torchvision("datasets"), kind_name)

    def one(folder: Path, download: bool, split: str) -> Part:
        stored = kind(folder, train=TRAIN[split], download=download)
        return Part(stored.data.transpose(0, 3, 1, 2), np.array(stored.targets), f"{split} of {name}")

    def read(folder: Path, download: bool) -> dict[str, Part]:
        return {split: one(folder, download, split) for split in TRAIN}

    files = [*(file for file, _ in (*kind.train_list, *kind.test_list)), kind.meta["filename"]]
    unpacked = [f"{kind.base_folder}/{file}" for file in files]
    return _load(name, kind_name, root, [(kind.filename, kind.tgz_md5)], read, most=1 << 28, unpacked=unpacked)


def _load(
    name: str,
    kind: str,
    root: str | None,
    archives: Sequence[tuple[str, str]],
    read: Callable[[Path, bool], dict[str, Part]],
    most: int,
    unpack: bool = False,
    unpacked: Sequence[str] = (),
) -> Source:
    parts = obtain(name, kind, data_root(root), archives, read, most, unpack, unpacked)
    return build_source(name, parts, levels=256)
