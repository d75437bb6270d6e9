"""The user's own files: arrays in an .npz file, folders of images, and the statically binarised MNIST."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vaekl.data.ondisk import Array, OnDisk
from vaekl.data.sources.build import Part, build_source, cut_test
from vaekl.data.sources.images import SUFFIXES, decoded
from vaekl.data.sources.staging import data_root
from vaekl.data.spec import Source
from vaekl.system.checks import optional, whole
from vaekl.system.cores import free_memory
from vaekl.system.errors import VaeklError, first_line

Layout = Literal["NHWC", "NCHW", "NHW"]
IMAGE_KEYS = {"train": ("x_train", "train", "x"), "valid": ("x_valid", "valid"), "test": ("x_test", "test")}
LABEL_KEYS = {"train": ("y_train", "y"), "valid": ("y_valid",), "test": ("y_test",)}
#: where N, C, H and W lie among the axes; the last of NHW is one of length 1 put behind
TO_NCHW = {"NHW": (0, 3, 1, 2), "NCHW": (0, 1, 2, 3), "NHWC": (0, 3, 1, 2)}
#: of which TypeError is for a lone .npy array, which is no context manager
UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, TypeError, NotImplementedError, OverflowError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_LARGEST_SIDE = 4096
BINARIZED_ROWS = {"train": 50_000, "valid": 10_000, "test": 10_000}


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
    file = _given(path, "npz", "path=FILE.npz")
    if layout is not None and layout not in TO_NCHW:
        raise VaeklError(f"dataset.layout={layout} is unknown; choose one of {', '.join(TO_NCHW)}.")
    arrays: Mapping[str, Array | OnDisk] = _on_disk(file) if file.is_dir() or file.suffix == ".npy" else _load(file)
    parts = {}
    for split, keys in IMAGE_KEYS.items():
        key = _first(keys, arrays)
        if key is not None:
            title = f"{key} in {file}"
            labels = _first(LABEL_KEYS[split], arrays)
            parts[split] = Part(_to_nchw(arrays[key], layout, title), _whole(arrays, labels), title)
    if "train" not in parts:
        names = ", ".join(sorted(p.stem for p in file.glob("*.npy")) if file.is_dir() else arrays) or "no arrays"
        raise VaeklError(f"{file} holds {names} but no x_train: give the array of training images that name.")
    if "test" not in parts:
        parts |= cut_test(parts["train"], test_fraction, test_seed)
    return build_source(name, parts)


def binarized_mnist(path: str | None = None, root: str | None = None, name: str = "binarized_mnist") -> Source:
    """MNIST binarised once and for all, 1x28x28, Larochelle's split: 50,000 to train, 10,000 each to validate and test.

    Args:
        path: binarized_mnist.npz, or a folder with it or the three files binarized_mnist_{train,valid,test}.amat;
            None looks in the data directory.
        root: the data directory; None means VAEKL_DATA_DIR, or else the user's cache.
        name: what the data set is called in reports.

    Returns:
        The source, with its own validation split.

    Raises:
        VaeklError: the files are missing, truncated or not this data set.

    Source: Larochelle and Murray, The neural autoregressive distribution estimator, 2011.
    """
    place = Path(path).expanduser() if path else data_root(root)
    packed = place if place.suffix == ".npz" else place / "binarized_mnist.npz"
    if packed.is_file():
        arrays = _load(packed)
        missing = [split for split in BINARIZED_ROWS if split not in arrays]
        if missing:
            raise VaeklError(f"{packed} lacks the array {missing[0]}; replace it by a whole copy.")
        rows = {split: (_unpacked(arrays[split]), f"{split} in {packed}") for split in BINARIZED_ROWS}
    else:
        files = {split: place / f"binarized_mnist_{split}.amat" for split in BINARIZED_ROWS}
        absent = [file.name for file in files.values() if not file.is_file()]
        if absent:
            raise VaeklError(
                f"{name} is fetched by no one: put binarized_mnist.npz, or the three files "
                f"binarized_mnist_{{train,valid,test}}.amat ({', '.join(absent)} missing), in {packed.parent}, "
                "or use dataset=digits or dataset=patches, which need no files."
            )
        rows = {split: (_amat(file), str(file)) for split, file in files.items()}
    parts = {}
    for split, (array, title) in rows.items():
        if array.shape != (BINARIZED_ROWS[split], 784) or array.max() > 1:
            raise VaeklError(
                f"{title} is not {BINARIZED_ROWS[split]:,} rows of 784 binary values (found the shape {array.shape}): "
                "it is truncated or another data set; replace it."
            )
        parts[split] = Part(array.reshape(-1, 1, 28, 28), None, title)
    return build_source(name, parts, levels=2)


def image_folder(
    path: str | None = None,
    name: str = "image_folder",
    size: int | None = None,
    grayscale: bool = False,
    test_fraction: float = 0.1,
    test_seed: int = 0,
    root: str | None = None,
) -> Source:
    """Image files from path/train and path/test (and path/valid), or from path alone; subfolders are classes.

    They are decoded once, into a file in the data directory from which they are then read.

    Args:
        path: the folder.
        name: what the data set is called in reports.
        size: the side in pixels that the central square is resized to; None keeps the images' own, common size.
        grayscale: one channel in place of three.
        test_fraction: how much to cut off as a test split where there is no folder test.
        test_seed: which images that cuts.
        root: the data directory; None means VAEKL_DATA_DIR, or else the user's cache.

    Returns:
        The source, 256 levels; labelled by the sorted names of the subfolders if every image is in one.

    Raises:
        VaeklError: a folder is missing or empty, or an image is unreadable or of another size than the rest.
    """
    folder = _given(path, "image_folder", "path=FOLDER")
    if not folder.is_dir():
        raise VaeklError(f"{folder} is a file, not a folder of images; set dataset.path to the folder.")
    optional(whole, size, "dataset.size", 1, _LARGEST_SIDE)
    train = folder / "train" if (folder / "train").is_dir() else folder
    if train == folder and (lone := [split for split in ("test", "valid") if (folder / split).is_dir()]):
        raise VaeklError(f"{folder} holds {lone[0]}/ but no train/: put the training images there.")
    classes = sorted(child.name for child in train.iterdir() if child.is_dir() and not child.name.startswith("."))
    parts = {"train": _folder_part(train, classes, size, grayscale, root)}
    for split in ("valid", "test"):
        if train != folder and (folder / split).is_dir():
            parts[split] = _folder_part(folder / split, classes, size, grayscale, root)
    if "test" not in parts:
        parts |= cut_test(parts["train"], test_fraction, test_seed)
    return build_source(name, parts, levels=256)


def _folder_part(folder: Path, classes: list[str], size: int | None, grayscale: bool, root: str | None) -> Part:
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(p.startswith(".") for p in path.relative_to(folder).parts)
        and path.is_file()
    )
    if not paths:
        raise VaeklError(f"The folder {folder} holds no images ({', '.join(sorted(SUFFIXES))}); put some there.")
    owners = [path.relative_to(folder).parts[0] for path in paths]
    numbers = {name: number for number, name in enumerate(classes)}
    strangers = [str(path) for path, owner in zip(paths, owners, strict=True) if owner not in numbers]
    labels = None
    if classes and not strangers:
        labels = np.array([numbers[owner] for owner in owners])
    elif classes and any(path.parent != folder for path in paths):
        raise VaeklError(
            f"{strangers[0]} belongs to none of the training classes ({', '.join(classes)}); "
            "put every image in a class's folder, or all of them in none."
        )
    return Part(decoded(folder, paths, data_root(root), size, grayscale), labels, str(folder))


def _given(path: str | None, dataset: str, setting: str) -> Path:
    if path is not None and not isinstance(path, str):
        raise VaeklError(f"dataset.path={path} is no path: give one, dataset.{setting}.")
    if not path:
        raise VaeklError(f"dataset={dataset} does not say where the images are; add dataset.{setting}.")
    place = Path(path).expanduser()
    if not place.exists():
        raise VaeklError(f"{place.absolute()} does not exist; set dataset.{setting} to where the images are.")
    if not place.is_file() and not place.is_dir():  # to read a pipe or a device may never end
        raise VaeklError(f"{place.absolute()} is neither a file nor a folder; set dataset.{setting} to one.")
    return place


def _first(keys: tuple[str, ...], arrays: Mapping[str, Any]) -> str | None:
    return next((key for key in keys if key in arrays), None)


def _load(file: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(file) as archive:
            size, free = sum(part.file_size for part in archive.infolist()), free_memory()
        if size > free:
            raise VaeklError(
                f"{file} unfolds to {size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of memory are free: store its "
                "arrays as .npy files in a folder and set dataset.path to that; those are never loaded whole."
            )
        with np.load(file, allow_pickle=False) as arrays:
            # of a member that is no array numpy gives the bytes
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


def _on_disk(place: Path) -> dict[str, Array | OnDisk]:
    """The arrays of a folder by the names of their files; a lone file holds training images."""
    found = [place] if place.is_file() else sorted(file for file in place.glob("*.npy") if file.is_file())
    files = {"x_train" if place.is_file() else file.stem: file for file in found}
    known = {key for keys in (*IMAGE_KEYS.values(), *LABEL_KEYS.values()) for key in keys}
    arrays: dict[str, Array | OnDisk] = {}
    for key, file in files.items():
        if key in known:
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


def _whole(arrays: Mapping[str, Array | OnDisk], key: str | None) -> Array | None:
    """An array in memory."""
    array = arrays[key] if key is not None else None
    return array.read(slice(None)) if isinstance(array, OnDisk) else array


def _to_nchw(array: Array | OnDisk, layout: Layout | None, title: str) -> Array | OnDisk:
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


def _unpacked(array: Array) -> Array:
    """Rows of 784 values, from rows of 98 bytes that each hold 8."""
    if array.dtype == np.uint8 and array.ndim == 2 and array.shape[1] == 98:
        return np.unpackbits(array, axis=1)
    return array


def _amat(file: Path) -> Array:
    """Rows of 784 zeros and ones from text; a thousand times faster than numpy.loadtxt."""
    text = np.fromfile(file, np.uint8)
    digit = text >> 1 == ord("0") >> 1  # "0" and "1" differ in their last bit alone
    blanks = sum(np.count_nonzero(text == ord(blank)) for blank in " \n\r\t")
    digits = np.count_nonzero(digit)
    if digits + blanks != len(text) or digits % 784:
        raise VaeklError(f"{file} is not rows of 784 zeros and ones: it is truncated or another file; replace it.")
    rows: Array = text[digit] - ord("0")
    return rows.reshape(-1, 784)
