"""The user's own arrays: an .npz file, a folder of .npy files, or a lone .npy file."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vaekl.data.ondisk import Array, OnDisk
from vaekl.data.sources.build import Part, build_source, cut_test
from vaekl.data.sources.paths import existing_path
from vaekl.data.spec import Source
from vaekl.system.checks import one_of, optional
from vaekl.system.cores import free_memory
from vaekl.system.errors import VaeklError, first_line

Layout = Literal["NHWC", "NCHW", "NHW"]
IMAGE_KEYS = {"train": ("x_train", "train", "x"), "valid": ("x_valid", "valid"), "test": ("x_test", "test")}
LABEL_KEYS = {"train": ("y_train", "y"), "valid": ("y_valid",), "test": ("y_test",)}
#: which axis of each layout is N, C, H and W; NHW gets a last axis of length 1 for its channel
TO_NCHW = {"NHW": (0, 3, 1, 2), "NCHW": (0, 1, 2, 3), "NHWC": (0, 3, 1, 2)}
#: what numpy and zipfile raise for a broken file; TypeError: a lone .npy array is no context manager
UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, TypeError, NotImplementedError, OverflowError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def npz(
    path: str | None = None,
    name: str = "npz",
    layout: Layout | None = None,
    test_fraction: float = 0.1,
    test_seed: int = 0,
) -> Source:
    """Arrays from an .npz file: images under x_train (or train, x), x_test (or test), x_valid; labels under y_*.

    A folder with a file x_train.npy and so on, or a lone .npy file of training images, is never loaded whole.

    Args:
        path: the file or folder.
        name: what the data set is called in reports.
        layout: the order of the axes, where it is not plain from a channel axis of length 1 or 3.
        test_fraction: how much of train to cut off as a test split where the file has none.
        test_seed: which images that cuts.

    Returns:
        The source.

    Raises:
        VaeklError: the file is missing or unreadable, or its arrays are not images.
    """
    file = existing_path(path, "npz", "path=FILE.npz")
    optional(one_of, layout, "dataset.layout", tuple(TO_NCHW))
    on_disk = file.is_dir() or file.suffix == ".npy"
    arrays: Mapping[str, Array | OnDisk] = _on_disk(file) if on_disk else read_npz(file)
    parts = {}
    for split, keys in IMAGE_KEYS.items():
        key = _first_present(keys, arrays)
        if key is not None:
            title = f"{key} in {file}"
            labels = _first_present(LABEL_KEYS[split], arrays)
            parts[split] = Part(_to_nchw(arrays[key], layout, title), _in_memory(arrays, labels), title)
    if "train" not in parts:
        names = ", ".join(sorted(p.stem for p in file.glob("*.npy")) if file.is_dir() else arrays) or "no arrays"
        raise VaeklError(f"{file} holds {names} but no x_train: give the array of training images that name.")
    if "test" not in parts:
        parts |= cut_test(parts["train"], test_fraction, test_seed)
    return build_source(name, parts)


def read_npz(file: Path) -> dict[str, Array]:
    """The arrays of an .npz file by their names.

    Raises:
        VaeklError: it is unreadable, holds pickled objects, or unfolds to more than the free memory.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            size, free = sum(part.file_size for part in archive.infolist()), free_memory()
        if size > free:
            raise VaeklError(
                f"{file} unfolds to {size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of memory are free: store its "
                "arrays as .npy files in a folder and set dataset.path to that; those are never loaded whole."
            )
        with np.load(file, allow_pickle=False) as arrays:
            # numpy gives bytes for a member that is no array
            return {key: array for key, array in arrays.items() if isinstance(array, np.ndarray)}
    except UNREADABLE as error:
        reason = first_line(error)
        if isinstance(error, ValueError) and "pickle" in reason:
            reason = "it holds pickled objects"
        elif isinstance(error, zipfile.BadZipFile) and "not a zip file" in reason:
            reason = "it is no .npz file, or a truncated one"
        raise VaeklError(
            f"{file} cannot be read as an .npz file of plain arrays ({reason}): write it again with numpy.savez, or "
            "replace it."
        ) from error


def _first_present(keys: tuple[str, ...], arrays: Mapping[str, Any]) -> str | None:
    return next((key for key in keys if key in arrays), None)


def _on_disk(place: Path) -> dict[str, Array | OnDisk]:
    """The arrays of a folder by the names of their files; a lone file holds training images."""
    sources = [place] if place.is_file() else sorted(file for file in place.glob("*.npy") if file.is_file())
    files = {"x_train" if place.is_file() else file.stem: file for file in sources}
    names = {key for keys in (*IMAGE_KEYS.values(), *LABEL_KEYS.values()) for key in keys}
    arrays: dict[str, Array | OnDisk] = {}
    for key, file in files.items():
        if key in names:
            try:
                arrays[key] = OnDisk(file)
            except UNREADABLE as error:
                # numpy takes every file that it does not know for a pickle
                reason = "it holds objects, or is no such file at all" if "pickle" in str(error) else first_line(error)
                raise VaeklError(
                    f"{file} cannot be read as an .npy file of a plain array ({reason}): write it again with "
                    "numpy.save, or replace it."
                ) from error
    return arrays


def _in_memory(arrays: Mapping[str, Array | OnDisk], key: str | None) -> Array | None:
    """The array of that name, read from its file if need be; None for no name."""
    array = arrays[key] if key is not None else None
    return array.read(slice(None)) if isinstance(array, OnDisk) else array


def _to_nchw(array: Array | OnDisk, layout: Layout | None, title: str) -> Array | OnDisk:
    """The images as [N, C, H, W], by the layout or, without one, by where an axis of length 1 or 3 lies."""
    fitting = [name for name in TO_NCHW if len(name) == array.ndim]
    if layout is None and len(fitting) == 2:
        fitting = [name for name in fitting if array.shape[name.index("C")] in (1, 3)]
    if layout is not None:
        fitting = [layout] if layout in fitting else []
    if len(fitting) != 1:
        if array.ndim not in (3, 4):
            cure = "store images as NHWC, NCHW or NHW, with numpy.reshape where they are flat"
        elif layout is not None:
            cure = f"dataset.layout={layout} has {len(layout)} axes: leave it away, or store the images so"
        else:
            cure = "set dataset.layout to NHWC or NCHW"
        raise VaeklError(f"{title} has the shape {array.shape}, whose axes are not those of images: {cure}.")
    axes = TO_NCHW[fitting[0]]
    if isinstance(array, OnDisk):
        return array.moved(*axes)
    return (array if array.ndim == 4 else array[..., None]).transpose(axes)
