"""The files of a data set, which may come from a stranger: regular ones of bounded size, and headers of arrays."""

import errno
import os
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from vaekl.system.files import open_regular

#: bytes of the longest header that NumPy reads
_LONGEST_HEADER = 10_000
#: a file of more bytes must hold some: at least one in so many
_SMALL, _BYTES_FOR_ONE = 1 << 26, 1000
#: pieces of a file with holes that are looked at
_MOST_PIECES = 1000


def open_file(file: Path, most: int | None = None) -> BufferedReader:
    """A file, or what a link to one leads to, open for reading; no pipe is waited for.

    Args:
        file: it.
        most: bytes, where that is known of such files.

    Raises:
        OSError, ValueError: it cannot be opened, is larger, is no regular file, or has next to nothing but holes.
    """

    def checked(path: str, flags: int) -> int:
        descriptor = open_regular(Path(path), flags, follow=True)
        try:
            check_size(descriptor, most)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    return open(file, "rb", opener=checked)


def check_size(descriptor: int, most: int | None = None) -> None:
    """Refuse a file that is larger than it may be, or that a few bytes on the disk make endless.

    Raises:
        ValueError: says which.
    """
    size = os.fstat(descriptor).st_size
    if most is not None and size > most:
        raise ValueError(f"it has {size:,} bytes, more than {most:,}")
    if size > _SMALL and _written(descriptor, size // _BYTES_FOR_ONE) < size // _BYTES_FOR_ONE:
        raise ValueError(f"of its {size:,} bytes next to none were ever written")


def _written(descriptor: int, enough: int) -> int:
    """How many bytes of a file lie on the disk; it is not looked further than for so many."""
    if not hasattr(os, "SEEK_DATA"):
        return enough
    written, place = 0, 0
    try:
        for _ in range(_MOST_PIECES):
            start = os.lseek(descriptor, place, os.SEEK_DATA)
            place = os.lseek(descriptor, start, os.SEEK_HOLE)
            written += place - start
            if written >= enough:
                break
    except OSError as error:
        # ENXIO: nothing but a hole follows
        return written if error.errno == errno.ENXIO else enough
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return written


@dataclass(frozen=True)
class Header:
    """What an .npy file says of its array.

    Args:
        shape: of the array.
        dtype: of its values.
        is_rowwise: whether the last axis changes fastest, as in C.
        offset: where in the file its values begin.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_rowwise: bool
    offset: int

    @property
    def bytes(self) -> int:
        """How many the values take."""
        return prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> Header:
    """What is said before the values of an .npy file.

    Args:
        stream: an open file, or a member of an archive.

    Raises:
        ValueError: it is no .npy file, holds objects, or has a header that no array of numbers has.
    """
    try:
        version = np.lib.format.read_magic(stream)
    except ValueError as error:
        raise ValueError("it is no .npy file") from error
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _LONGEST_HEADER:
        raise ValueError("its header is too long")
    stream.seek(-width, os.SEEK_CUR)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, in_fortran_order, dtype = read(stream)
    except Exception as error:  # NumPy lets Python read it as a literal
        raise ValueError("its header is no description of an array") from error
    header = Header(shape, dtype, not in_fortran_order, len(np.lib.format.magic(*version)) + width + length)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects")
    if min(shape, default=0) < 0 or header.bytes >= 2**63:
        raise ValueError("its header is no description of an array")
    return header


def header_of(file: Path) -> Header:
    """The header of an .npy file that is whole.

    Raises:
        OSError, ValueError: it cannot be opened, is cut off, or holds no array of numbers.
    """
    with open_file(file) as opened:
        header = read_header(opened)
        if not header.shape:
            raise ValueError("it holds a single number")
        if os.fstat(opened.fileno()).st_size < header.offset + header.bytes:
            raise ValueError("it is cut off")
    return header
