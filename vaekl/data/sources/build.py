"""From arrays to a `Source`: every source ends here, so that every data set passes the same checks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vaekl.data.inventory import Inventory
from vaekl.data.ondisk import Array, OnDisk
from vaekl.data.order import shuffled
from vaekl.data.sources.labels import fitting, numbered
from vaekl.data.spec import DataSpec, Source, Support
from vaekl.system.checks import number
from vaekl.system.errors import VaeklError

#: how many values are checked together, so that images in a file never lie in memory all at once
_VALUES = 2**22
#: the smallest maximum of values in [0, 1] that are taken for shades
_DARKEST = 0.05


@dataclass(frozen=True)
class Part:
    """One split's arrays before they are checked.

    Args:
        images: [N, C, H, W] of booleans, whole numbers from 0 to 255, or floats; in memory or in a file.
        labels: one for each image, of any type, or None; those that are no classes are left out.
        title: how a sentence names the images, e.g. "x_train in data.npz".
    """

    images: Array | OnDisk
    labels: Array | None
    title: str


def build_source(
    name: str, parts: Mapping[str, Part], levels: int | None = None, inventory: Inventory | None = None
) -> Source:
    """Check the splits and say what their values are.

    Args:
        name: the data set, as the user typed it.
        parts: the splits "train", "test" and perhaps "valid", by name.
        levels: how many values a pixel can take where that is known; else it is read off the data: booleans, and
            numbers that are all 0 or 1, are binary, other whole numbers have 256 levels, and floats have none.
        inventory: what is known of where the images are from.

    Returns:
        The source, its images uint8 or float32.

    Raises:
        VaeklError: an array is empty, not finite, of a wrong type or shape, or does not match the training images.
    """
    values = {split: _checked(part, levels) for split, part in parts.items()}
    binary = levels is None and all(part_values.binary for part_values in values.values())
    images = {split: part.images.astype(_type_of(part.images), copy=False) for split, part in parts.items()}
    for split, array in images.items():
        _check_same("shape", array.shape[1:], images["train"].shape[1:], parts[split], parts["train"])
        _check_same("type", array.dtype, images["train"].dtype, parts[split], parts["train"])
    support: Support
    if binary:
        levels, support = 2, "binary"
        images = {split: array.astype(np.uint8, copy=False) for split, array in images.items()}
    elif images["train"].dtype == np.uint8:
        levels = levels or 256
        support = "binary" if levels == 2 else "levels"
    else:
        low, high = min(part.low for part in values.values()), max(part.high for part in values.values())
        # shades reach further than a twentieth of white; smaller numbers are quantities in a unit of their own
        support = "unit_interval" if low >= 0 and _DARKEST <= high <= 1 else "real"
    tensors = {split: _tensor(array) for split, array in images.items()}
    inventory = inventory or Inventory()
    labels = numbered(
        {split: fitting(part.labels, len(part.images), part.title, inventory) for split, part in parts.items()},
        inventory,
    )
    return Source(
        spec=DataSpec(name, tuple(images["train"].shape[1:]), levels, support),
        train=tensors["train"],
        test=tensors["test"],
        valid=tensors.get("valid"),
        train_labels=labels["train"],
        test_labels=labels["test"],
        valid_labels=labels.get("valid"),
        inventory=inventory,
    )


def cut_test(part: Part, fraction: float, seed: int, inventory: Inventory) -> dict[str, Part]:
    """Cut a test split from the only images there are.

    Args:
        part: all images.
        fraction: the test split's share of them, in (0, 1); either split gets at least one image.
        seed: which images those are.
        inventory: where it is written that they are cut off.

    Returns:
        "train" and "test".

    Raises:
        VaeklError: the fraction is outside (0, 1) or there are fewer than two images.
    """
    n = len(part.images)
    number(fraction, "dataset.test_fraction", 0, 1)
    if n < 2:
        raise VaeklError(f"{part.title} holds too few images ({n}) to cut a test split from; give more.")
    # before the cut, so that the numbers of the sentence are those that the user knows
    labels = fitting(part.labels, n, part.title, inventory)
    count = min(n - 1, max(1, int(fraction * n)))
    order = shuffled(n, "test", seed).numpy()
    index = {"train": np.sort(order[count:]), "test": np.sort(order[:count])}
    inventory.held_out("test", "train", f"held out by test_seed={seed}")
    return {
        split: replace(part, images=part.images[i], labels=None if labels is None else labels[i])
        for split, i in index.items()
    }


@dataclass(frozen=True)
class _Values:
    """What an array's values are: their range, and whether all of them are 0 or 1."""

    low: float
    high: float
    binary: bool


def _checked(part: Part, levels: int | None) -> _Values:
    """The range of a split's values; refused if they are no images. Looks at some images at a time."""
    array = part.images
    if array.ndim < 2 or 0 in array.shape:
        raise VaeklError(
            f"{part.title} has the shape {array.shape}, which holds no images; "
            "give at least one image, with every side 1 or longer."
        )
    if array.dtype.kind not in "biuf":
        raise VaeklError(f"{part.title} has the type {array.dtype}; store it as uint8, bool or float32.")
    if array.dtype == np.uint8 and levels is not None:
        return _Values(0, levels - 1, levels == 2)
    low, high, binary, nans, infinite = np.inf, -np.inf, True, 0, 0
    for piece in pieces(array):
        low, high = min(low, piece.min()), max(high, piece.max())
        binary = binary and bool(((piece == 0) | (piece == 1)).all())
        if array.dtype == np.uint8 and not binary:
            return _Values(0, 255, False)
        if array.dtype.kind == "f" and not np.isfinite(piece).all():
            nans, infinite = nans + int(np.isnan(piece).sum()), infinite + int(np.isinf(piece).sum())
    if array.dtype.kind in "iu" and (low < 0 or high > 255):
        raise VaeklError(
            f"{part.title} holds whole numbers from {low} to {high}, not 8-bit values from 0 to 255; "
            "rescale them, or store them as float32."
        )
    if nans or infinite:
        values = np.prod(array.shape)
        raise VaeklError(
            f"{part.title} has {nans} NaN and {infinite} infinite values out of {values}; remove or replace them."
        )
    return _Values(low, high, binary)


def pieces(array: Array | OnDisk) -> Iterator[Array]:
    """All images, some at a time, with floats as float32."""
    step = max(1, _VALUES // int(np.prod(array.shape[1:])))
    for start in range(0, len(array), step):
        part = slice(start, start + step)
        piece = array.read(part) if isinstance(array, OnDisk) else array[part]
        with np.errstate(over="ignore"):
            yield piece.astype(np.float32, copy=False) if piece.dtype.kind == "f" else piece


def _type_of(array: Array | OnDisk) -> type[np.generic]:
    """The type that images are stored in: uint8 for booleans and whole numbers, else float32."""
    return np.float32 if array.dtype.kind == "f" else np.uint8


def _tensor(array: Array | OnDisk) -> Tensor | OnDisk:
    return array if isinstance(array, OnDisk) else torch.from_numpy(np.ascontiguousarray(array))


def _check_same(what: str, own: object, expected: object, part: Part, train: Part) -> None:
    if own != expected:
        raise VaeklError(
            f"{part.title} has images of {what} {own}, but {train.title} of {what} {expected}; make them the same."
        )
