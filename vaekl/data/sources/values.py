"""What the values of arrays are: their range, whether they are finite, and how many levels whole numbers have."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vaekl.data.inventory import Inventory
from vaekl.data.ondisk import Array, OnDisk
from vaekl.system.errors import VaeklError

#: how many values are checked together, so that images in a file never lie in memory all at once
_VALUES = 2**22
#: how many levels 16 bits may hold, from the fewest: 12 bits of a camera, or all of them
_LEVELS_OF_16_BITS = (4096, 65536)
#: 8-bit pictures have values as large as this; smaller whole numbers are counts, or levels of fewer bits
LEAST_WHITE = 64
#: the largest number of levels, since images are stored in 16 bits
MOST_LEVELS = 65536


@dataclass(frozen=True)
class Values:
    """What the values of one split are.

    Args:
        low: the smallest of them.
        high: the largest.
        binary: whether all are 0 or 1.
        whole: whether all are whole numbers.
        kind: of their type, as NumPy has it; "i" for every type of whole numbers.
        bits: of their type.
    """

    low: float
    high: float
    binary: bool
    whole: bool
    kind: str
    bits: int


def values_of(images: Array | OnDisk, title: str, levels: int | None, exact: bool, has_missing: bool = False) -> Values:
    """The range of a split's values, some images at a time.

    Where it is not wanted exactly, bytes are looked at until one is as bright as a picture of 8 bits.

    Args:
        images: of any shape.
        title: how a sentence names them.
        levels: how many values there can be, where that is known or the user says so.
        exact: whether the range must be that of all values.
        has_missing: whether NaN stands for a missing value, which is left out.

    Raises:
        VaeklError: the values are no numbers, or not finite.
    """
    if images.dtype.kind not in "biuf":
        raise VaeklError(f"{title} has the type {images.dtype}; store it as uint8, bool or float32.")
    kind, bits = "i" if images.dtype.kind in "biu" else "f", 8 * images.dtype.itemsize
    if images.dtype == np.uint8 and levels is not None and levels >= 256:
        return Values(0, 255, False, True, kind, bits)
    low, high, binary, whole, nans, infinite = np.inf, -np.inf, True, True, 0, 0
    for piece in pieces(images):
        if has_missing:
            piece = piece[~np.isnan(piece)]
            if not piece.size:
                continue
        low, high = min(low, piece.min()), max(high, piece.max())
        binary = binary and bool(((piece == 0) | (piece == 1)).all())
        whole = whole and (kind == "i" or bool((piece == np.round(piece)).all()))
        if images.dtype == np.uint8 and high >= LEAST_WHITE and levels is None and not exact:
            return Values(0, 255, False, True, kind, bits)
        if kind == "f" and not np.isfinite(piece).all():
            nans, infinite = nans + int(np.isnan(piece).sum()), infinite + int(np.isinf(piece).sum())
    if nans or infinite:
        raise VaeklError(
            f"{title} has {nans} NaN and {infinite} infinite values out of {np.prod(images.shape)} that "
            "were looked at; remove or replace them."
        )
    return Values(float(low), float(high), binary, whole, kind, bits)


def levels_of(values: Mapping[str, Values], titles: Mapping[str, str], inventory: Inventory) -> int | None:
    """How many levels whole numbers have; None for floats.

    Numbers of 8 bits have 256 levels, whatever type they are stored in; 16 bits have 4,096 where no value needs more.

    Args:
        values: of each split.
        titles: how a sentence names it.
        inventory: where it is written how that was found.

    Raises:
        VaeklError: they are no grey levels.
    """
    if any(part.kind == "f" for part in values.values()):
        low, high = min(part.low for part in values.values()), max(part.high for part in values.values())
        if all(part.whole for part in values.values()) and high > 1:
            fits = low >= 0 and high < MOST_LEVELS
            cure = f"; dataset.levels={_enough(high)} takes them as levels" if fits else ""
            inventory.remarks.append(
                f"the values are whole numbers from {low:,.0f} to {high:,.0f}, but stored as floats, and taken as real "
                f"numbers{cure}"
            )
        return None
    deep = all(part.bits == 16 for part in values.values())
    for split, part in values.items():
        if part.low < 0 or part.high > (MOST_LEVELS - 1 if deep else 255):
            raise VaeklError(
                f"{titles[split]} holds whole numbers from {part.low:.0f} to {part.high:.0f}, not 8-bit values from 0 "
                "to 255; set dataset.levels or store them as uint16 if they are grey levels, or set dataset.kind=real "
                "or counts."
            )
    high = int(max(part.high for part in values.values()))
    if high <= 255:
        if deep:
            inventory.remarks.append("stored in 16 bits, but no value is above 255: taken as 256 levels")
        return 256
    levels = _enough(high)
    inventory.remarks.append(
        f"16 bits, the largest value is {high:,}: taken as {levels:,} levels; dataset.levels says otherwise"
    )
    return levels


def check_levels(values: Mapping[str, Values], titles: Mapping[str, str], levels: int) -> None:
    """Refuse values that are not among so many levels.

    Raises:
        VaeklError: says which.
    """
    for split, part in values.items():
        if not part.whole or part.low < 0 or part.high >= levels:
            what = f"values from {part.low:g} to {part.high:g}" + ("" if part.whole else ", not all of them whole")
            raise VaeklError(
                f"{titles[split]} holds {what}, but dataset.levels={levels} has the whole numbers from 0 to "
                f"{levels - 1}: give another number, or leave it away."
            )


def pieces(images: Array | OnDisk) -> Iterator[Array]:
    """All images, some at a time, with floats as float32."""
    step = max(1, _VALUES // int(np.prod(images.shape[1:])))
    for start in range(0, len(images), step):
        part = slice(start, start + step)
        piece = images.read(part) if isinstance(images, OnDisk) else images[part]
        with np.errstate(over="ignore"):
            yield piece.astype(np.float32, copy=False) if piece.dtype.kind == "f" else piece


def _enough(high: float) -> int:
    """The fewest levels that a largest value leaves."""
    return next(levels for levels in (256, *_LEVELS_OF_16_BITS) if high < levels)
