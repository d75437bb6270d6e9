"""The arrays of HDF5 files, by name, each described before any of it is read."""

from math import prod
from pathlib import Path
from typing import Any

from vaekl.data.files import open_file
from vaekl.data.ondisk import Array
from vaekl.data.sources.array_files import MOST_MEMBERS, Member, check_unfolding, reading, unusable
from vaekl.system.libraries import formats

#: ways to compress that come with HDF5 and h5py; others are plugins, which would be looked for on this machine
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
#: MATLAB's arrays of numbers; all others are stored as numbers too, but are something else
_NUMBERS = {
    "double", "single", "logical", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
}  # fmt: skip


def of_hdf5(file: Path) -> dict[str, Member]:
    """The arrays of an HDF5 file by their paths in it; links to other files are not followed.

    Raises:
        VaeklError: it is unreadable, or h5py is not there.
    """
    return _of_hdf5(file, "an HDF5 file", is_matlab=False)


def of_matlab_hdf5(file: Path) -> dict[str, Member]:
    """The arrays of a MATLAB file of version 7.3, with their axes as MATLAB has them.

    Raises:
        VaeklError: it is unreadable, or h5py is not there.
    """
    return _of_hdf5(file, "a MATLAB file of version 7.3, which is an HDF5 file", is_matlab=True)


def _of_hdf5(file: Path, kind: str, is_matlab: bool) -> dict[str, Member]:
    library: Any = formats("h5py", kind, file)
    members: dict[str, Member] = {}

    def add(path: str | bytes, item: Any) -> bool | None:
        name = path if isinstance(path, str) else path.decode(errors="backslashreplace")
        if isinstance(item, library.Dataset) and not (is_matlab and name.startswith("#")):
            members[name] = _dataset(file, name, item, kind, is_matlab)
        return True if len(members) >= MOST_MEMBERS else None

    with reading(file, kind), open_file(file) as opened, library.File(opened, "r") as archive:
        archive.visititems(add)
    return members


def _dataset(file: Path, name: str, item: Any, kind: str, is_matlab: bool) -> Member:
    """One array of an HDF5 file; MATLAB's have their axes in reverse there."""
    library: Any = formats("h5py", kind, file)
    settings = item.id.get_create_plist()
    if settings.get_external_count() or settings.get_layout() == library.h5d.VIRTUAL:
        return unusable("stored in another file")
    if any(settings.get_filter(number)[0] not in _FILTERS for number in range(settings.get_nfilters())):
        return unusable("compressed in a way that needs a plugin")
    if item.shape is None:
        return unusable("empty")
    if is_matlab and item.attrs.get("MATLAB_empty", 0):
        return unusable("empty")  # what is stored are its sides
    matlab_class = item.attrs.get("MATLAB_class", b"") if is_matlab else b""
    if isinstance(matlab_class, bytes) and matlab_class and matlab_class.decode(errors="replace") not in _NUMBERS:
        return unusable(f"MATLAB's {matlab_class.decode(errors='replace')}")
    try:
        dtype = item.dtype
    except TypeError:
        return unusable("of a type that NumPy does not have")
    if dtype.hasobject:
        return unusable("of words or parts of any length")
    if dtype.names is not None:
        return unusable("a table of columns")
    size, stored = prod(item.shape) * dtype.itemsize, item.id.get_storage_size()

    def read() -> Array:
        check_unfolding(file, name, size, stored)
        with reading(file, kind), open_file(file) as opened, library.File(opened, "r") as archive:
            array: Array = archive[name][()]
            return array.transpose() if is_matlab else array

    return Member(tuple(item.shape)[:: -1 if is_matlab else 1], dtype.kind, read)
