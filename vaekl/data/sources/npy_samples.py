"""A folder with one .npy file for each sample; its subfolders are splits and classes, as with image files."""

import re
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from vaekl.data.files import header_of, open_file
from vaekl.data.inventory import Inventory
from vaekl.data.sources.build import Part
from vaekl.data.sources.folders import (
    files_of_splits,
    folder_labels,
    refuse_unreadable,
    report_equal_images,
    unreadable,
)
from vaekl.data.sources.images import decoded
from vaekl.data.sources.layout import channels_first
from vaekl.data.sources.pixels import MOST_BYTES, LargeError, Pixels, UnreadableError
from vaekl.data.sources.split_names import role
from vaekl.system.errors import VaeklError, first_line

#: NumPy reads the head of an .npy file with Python's parser, which in CPython 3.11 fails in two threads at a time
_PARSER = threading.Lock()


def are_samples(names: Collection[str]) -> bool:
    """Whether the .npy files of a folder, named without their suffix, are one sample each.

    >>> are_samples(["vol_1", "vol_2"]), are_samples(["img0", "img1"]), are_samples(["x_train", "other"])
    (True, True, False)
    """
    series = Counter(map(_series, names))
    return len(names) > 1 and not any(role(name) is not None and series[_series(name)] == 1 for name in names)


def sample_parts(folder: Path, layout: str | None, root: Path, inventory: Inventory) -> dict[str, Part]:
    """The splits of such a folder, gathered once into a file in the data directory.

    Args:
        folder: with the files, or with train/ and perhaps test/ and val/.
        layout: the order of the axes of all samples together, or None.
        root: the data directory.
        inventory: where it is written what is taken and what is left out.

    Raises:
        VaeklError: files cannot be read, are of different shapes or types, or have names of several splits.
    """
    places, files = files_of_splits(folder, {".npy"}, "arrays", inventory)
    for paths in files.values():
        _check_names(paths)
    how = _OneSample()
    samples = {split: decoded(places[split], paths, root, how, part="samples") for split, paths in files.items()}
    if broken := unreadable(files, samples):
        refuse_unreadable(files, broken, how)
    shape = "×".join(map(str, next(iter(samples.values())).images.shape[1:]))
    inventory.remarks.append(
        f"{sum(map(len, files.values())):,} .npy files, taken as one sample of {shape} each; dataset.images=NAME takes "
        "one of them for all training images"
    )
    labels = folder_labels(places, files, inventory)
    parts = {
        split: Part(
            channels_first(part.images, layout, f"all of {places[split]} together"),
            labels.get(split),
            str(places[split]),
        )
        for split, part in samples.items()
    }
    report_equal_images(parts, inventory)
    return parts


@dataclass(frozen=True)
class _OneSample:
    """An .npy file as an array of one sample."""

    cure: ClassVar[str] = (
        "make samples of one shape, or set dataset.images to the name of the file that holds all training images"
    )

    def read(self, path: Path, most: int) -> Pixels:
        """As `Reader` has it."""
        try:
            with _PARSER:
                size = header_of(path).bytes
            if size > MOST_BYTES:
                raise UnreadableError(f"a single sample has {size:,} bytes, more than {MOST_BYTES:,}")
            if size > most:
                raise LargeError
            with _PARSER, open_file(path) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
            raise UnreadableError(reason) from error
        return Pixels(np.ascontiguousarray(array, array.dtype.newbyteorder("="))[None])


def _series(name: str) -> str:
    """A name without the number that ends it."""
    return re.sub(r"\d+$", "", name)


def _check_names(files: Collection[Path]) -> None:
    """Refuse files of one folder whose names are of several splits, such as train_0 and test_0."""
    splits = {named.split: file for file in files if (named := role(_series(file.stem))) is not None and named.split}
    if len(splits) > 1:
        first, second = list(splits.values())[:2]
        raise VaeklError(
            f"{first} and {second} are named like samples of two splits, but lie in one folder, all of whose samples "
            "would be taken together: put them into train/, val/ and test/."
        )
