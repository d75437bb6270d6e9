"""Data sets that come with scikit-learn: they need no network and no files."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vaekl.data.inventory import Inventory
from vaekl.data.ondisk import Array
from vaekl.data.order import shuffled
from vaekl.data.sources.build import Part, build_source
from vaekl.data.sources.columns import columns_of, list_columns
from vaekl.data.sources.table import source_of
from vaekl.data.spec import Source
from vaekl.system.checks import whole

DIGITS_TRAIN = 1437
PATCH = 32
PATCH_TRAIN_COLUMNS = 480


def digits(name: str = "digits", kind: str = "levels", offset: str | None = None) -> Source:
    """Handwritten digits, 1x8x8, values 0 to 16: the first 1437 images to train on, the last 360 to test.

    Args:
        name: what the data set is called in reports.
        kind: what the values stand for; they are counts of the dots of 4x4 squares.
        offset: "total" where the rates of an image of counts are in proportion to its sum.

    Returns:
        The source, with labels.

    Source: sklearn.datasets.load_digits.
    """
    rows = _rows_of_digits()
    images, labels = rows[:, :-1].astype(np.uint8).reshape(-1, 1, 8, 8), rows[:, -1].astype(int)
    return build_source(
        name,
        {
            "train": Part(images[:DIGITS_TRAIN], labels[:DIGITS_TRAIN], f"train of {name}"),
            "test": Part(images[DIGITS_TRAIN:], labels[DIGITS_TRAIN:], f"test of {name}"),
        },
        levels=None if kind in ("counts", "real") else 17,
        kind=kind,
        offset=offset,
    )


def patches(name: str = "patches", train_size: int = 6000, test_size: int = 1000, seed: int = 0) -> Source:
    """Colour patches, 3x32x32, cut at random places from two photographs: train from the left, test from the right.

    Args:
        name: what the data set is called in reports.
        train_size: how many patches to train on; they may overlap each other, but never a test patch.
        test_size: how many to test on.
        seed: where the patches are cut.

    Returns:
        The source; its labels say which photograph (0 a temple, 1 a flower).

    Raises:
        VaeklError: more patches than there are places, or none.

    Source: sklearn.datasets.load_sample_images.
    """
    photographs = np.stack(_datasets().load_sample_images().images)
    regions = {
        "train": (photographs[:, :, :PATCH_TRAIN_COLUMNS], train_size),
        "test": (photographs[:, :, PATCH_TRAIN_COLUMNS:], test_size),
    }
    parts = {}
    for split, (region, size) in regions.items():
        images, labels = _cut(region, size, split, seed)
        parts[split] = Part(images, labels, f"{split} of {name}")
    return build_source(name, parts, levels=256)


def wine(name: str = "wine", test_fraction: float = 0.2, test_seed: int = 0) -> Source:
    """Chemical measurements of wines, rows of 13, 143 to train and 35 to test; the labels are three growers.

    Args:
        name: what the data set is called in reports.
        test_fraction: how much of the 178 rows to cut off as a test split.
        test_seed: which rows that cuts.

    Source: sklearn.datasets.load_wine.
    """
    return _rows(name, _datasets().load_wine(), {}, test_fraction, test_seed)


def breast_cancer(name: str = "breast_cancer", test_fraction: float = 0.2, test_seed: int = 0) -> Source:
    """Measurements of cell nuclei, rows of 30, 456 to train and 113 to test; the labels say malignant or benign.

    Args:
        name: what the data set is called in reports.
        test_fraction: how much of the 569 rows to cut off as a test split.
        test_seed: which rows that cuts.

    Source: sklearn.datasets.load_breast_cancer.
    """
    return _rows(name, _datasets().load_breast_cancer(), {}, test_fraction, test_seed)


def diabetes(name: str = "diabetes", test_fraction: float = 0.2, test_seed: int = 0) -> Source:
    """Age, sex, body mass, blood pressure and six blood values, rows of 10, 354 to train and 88 to test; no labels.

    Args:
        name: what the data set is called in reports.
        test_fraction: how much of the 442 rows to cut off as a test split.
        test_seed: which rows that cuts.

    Source: sklearn.datasets.load_diabetes, unscaled.
    """
    bunch = _datasets().load_diabetes(scaled=False)
    bunch.target = None  # a number for each row, which names no classes
    return _rows(name, bunch, {"sex": "binary"}, test_fraction, test_seed)


def _rows_of_digits() -> Array:
    """64 values and the label of each image, [1797, 65], from the file that `load_digits` reads.

    scikit-learn itself takes most of a second to import, half of what torch takes.
    """
    package = find_spec("sklearn")
    if package and package.origin:
        file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
        if file.exists():
            return np.loadtxt(file, delimiter=",")
    bunch = _datasets().load_digits()
    return np.column_stack([bunch.data, bunch.target])


def _datasets() -> Any:
    from sklearn import datasets

    return datasets


def _rows(name: str, bunch: Any, kinds: dict[str, str], test_fraction: float, test_seed: int) -> Source:
    """One of scikit-learn's tables, in which some columns' kinds are known."""
    inventory = Inventory(origins={"train": "scikit-learn's rows"})
    columns = columns_of(dict(zip(map(str, bunch.feature_names), bunch.data.T, strict=True)), kinds, name)
    list_columns(columns, {}, inventory)
    rows, kept = np.full(len(bunch.data), "train"), np.ones(len(bunch.data), bool)
    return source_of(name, columns, rows, bunch.target, kept, inventory, test_fraction, test_seed)


def _cut(region: Array, size: int, split: str, seed: int) -> tuple[Array, Array]:
    """`size` different patches [size, 3, 32, 32] of the photographs [2, H, W, 3], and which photograph each is from."""
    windows = np.lib.stride_tricks.sliding_window_view(region, (PATCH, PATCH), axis=(1, 2))
    places = windows.shape[:3]
    whole(size, f"dataset.{split}_size", 1, int(np.prod(places)))
    chosen = shuffled(int(np.prod(places)), "patches", split, whole(seed, "dataset.seed"))[:size].numpy()
    photograph, row, column = np.unravel_index(chosen, places)
    return windows[photograph, row, column], photograph
