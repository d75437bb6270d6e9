"""The arrays of a file, by name, each described before any of it is read: .npz, .npy and folders of .npy files."""

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaekl.data.ondisk import Array, OnDisk
from vaekl.system.cores import free_memory
from vaekl.system.errors import VaeklError, first_line

#: what numpy and zipfile raise for a broken file
UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, TypeError, NotImplementedError, OverflowError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
#: the most arrays whose headers are looked at
_MOST_MEMBERS = 10_000


@dataclass(frozen=True)
class Member:
    """One array of a file.

    Args:
        shape: of the whole array; () where it cannot be read.
        kind: the letter of its type, as NumPy has it.
        read: gives the array, in memory or in its file.
        unusable: why it cannot be images or labels, or "".
    """

    shape: tuple[int, ...]
    kind: str
    read: Callable[[], Array | OnDisk]
    unusable: str = ""

    @property
    def text(self) -> str:
        """Its shape in words."""
        return "×".join(map(str, self.shape)) or "a single value"


def unusable(reason: str) -> Member:
    """A member that cannot be read."""

    def refuse() -> Array:
        raise VaeklError(f"{reason} cannot be read as an array.")

    return Member((), "O", refuse, reason)


def of_npz(file: Path) -> dict[str, Member]:
    """The arrays of an .npz file; what it holds beside them is described and never read.

    Raises:
        VaeklError: it is unreadable.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()[:_MOST_MEMBERS]
            return {info.filename.removesuffix(".npy"): _zipped(file, archive, info) for info in infos}
    except UNREADABLE as error:
        raise _no_npz(file, error) from error


def of_npy(file: Path) -> Member:
    """The array of an .npy file, which stays there unless it is in Fortran order.

    Raises:
        VaeklError: it is unreadable, or holds objects.
    """
    try:
        stored = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(stored, np.memmap):
            raise ValueError("it holds no array")
        if stored.ndim == 0:
            raise ValueError("it holds a single number")
        shape, kind, size, is_rowwise = stored.shape, stored.dtype.kind, stored.nbytes, stored.flags.c_contiguous
    except UNREADABLE as error:
        # numpy takes every file that it does not know for a pickle
        reason = "it holds objects, or is no such file at all" if "pickle" in str(error) else first_line(error)
        raise VaeklError(
            f"{file} cannot be read as an .npy file of a plain array ({reason}): write it again with numpy.save, or "
            "replace it."
        ) from error

    def loaded() -> Array:
        check_memory(file, size, "save numpy.ascontiguousarray of it: Fortran order cannot be read image by image")
        array: Array = np.load(file, allow_pickle=False)
        return array

    return Member(shape, kind, (lambda: OnDisk(file)) if is_rowwise else loaded)


def check_memory(file: Path, size: int, cure: str) -> None:
    """Refuse what would not fit the memory, before it is read.

    Raises:
        VaeklError: says how large it is, and what to do.
    """
    free = free_memory()
    if size > free:
        raise VaeklError(
            f"{file} unfolds to {size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of memory are free: {cure}."
        )


def _zipped(file: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    """A member of an .npz file, by its header."""
    if not info.filename.endswith(".npy"):
        return unusable("no .npy file")
    with archive.open(info) as stream:
        try:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(stream)
        except ValueError as error:
            return unusable(first_line(error))
    if dtype.hasobject:
        return unusable("pickled objects")

    def read() -> Array:
        check_memory(
            file,
            max(info.file_size, dtype.itemsize * int(np.prod(shape, dtype=object))),
            "store its arrays as .npy files in a folder and set dataset.path to that; those are never loaded whole",
        )
        try:
            with zipfile.ZipFile(file) as archive, archive.open(info) as stream:
                array: Array = np.lib.format.read_array(stream, allow_pickle=False)
                return array
        except UNREADABLE as error:
            raise _no_npz(file, error) from error

    return Member(shape, dtype.kind, read, "" if dtype.names is None else "a table of named columns")


def _no_npz(file: Path, error: BaseException) -> VaeklError:
    return VaeklError(
        f"{file} cannot be read as an .npz file of plain arrays ({first_line(error)}): write it again with "
        "numpy.savez, or replace it."
    )
