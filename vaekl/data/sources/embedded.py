"""Data sets that come with scikit-learn: they need no network and no files."""

import numpy as np

from vaekl.data.ondisk import Array
from vaekl.data.order import shuffled
from vaekl.data.sources.build import Part, build_source
from vaekl.data.spec import Source
from vaekl.system.checks import whole

DIGITS_TRAIN = 1437
PATCH = 32
PATCH_TRAIN_COLUMNS = 480


def digits(name: str = "digits") -> Source:
    """Handwritten digits, 1x8x8, values 0 to 16: the first 1437 images to train on, the last 360 to test.

    Args:
        name: what the data set is called in reports.

    Returns:
        The source, with labels.

    Source: sklearn.datasets.load_digits.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8)[:, None], bunch.target
    return build_source(
        name,
        {
            "train": Part(images[:DIGITS_TRAIN], labels[:DIGITS_TRAIN], f"train of {name}"),
            "test": Part(images[DIGITS_TRAIN:], labels[DIGITS_TRAIN:], f"test of {name}"),
        },
        levels=17,
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
    from sklearn.datasets import load_sample_images

    photographs = np.stack(load_sample_images().images)
    regions = {
        "train": (photographs[:, :, :PATCH_TRAIN_COLUMNS], train_size),
        "test": (photographs[:, :, PATCH_TRAIN_COLUMNS:], test_size),
    }
    parts = {}
    for split, (region, size) in regions.items():
        images, labels = _cut(region, size, split, seed)
        parts[split] = Part(images, labels, f"{split} of {name}")
    return build_source(name, parts, levels=256)


def _cut(region: Array, size: int, split: str, seed: int) -> tuple[Array, Array]:
    """`size` different patches [size, 3, 32, 32] of the photographs [2, H, W, 3], and which photograph each is from."""
    windows = np.lib.stride_tricks.sliding_window_view(region, (PATCH, PATCH), axis=(1, 2))
    places = windows.shape[:3]
    whole(size, f"dataset.{split}_size", 1, int(np.prod(places)))
    chosen = shuffled(int(np.prod(places)), "patches", split, seed)[:size].numpy()
    photograph, row, column = np.unravel_index(chosen, places)
    return windows[photograph, row, column], photograph
