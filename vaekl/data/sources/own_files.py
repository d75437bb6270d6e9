"""A file or a folder of a user's own that a run looks at: every example in it, coded as the run's own are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vaekl.data.coding import coded
from vaekl.data.converted import StoredImages, converted, wrong_shape
from vaekl.data.inventory import Inventory, some_of
from vaekl.data.ondisk import Array
from vaekl.data.sources.build import Part
from vaekl.data.sources.folders import parts_of_folder
from vaekl.data.sources.labels import fitting
from vaekl.data.sources.npz import parts_of_arrays
from vaekl.data.sources.paths import existing_path
from vaekl.data.sources.table_files import CSV, PARQUET, Format, read_table
from vaekl.data.sources.walk import Walk
from vaekl.data.spec import DataSpec
from vaekl.data.together import Together
from vaekl.system.errors import VaeklError


@dataclass(frozen=True)
class Examples:
    """All examples of a place, split after split, each in the order of its array.

    Args:
        images: [N, *S], as the run stores its own.
        labels: [N] or [N, K] of any type, as the place has them; or None.
        splits: of each example; None where the place has a single one.
        rows: int64 [N], the number of each in its array, from 0.
        inventory: of the place.
    """

    images: StoredImages
    labels: Array | None
    splits: list[str] | None
    rows: Array
    inventory: Inventory


def option_for(path: str) -> str:
    """The option of the group dataset that reads a file or a folder.

    Raises:
        VaeklError: there is none.
    """
    place = existing_path(path, "npz", "path=FILE")
    if place.suffix.lower() in (*CSV, *PARQUET) and place.is_file():
        return "table"
    if place.is_file() or Walk({".npy"}, "arrays").files(place):
        return "npz"
    return "image_folder"


def examples_of(option: str, settings: Mapping[str, Any], stored: DataSpec) -> Examples:
    """The examples of a file or a folder.

    Args:
        option: npz, table or image_folder.
        settings: its keys, as in the config.
        stored: the run's data before any transform.

    Raises:
        VaeklError: it cannot be read, or holds no examples of the run's kind.
    """
    inventory = Inventory()
    if option == "table":
        return _of_table(settings, stored, inventory)
    path, root = settings["path"], settings["root"]
    if option == "npz":
        parts = parts_of_arrays(path, settings["images"], settings["labels"], settings["layout"], root, inventory)
    else:
        size, grayscale, background = (settings[key] for key in ("size", "grayscale", "background"))
        parts = parts_of_folder(path, size, grayscale, background, settings["skip_broken"], root, inventory)
    parts = {split: parts[split] for split in ("train", "valid", "test") if split in parts}
    counts = [len(part.images) for part in parts.values()]
    # as in training: these settings, and not the values, say that floats are levels
    are_levels = settings.get("levels") is not None or settings.get("kind") == "levels"
    return Examples(
        _together([_converted(part, stored, are_levels) for part in parts.values()]),
        _labels(parts, inventory),
        None if len(parts) == 1 else list(np.repeat(list(parts), counts)),
        np.concatenate([np.arange(count) for count in counts]),
        inventory,
    )


def _of_table(settings: Mapping[str, Any], stored: DataSpec, inventory: Inventory) -> Examples:
    place = existing_path(settings["path"], "table", "path=FILE.csv")
    if not stored.codes:
        raise VaeklError(f"{place} is a table, and this run was trained on {stored.example}s: give arrays or images.")
    inventory.place = str(place.absolute())
    written = Format(settings["separator"], settings["header"], settings["decimal"])
    columns = read_table(place, written, inventory)
    own = {code.name for code in stored.codes}
    label = columns.get(settings["label"]) if settings["label"] is not None else None
    if others := [name for name in columns if name not in own and name != settings["label"]]:
        inventory.left_out.append(f"columns that the run does not have: {some_of(others)}")
    images = converted(coded(columns, stored.codes, str(place)), stored, str(place))
    labels = None if label is None or isinstance(label, str) else label
    return Examples(images, labels, None, np.arange(len(images)), inventory)


def _converted(part: Part, stored: DataSpec, floats_are_levels: bool) -> StoredImages:
    if tuple(part.images.shape[1:]) != stored.shape or not len(part.images):
        raise wrong_shape(part.images.shape, part.title, stored)
    return converted(part.images, stored, part.title, floats_are_levels)


def _together(parts: list[StoredImages]) -> StoredImages:
    return parts[0] if len(parts) == 1 else Together(parts, torch.arange(sum(map(len, parts))))


def _labels(parts: Mapping[str, Part], inventory: Inventory) -> Array | None:
    labels = [fitting(part.labels, len(part.images), part.title, inventory) for part in parts.values()]
    there = [array for array in labels if array is not None]
    if len(there) < len(labels) or len({array.shape[1:] for array in there}) != 1:
        return None
    return np.concatenate(there)


def settings_for(option: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Settings by which image files become pictures of the run's own shape, unless it was trained on such files."""
    if option != "image_folder" or len(shape) != 3:
        return {}
    return {"grayscale": shape[0] == 1, **({"size": shape[1]} if shape[1] == shape[2] else {})}
