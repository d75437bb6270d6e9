"""From arrays to a `Source`: every source ends here, so that every data set passes the same checks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vaekl.data.inventory import Inventory
from vaekl.data.ondisk import Array, OnDisk
from vaekl.data.order import shuffled
from vaekl.data.sources.kinds import support_of
from vaekl.data.sources.labels import fitting, numbered
from vaekl.data.sources.values import Values, values_of
from vaekl.data.spec import DataSpec, Source, Support
from vaekl.system.checks import number, one_of, optional, whole
from vaekl.system.errors import VaeklError


@dataclass(frozen=True)
class Part:
    """One split's arrays before they are checked.

    Args:
        images: [N, C, H, W] of booleans, whole numbers or floats; in memory or in a file.
        labels: one for each image, of any type, or None; those that are no classes are left out.
        title: how a sentence names the images, e.g. "x_train in data.npz".
        rows: int64 [N], the place of each image in the array that the split was cut from, or None.
    """

    images: Array | OnDisk
    labels: Array | None
    title: str
    rows: Array | None = None


def build_source(
    name: str,
    parts: Mapping[str, Part],
    levels: int | None = None,
    inventory: Inventory | None = None,
    kind: str = "auto",
    has_missing: bool = False,
    offset: str | None = None,
) -> Source:
    """Check the splits and say what their values are.

    Args:
        name: the data set, as the user typed it.
        parts: the splits "train", "test" and perhaps "valid", by name; without "train" the data can only be looked at.
        levels: how many values a pixel can take where that is known; else it is read off the data: booleans, and
            numbers that are all 0 or 1, are binary, other whole numbers have 256 levels, or 4,096 or 65,536 if they are
            of 16 bits, and floats have none.
        inventory: what is known of where the images are from.
        kind: what the values stand for, as `support_of` has it.
        has_missing: whether NaN stands for a missing value.
        offset: "total" where the rates of a row of counts are in proportion to its sum.

    Returns:
        The source, its images uint8, uint16 (int32 from a file, and of large counts) or float32.

    Raises:
        VaeklError: an array is empty, not finite, of a wrong type or shape, or does not match the training images.
    """
    inventory = inventory or Inventory()
    optional(one_of, offset, "dataset.offset", ("total",))
    titles = {split: part.title for split, part in parts.items()}
    first = "train" if "train" in parts else "test"
    like = parts[first]
    for part in parts.values():
        _check_shape(part, like)
    is_open, shape = kind in ("auto", "image"), tuple(like.images.shape[1:])
    values = {
        split: values_of(part.images, part.title, levels, not is_open, has_missing) for split, part in parts.items()
    }
    if is_open and levels is None and not all(part_values.binary for part_values in values.values()):
        for split, part_values in values.items():
            _check_same("type", _kind(part_values), _kind(values[first]), parts[split], like)
    support, levels = support_of(kind, values, titles, shape, levels, inventory)
    most = (levels or 0) - 1 if support != "counts" else max(part_values.high for part_values in values.values())
    images = {split: _stored(part.images, support, most) for split, part in parts.items()}
    tensors = {split: _tensor(array) for split, array in images.items()}
    labels = numbered(
        {split: fitting(part.labels, len(part.images), part.title, inventory) for split, part in parts.items()},
        inventory,
    )
    return Source(
        spec=DataSpec(name, shape, levels, support, has_missing=has_missing),
        train=tensors["train"] if "train" in parts else tensors["test"][:0],
        test=tensors["test"],
        valid=tensors.get("valid"),
        train_labels=labels.get("train"),
        test_labels=labels["test"],
        valid_labels=labels.get("valid"),
        inventory=inventory,
        rows={split: torch.from_numpy(part.rows) for split, part in parts.items() if part.rows is not None},
        by_total=offset is not None,
    )


def cut_test(part: Part, fraction: float | None, seed: int, inventory: Inventory) -> dict[str, Part]:
    """Cut a test split from the only images there are.

    Args:
        part: all images.
        fraction: the test split's share of them, in (0, 1); either split gets at least one image. None cuts none: both
            splits are all images, which is for looking at them and not for training.
        seed: which images those are.
        inventory: where it is written that they are cut off.

    Returns:
        "train" and "test".

    Raises:
        VaeklError: the fraction is outside (0, 1) or there are fewer than two images.
    """
    rows = np.arange(len(part.images)) if part.rows is None else part.rows
    if fraction is None:
        return dict.fromkeys(("train", "test"), replace(part, rows=rows))
    n = len(part.images)
    number(fraction, "dataset.test_fraction", 0, 1)
    if n < 2:
        raise VaeklError(f"{part.title} holds too few examples ({n}) to cut a test split from; give more.")
    # before the cut, so that the numbers of the sentence are those that the user knows
    labels = fitting(part.labels, n, part.title, inventory)
    count = min(n - 1, max(1, int(fraction * n)))
    order = shuffled(n, "test", whole(seed, "dataset.test_seed")).numpy()
    index = {"train": np.sort(order[count:]), "test": np.sort(order[:count])}
    inventory.held_out("test", "train", f"held out by test_seed={seed}")
    return {
        split: replace(part, images=part.images[i], labels=None if labels is None else labels[i], rows=rows[i])
        for split, i in index.items()
    }


def _check_shape(part: Part, train: Part) -> None:
    array = part.images
    if array.ndim < 2 or 0 in array.shape:
        raise VaeklError(
            f"{part.title} has the shape {array.shape}, which holds no example; "
            "give at least one, with every side 1 or longer."
        )
    _check_same("shape", array.shape[1:], train.images.shape[1:], part, train)


def _kind(values: Values) -> str:
    """What the values of all splits must have in common: whole numbers of 8 and of 16 bits are of different scales."""
    if values.kind == "f":
        return "floats"
    return "16-bit whole numbers" if values.bits == 16 and values.high > 255 else "whole numbers"


def _stored(array: Array | OnDisk, support: Support, most: float) -> Array | OnDisk:
    """The images in the type in which they are kept; torch has few functions for uint16, so a file's become int32."""
    if support in ("unit_interval", "real"):
        return array.astype(np.float32, copy=False)
    deep = np.int32 if isinstance(array, OnDisk) or support == "counts" else np.uint16
    return array.astype(np.uint8 if most <= 255 else deep, copy=False)


def _tensor(array: Array | OnDisk) -> Tensor | OnDisk:
    return array if isinstance(array, OnDisk) else torch.from_numpy(np.ascontiguousarray(array))


def _check_same(what: str, own: object, expected: object, part: Part, train: Part) -> None:
    if own != expected:
        raise VaeklError(
            f"{part.title} has examples of {what} {own}, but {train.title} of {what} {expected}; make them the same."
        )
