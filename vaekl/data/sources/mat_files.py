"""The arrays of MATLAB's files of versions 5 to 7; SciPy's reader ends the process on some broken ones.

A file is a head of 128 bytes and then elements: each a tag (what it is, and how many bytes) and its content. An array
is an element of elements: its class, its sides, its name, its values; most are compressed each on its own.

Source: MATLAB, MAT-File Format, R2023a.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path

import numpy as np

from vaekl.data.files import open_file
from vaekl.data.ondisk import Array
from vaekl.data.sources.array_files import MOST_MEMBERS, Member, check_unfolding, reading, unusable
from vaekl.data.sources.hdf5_files import of_hdf5, of_matlab_hdf5

_KIND = "a MATLAB file"
_HEAD, _TAG = 128, 8
#: bytes of an array's class, sides and name, before its values
_LONGEST_DESCRIPTION = 1 << 12
_AT_ONCE = 1 << 20
_ARRAY, _COMPRESSED = 14, 15
#: how values are stored
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
#: what arrays of numbers are in MATLAB, whatever the type in which their values are stored
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_OTHER_CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function"}
_LOGICAL, _COMPLEX = 0x200, 0x800


def of_mat(file: Path) -> dict[str, Member]:
    """The arrays of a MATLAB file, with their axes as MATLAB has them.

    Raises:
        VaeklError: it is unreadable, or one of version 7.3, which is an HDF5 file, and h5py is not there.
    """
    with reading(file, _KIND), open_file(file) as opened:
        head = opened.read(_HEAD)
        if not head.startswith((b"\x89HDF", b"MATLAB 7.3")):
            return dict(_members(file, opened, head))
    return of_hdf5(file) if head.startswith(b"\x89HDF") else of_matlab_hdf5(file)


def _members(file: Path, opened: BufferedReader, head: bytes) -> Iterator[tuple[str, Member]]:
    """Each array of a file that is open after its head."""
    if head[126:128] not in (b"IM", b"MI"):
        raise ValueError("it is of version 4, or none of MATLAB's")
    order = "<" if head[126:128] == b"IM" else ">"
    size, place = file.stat().st_size, _HEAD
    for _ in range(MOST_MEMBERS):
        opened.seek(place)
        if len(tag := opened.read(_TAG)) < _TAG:
            return
        kind, length = (int(number) for number in np.frombuffer(tag, f"{order}u4"))
        start, place = place + _TAG, place + _TAG + length
        if place > size:
            raise ValueError("it is cut off")
        if kind not in (_ARRAY, _COMPRESSED):
            continue
        element = _Element(file, start, length, kind == _COMPRESSED)
        yield _described(element, order)


@dataclass(frozen=True)
class _Element:
    """The content of one element of a file.

    Args:
        file: where it is.
        start: where in it the content begins.
        length: its bytes there.
        is_compressed: whether it is an element that is compressed, tag and all.
    """

    file: Path
    start: int
    length: int
    is_compressed: bool

    def content(self, most: int) -> bytearray:
        """The first bytes, without the tag of an array that was compressed."""
        unpacker, content, left = zlib.decompressobj(), bytearray(), self.length
        most += _TAG * self.is_compressed
        with open_file(self.file) as opened:
            opened.seek(self.start)
            # what follows the end of a compressed element would only be gathered
            while len(content) < most and not unpacker.eof and (piece := opened.read(min(left, _AT_ONCE))):
                left -= len(piece)
                while piece and len(content) < most and not unpacker.eof:
                    content += unpacker.decompress(piece, most - len(content)) if self.is_compressed else piece
                    piece = unpacker.unconsumed_tail if self.is_compressed else b""
        return content[_TAG * self.is_compressed : most]


def _described(element: _Element, order: str) -> tuple[str, Member]:
    """The name of an array, and the array."""
    description = element.content(_LONGEST_DESCRIPTION)
    _, flags, place = _part(description, 0, order)
    _, sides, place = _part(description, place, order)
    _, name, place = _part(description, place, order)
    word, title = int(np.frombuffer(flags[:4], f"{order}u4")[0]), name.decode("latin-1")
    if word & 0xFF not in _CLASSES:
        return title, unusable(f"MATLAB's {_OTHER_CLASSES.get(word & 0xFF, 'object')}")
    if word & _COMPLEX:
        return title, unusable("complex numbers")
    shape = tuple(np.frombuffer(sides, f"{order}i4").tolist())
    kind, length, start = _tag(description, place, order)
    if kind not in _TYPES or min(shape, default=-1) < 0 or length != prod(shape) * np.dtype(_TYPES[kind]).itemsize:
        raise ValueError(f"its array {title} is not as its description says")
    own = np.dtype(bool if word & _LOGICAL else _CLASSES[word & 0xFF])

    def read() -> Array:
        # values that are stored in another type lie in memory twice
        size = length + (prod(shape) * own.itemsize if own != np.dtype(_TYPES[kind]) else 0)
        check_unfolding(element.file, title, size, element.length)
        with reading(element.file, _KIND):
            # with what follows, so that the checksum at the end of a compressed array is compared
            content = element.content(start + length + _TAG)
            values = np.frombuffer(content, order + _TYPES[kind], prod(shape), start)
            return values.astype(own, copy=False).reshape(shape, order="F")

    return title, Member(shape, own.kind, read)


def _tag(content: bytearray, place: int, order: str) -> tuple[int, int, int]:
    """What an element is, how many bytes it has and where they begin; up to four stand in the tag itself."""
    kind, length = (int(number) for number in np.frombuffer(content[place : place + _TAG], f"{order}u4"))
    return (kind & 0xFFFF, kind >> 16, place + 4) if kind >> 16 else (kind, length, place + _TAG)


def _part(content: bytearray, place: int, order: str) -> tuple[int, bytearray, int]:
    """An element inside of another one: what it is, its bytes, and where the next begins."""
    kind, length, start = _tag(content, place, order)
    if start + length > len(content):
        raise ValueError("it is cut off, or one of its arrays has a name without end")
    return kind, content[start : start + length], -(-(start + length) // 8) * 8
