"""The arrays of a file, by name, each described before any of it is read: .npz, .npy and folders of .npy files."""

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaekl.data.files import header_of, open_file, read_header
from vaekl.data.ondisk import Array, OnDisk
from vaekl.system.cores import free_memory
from vaekl.system.errors import VaeklError, first_line

#: bytes of an archive's table of contents
_LONGEST_CONTENTS = 1 << 20
#: deflated zeros take a thousandth; masks of a synthetic data set, a hundredth
_LARGE, _DENSEST = 1 << 30, 500
_SAVE = "give its arrays to numpy.savez, and set dataset.path to the file that this writes"
_UNPACK, _NAME = "unpack it, and set dataset.path to what it holds", "give it a name that ends in"
#: how files of other programs begin, what they are and what to do
_KINDS = {
    b"MATLAB": ("a MATLAB file", f"{_NAME} .mat"),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", f"{_NAME} .h5"),
    b"\x93NUMPY": ("an .npy file under another name", f"{_NAME} .npy"),
    b"\x80\x02": ("a pickle, which may hold code and is never read", _SAVE),
    b"\x80\x03": ("a pickle, which may hold code and is never read", _SAVE),
    b"\x80\x04": ("a pickle, which may hold code and is never read", _SAVE),
    b"\x80\x05": ("a pickle, which may hold code and is never read", _SAVE),
    b"\x1f\x8b": ("a gzip file", _UNPACK),
    b"BZh": ("a bzip2 file", _UNPACK),
    b"\xfd7zXZ\x00": ("an xz file", _UNPACK),
    b"PAR1": ("a Parquet file", "use dataset=table"),
    b"\x89PNG": ("an image", "use dataset=image_folder, with the folder that it is in"),
    b"\xff\xd8\xff": ("an image", "use dataset=image_folder, with the folder that it is in"),
    b"version https://git-lfs": ("a pointer of Git LFS, whose content is not here", "fetch it by `git lfs pull`"),
    b"<!DOCTYPE": ("a web page", "download the file itself"),
    b"<html": ("a web page", "download the file itself"),
}
#: of the files that are read
SUFFIXES = (".npz", ".npy", ".mat", ".pt", ".pth", ".safetensors", ".h5", ".hdf5")
#: the most arrays whose headers are looked at
MOST_MEMBERS = 10_000


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
    with _opened(file) as archive:
        infos = archive.infolist()[:MOST_MEMBERS]
        if any(info.filename.endswith("/data.pkl") for info in infos):
            raise VaeklError(f"{file} is a file of PyTorch's: give it a name that ends in .pt.")
        return {info.filename.removesuffix(".npy"): _zipped(file, archive, info) for info in infos}


def of_npy(file: Path) -> Member:
    """The array of an .npy file, which stays there unless it is in Fortran order.

    Raises:
        VaeklError: it is unreadable, or holds objects.
    """
    try:
        header = header_of(file)
    except (OSError, ValueError) as error:
        raise VaeklError(
            f"{file} cannot be read as an .npy file of a plain array ({_reason(error)}): write it again with "
            "numpy.save, or replace it."
        ) from error

    def loaded() -> Array:
        cure = "save numpy.ascontiguousarray of it: Fortran order cannot be read image by image"
        check_memory(file, header.bytes, cure)
        with open_file(file) as opened:
            array: Array = np.lib.format.read_array(opened, allow_pickle=False)
            return array

    return Member(header.shape, header.dtype.kind, (lambda: OnDisk(file)) if header.is_rowwise else loaded)


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


def check_unfolding(file: Path, name: str, size: int, stored: int) -> None:
    """Refuse an array that is compressed as no images are, or would not fit the memory.

    Args:
        file: where it is.
        name: of the array.
        size: bytes of its values.
        stored: bytes that it takes in the file.

    Raises:
        VaeklError: says how large it is, and what to do.
    """
    cure = "store its arrays as .npy files in a folder and set dataset.path to that; those are never loaded whole"
    check_memory(file, size, cure)
    if size > _LARGE and size > _DENSEST * stored:
        raise VaeklError(
            f"{name} in {file} unfolds to {size // max(1, stored):,} times its size, which no images do: store it as "
            "an .npy file and set dataset.path to that."
        )


@contextmanager
def reading(file: Path, kind: str) -> Iterator[None]:
    """Turn every error inside the block into one sentence: the file is broken, or not of the kind that its name says.

    Args:
        file: that is read.
        kind: what it is by its name, such as "a MATLAB file".

    Raises:
        VaeklError: says why it cannot be read.
    """
    try:
        yield
    except VaeklError:
        raise
    except Exception as error:  # a broken file can fail in any way
        reason = _reason(error).removesuffix(".")
        raise VaeklError(f"{file} cannot be read as {kind} ({reason}): write it again, or replace it.") from error


def _zipped(file: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    """A member of an .npz file, by its header."""
    if not info.filename.endswith(".npy"):
        return unusable("no .npy file")
    if info.flag_bits & 1:
        return unusable("encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return unusable("compressed in a way that NumPy does not write")
    with archive.open(info) as stream:
        try:
            header = read_header(stream)
        except ValueError as error:
            return unusable(str(error).removeprefix("it holds "))

    def read() -> Array:
        check_unfolding(file, info.filename, max(info.file_size, header.bytes), info.compress_size)
        with _opened(file) as archive, archive.open(info) as stream:
            array: Array = np.lib.format.read_array(stream, allow_pickle=False)
            return array

    return Member(header.shape, header.dtype.kind, read, "" if header.dtype.names is None else "a table of columns")


class InParts(io.BufferedReader):
    """A file of which only a little is read at a time, whatever the file itself says of the length of its parts."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LONGEST_CONTENTS:
            raise zipfile.BadZipFile("its table of contents is too long")
        return super().read(size)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """An .npz file; whatever a broken one leads to inside is one sentence."""
    try:
        with InParts(open_file(file).detach()) as parts, zipfile.ZipFile(parts) as archive:
            yield archive
    except VaeklError:
        raise
    except Exception as error:  # a broken archive can fail in any way
        is_other = isinstance(error, zipfile.BadZipFile) and "not a zip file" in str(error)
        try:
            other = _other_kind(file) if is_other else None
        except OSError as unread:
            raise VaeklError(f"{file} cannot be read ({unread.strerror}): set dataset.path to another file.") from error
        if other:
            kind, cure = other
            raise VaeklError(f"{file} is {kind}: {cure}.") from error
        if is_other and file.suffix.lower() != ".npz":
            raise VaeklError(
                f"{file} is none of the files that dataset=npz reads ({', '.join(SUFFIXES)}): give one of these, or "
                "use dataset=table for .csv and .parquet."
            ) from error
        reason = "it is no .npz file, or a truncated one" if is_other else _reason(error)
        raise VaeklError(
            f"{file} cannot be read as an .npz file of plain arrays ({reason}): write it again with numpy.savez, or "
            "replace it."
        ) from error


def _other_kind(file: Path) -> tuple[str, str] | None:
    """What a file is that is no archive, by its first bytes, and what to do; None where nothing is known."""
    with open_file(file) as content:
        first = content.read(max(map(len, _KINDS))) or b""  # nothing yet, of what does not wait
    return next((other for start, other in _KINDS.items() if first.startswith(start)), None)


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or first_line(error)
