"""Pictures of more than 8 bits a channel, of which Pillow keeps 8: made of two decodings, some rows at a time."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from vaekl.data.ondisk import Array

#: parts of red, green and blue in grey, in 2^-16; they are those of Pillow
_GREY = np.array([19595, 38470, 7471])
#: how 16 bits in several channels are stored, and the mode in which Pillow, which keeps 8 of them, takes the others
OTHER_BYTES = {
    f"{channels};16{order}": f"{channels};16{other}"
    for channels in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
} | {"LA;16B": "RGBA"}
#: pixels that are computed at a time
_ROWS_OF = 1 << 16


def grey(
    picture: Image.Image, largest: int, key: Any, background: tuple[int, ...], grayscale: bool
) -> tuple[Array, bool]:
    """A picture of one channel.

    Args:
        picture: of whole numbers.
        largest: the value that Pillow has spread to 65535, as it does with a PGM.
        key: the value of transparent pixels, if there are any.
        background: red, green and blue behind them, from 0 to 255.
        grayscale: one channel in place of three.

    Returns:
        uint16 [H, W, C], and whether some pixels were transparent.

    Raises:
        ValueError: its values need more than 16 bits.
    """
    out, transparent = np.empty((picture.height, picture.width, 1 if grayscale else 3), np.uint16), False
    behind = _in_grey(np.array([[background]]) * 257)[0, 0]
    for rows, (values,) in _in_rows(picture):
        if largest != 65535:
            values = np.round(values * (largest / 65535)).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"it holds whole numbers from {values.min()} to {values.max()}: store the data as .npz")
        if isinstance(key, int) and (hidden := values == key).any():
            transparent, values = True, np.where(hidden, behind, values)
        out[rows] = values[..., None]
    return out, transparent


def take_other_bytes(file: ImageFile.ImageFile, raw_mode: str) -> None:
    """Have the lower 8 bits of each channel decoded, in place of the upper ones."""
    file.tile = [_with_raw_mode(tile, OTHER_BYTES[raw_mode]) for tile in file.tile]


def colour(
    upper: Image.Image, lower: Image.Image, raw_mode: str, key: Any, background: tuple[int, ...], grayscale: bool
) -> tuple[Array, bool]:
    """A picture of several channels.

    Args:
        upper: the upper 8 bits of each channel.
        lower: the lower ones.
        raw_mode: how they are stored.
        key: the colour of transparent pixels, if there is one.
        background: as for `grey`.
        grayscale: as for `grey`.

    Returns:
        uint16 [H, W, C], and whether some pixels were transparent.
    """
    out, transparent = np.empty((upper.height, upper.width, 1 if grayscale else 3), np.uint16), False
    behind = np.array(background) * 257
    for rows, (high, low) in _in_rows(upper, lower):
        if raw_mode == "LA;16B":  # the four bytes of a pixel, two of grey and two of its alpha
            array = low[..., [0, 2]] * 256 + low[..., [1, 3]]
            array = array[..., [0, 0, 0, 1]]
        else:
            array = high * 256 + low
        colours, alpha = array[..., :3], array[..., 3:] if array.shape[2] == 4 else None
        if key is not None:
            alpha = 65535 * (colours != np.array(key)).any(2, keepdims=True)
        if alpha is not None and alpha.min() < 65535:
            transparent = True
            colours = np.round((colours * alpha + behind * (65535 - alpha)) / 65535).astype(np.int64)
        out[rows] = _in_grey(colours) if grayscale else colours
    return out, transparent


def resized(array: Array, box: tuple[int, int, int, int], size: int | None) -> Array:
    """A part of a picture [H, W, C] as [C, H, W], resized to a square of that side where one is given."""
    left, top, right, bottom = box
    planes = []
    for channel in range(array.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(array[..., channel])).crop((left, top, right, bottom))
        if size is not None:  # Pillow resizes numbers of 16 bits only as floats
            floats = Image.fromarray(np.asarray(plane, np.float32))
            values = np.asarray(floats.resize((size, size), Image.Resampling.BILINEAR))
            planes.append(values.round().clip(0, 65535).astype(np.uint16))
        else:
            planes.append(np.asarray(plane))
    return np.stack(planes)


def _in_rows(*pictures: Image.Image) -> Iterator[tuple[slice, list[Array]]]:
    """Some rows of pictures at a time, as int64."""
    width, height = pictures[0].size
    step = max(1, _ROWS_OF // width)
    for top in range(0, height, step):
        bottom = min(height, top + step)
        strips = (picture.crop((0, top, width, bottom)) for picture in pictures)
        yield slice(top, bottom), [np.asarray(strip).astype(np.int64) for strip in strips]


def _with_raw_mode(tile: Any, raw_mode: str) -> Any:
    """A part of a file as Pillow describes it, with its bytes taken in another way."""
    codec, extents, offset, arguments = tile
    changed = (raw_mode, *arguments[1:]) if isinstance(arguments, tuple) else raw_mode
    return type(tile)(codec, extents, offset, changed) if type(tile) is not tuple else (codec, extents, offset, changed)


def _in_grey(colour: Array) -> Array:
    """[H, W, 3] -> [H, W, 1]."""
    grey: Array = (colour @ _GREY + 0x8000 >> 16)[..., None]
    return grey
