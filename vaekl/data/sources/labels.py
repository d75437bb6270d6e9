"""Labels as people store them, made whole numbers; training needs none, so those that cannot be are left out."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from vaekl.data.inventory import Inventory
from vaekl.data.ondisk import Array


def fitting(labels: Array | None, images: int, title: str, inventory: Inventory) -> Array | None:
    """The labels if there is one for each image.

    Args:
        labels: [images] or [images, K] of any type, or None.
        images: how many there are.
        title: how a sentence names the images.
        inventory: where it is written that they are left out.
    """
    if labels is None:
        return None
    if labels.ndim == 2 and 1 in labels.shape:  # MATLAB's rows and columns
        labels = labels.reshape(-1)
    if labels.ndim not in (1, 2) or len(labels) != images:
        shape = "×".join(map(str, labels.shape)) or "none"
        inventory.left_out.append(f"the labels of {title}: {shape} for {images:,} images")
        return None
    return labels


def numbered(labels: Mapping[str, Array | None], inventory: Inventory) -> dict[str, Tensor | None]:
    """Class numbers of each split, int64 [N]: words by their order in the alphabet, one-hot rows by their column.

    Args:
        labels: of each split, as `fitting` returns them.
        inventory: where it is written what was made of them.
    """
    there = {split: array for split, array in labels.items() if array is not None}
    numbers: dict[str, Tensor | None] = dict.fromkeys(labels)
    if not there:
        return numbers
    kinds = {array.dtype.kind for array in there.values()}
    if kinds <= set("biuf"):
        columns = {split: _class_numbers(array) for split, array in there.items()}
        if refusals := [column for column in columns.values() if isinstance(column, str)]:
            inventory.left_out.append(f"the labels: {refusals[0]}")
            return numbers
        if any(array.ndim == 2 for array in there.values()):
            inventory.remarks.append("labels: one-hot rows, taken as the numbers of their columns")
        return numbers | {
            split: torch.from_numpy(column) for split, column in columns.items() if not isinstance(column, str)
        }
    if kinds <= set("US") and all(array.ndim == 1 for array in there.values()):
        words = {split: array.astype(str) for split, array in there.items()}
        names = np.unique(np.concatenate(list(words.values())))
        inventory.remarks.append(f"labels: {len(names):,} words, numbered in the order of the alphabet")
        return numbers | {split: torch.from_numpy(np.searchsorted(names, array)) for split, array in words.items()}
    types = ", ".join(sorted({str(array.dtype) for array in there.values()}))
    inventory.left_out.append(f"the labels: their type, {types}, is not one of numbers or of words")
    return numbers


def _class_numbers(labels: Array) -> Array | str:
    """int64 [N], or why these numbers are no classes."""
    if not np.isfinite(labels).all():
        return "some are not finite"
    if labels.ndim == 2:
        one_hot = ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()
        return labels.argmax(1).astype(np.int64) if one_hot else f"each image has {labels.shape[1]} of them"
    if (labels != np.round(labels)).any() or np.abs(labels.astype(np.float64)).max(initial=0) >= 2**53:
        return "they are no whole numbers, so they name no classes"
    return labels.astype(np.int64)
