"""The user's own arrays: files of NumPy, MATLAB, PyTorch, safetensors or HDF5, and folders of .npy files."""

from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from pathlib import Path

import numpy as np

from vaekl.data.inventory import Inventory
from vaekl.data.ondisk import Array, OnDisk
from vaekl.data.sources.array_files import Member, of_npy, of_npz, unusable
from vaekl.data.sources.build import Part, build_source, cut_test
from vaekl.data.sources.hdf5_files import of_hdf5
from vaekl.data.sources.layout import LAYOUTS, channels_first
from vaekl.data.sources.mat_files import of_mat
from vaekl.data.sources.members import Chosen, choose
from vaekl.data.sources.npy_samples import are_samples, sample_parts
from vaekl.data.sources.paths import existing_path
from vaekl.data.sources.split_names import role
from vaekl.data.sources.staging import data_root
from vaekl.data.sources.tensor_files import of_safetensors, of_torch
from vaekl.data.sources.values import pieces
from vaekl.data.sources.walk import Walk
from vaekl.data.spec import Source
from vaekl.system.checks import one_of, optional, text
from vaekl.system.errors import VaeklError

#: for each suffix what gives the arrays of such a file; all others are taken for .npz
_READERS: dict[str, Callable[[Path], dict[str, Member]]] = {
    ".npy": lambda file: {file.stem: of_npy(file)},
    ".mat": of_mat,
    ".h5": of_hdf5,
    ".hdf5": of_hdf5,
    ".pt": of_torch,
    ".pth": of_torch,
    ".safetensors": of_safetensors,
}
#: arrays of three axes may be signals where one side is so many times as long as the other
_NARROW = 4


def npz(
    path: str | None = None,
    name: str = "npz",
    images: str | None = None,
    labels: str | None = None,
    layout: str | None = None,
    kind: str = "auto",
    levels: int | None = None,
    offset: str | None = None,
    test_fraction: float | None = 0.1,
    test_seed: int = 0,
    root: str | None = None,
) -> Source:
    """Arrays from a file: images under x_train, x_val, x_test or what else is usual, labels under y_train, ...

    The file is .npz, .npy, .mat, .pt, .pth, .safetensors, .h5 or .hdf5; the last three want `vaekl[formats]`.

    A folder with a file x_train.npy and so on, a lone .npy file of training images, or a folder with an .npy file for
    each sample (perhaps in train/ and test/, and in folders of classes there) is never loaded whole.

    Args:
        path: the file or folder.
        name: what the data set is called in reports.
        images: the name of the array of training images, where it is neither usual nor the only array of images.
        labels: the name of the array of their labels.
        layout: the order of the axes, where it is not plain from their number and a channel axis of length 1 or 3.
        kind: what the values stand for: image, levels, counts or real; auto takes one of them and says why.
        levels: how many values a pixel can take; None reads it off the data.
        offset: "total" where the rates of a row of counts are in proportion to its sum.
        test_fraction: how much of train to cut off as a test split where the file has none.
        test_seed: which images that cuts.
        root: the data directory, where samples of a file each are gathered; None means VAEKL_DATA_DIR, or else the
            user's cache.

    Returns:
        The source.

    Raises:
        VaeklError: the file is missing or unreadable, its arrays are not images, or it is not plain which of them are
            for training. A file with test images alone can be looked at, and not trained on.
    """
    inventory = Inventory()
    parts = parts_of_arrays(path, images, labels, layout, root, inventory)
    if "test" not in parts:
        parts |= cut_test(parts["train"], test_fraction, test_seed, inventory)
    return build_source(name, parts, levels, inventory, kind, offset=offset)


def parts_of_arrays(
    path: str | None, images: str | None, labels: str | None, layout: str | None, root: str | None, inventory: Inventory
) -> dict[str, Part]:
    """The splits that a file has, whatever their values are; with the arguments of `npz`, and where to write of it."""
    place = existing_path(path, "npz", "path=FILE.npz")
    optional(one_of, layout, "dataset.layout", tuple(LAYOUTS))
    optional(text, images, "dataset.images")
    optional(text, labels, "dataset.labels")
    inventory.place = str(place.absolute())
    files = _npy_files(place) if place.is_dir() else {}
    if place.is_dir() and not files:
        raise VaeklError(
            f"The folder {place} holds no .npy files: set dataset.path to a file of arrays, or use "
            "dataset=image_folder for a folder of images."
        )
    if images is None and labels is None and are_samples(files):
        return sample_parts(place, layout, data_root(root), inventory)
    return _array_parts(_members(place, files, (images, labels)), place, images, labels, layout, inventory)


def _npy_files(folder: Path) -> dict[str, Path]:
    """The .npy files below a folder by their paths without the suffix, which are the names of their arrays."""
    return {str(file.relative_to(folder).with_suffix("")): file for file in Walk({".npy"}, "arrays").files(folder)}


def _members(place: Path, files: Mapping[str, Path], named: Collection[str | None]) -> dict[str, Member]:
    """The arrays of a file, or of a folder's files; `named` are those that the user has named."""
    if place.is_file():
        return _READERS.get(place.suffix.lower(), of_npz)(place)
    wanted = [name for name in files if role(name) is not None or name in named] or list(files)[: len(files) == 1]
    return {name: of_npy(file) if name in wanted else unusable("of no usual name") for name, file in files.items()}


def _array_parts(
    members: Mapping[str, Member],
    place: Path,
    images: str | None,
    labels: str | None,
    layout: str | None,
    inventory: Inventory,
) -> dict[str, Part]:
    """The splits of arrays that hold many examples each."""
    chosen, unsaid = choose(members, place, images, labels, inventory)
    parts = {split: _part(members, *names, layout, place) for split, names in chosen.items()}
    if unsaid:
        _check_apart(parts, chosen, place)
    is_alone = place.is_file() and len(members) == 1 and place.suffix == ".npy"
    inventory.origins = {split: "" if is_alone else names[0] for split, names in chosen.items()}
    first = "train" if "train" in parts else "test"
    sides = parts[first].images.shape[2:]
    if layout is None and len(members[chosen[first][0]].shape) == 3 and max(sides) >= _NARROW * min(sides):
        inventory.remarks.append(
            f"three axes: taken as images of {' × '.join(map(str, sides))}; dataset.layout=NCT or NTC takes them as "
            "signals"
        )
    return parts


def _part(members: Mapping[str, Member], images: str, labels: str | None, layout: str | None, place: Path) -> Part:
    """The arrays of one split, with the axes of the images in order."""
    title = f"{images} in {place}"
    label_array = members[labels].read() if labels is not None else None
    if isinstance(label_array, OnDisk):
        label_array = label_array.read(slice(None))
    count = None if label_array is None else max(label_array.shape, default=0)
    is_matlab = place.suffix.lower() == ".mat"
    return Part(channels_first(members[images].read(), layout, title, count, is_matlab), label_array, title)


def _check_apart(parts: Mapping[str, Part], chosen: Chosen, place: Path) -> None:
    """Refuse to train on images that are test images too, where no name says that they are not.

    Raises:
        VaeklError: names the arrays and says how many images they share.
    """
    train, (train_name, _) = parts["train"], chosen["train"]
    hashes = {split: set(_hashes(part.images)) for split, part in parts.items() if split != "train"}
    shared = dict.fromkeys(hashes, 0)
    for image in _hashes(train.images):
        for split, there in hashes.items():
            shared[split] += image in there
    for split, count in shared.items():
        if count:
            raise VaeklError(
                f"{train_name} in {place} holds {count:,} of the images of {chosen[split][0]}: set dataset.images to "
                "the name of the training images alone, or take the others out of it."
            )


def _hashes(images: Array | OnDisk) -> list[bytes]:
    return [
        blake2b(np.ascontiguousarray(image).data, digest_size=8).digest() for piece in pieces(images) for image in piece
    ]
