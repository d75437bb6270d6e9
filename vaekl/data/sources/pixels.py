"""One image file -> its pixels, page by page, as a viewer shows them; nothing is kept."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image, ImageColor, ImageFile, ImageOps

from vaekl.data.ondisk import Array
from vaekl.system.errors import VaeklError, first_line

SUFFIXES = {
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm",
    ".pnm",
}  # fmt: skip
#: formats that are read, whatever a file's name says; some of Pillow's other formats start other programs
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
#: those of them whose pages are images of their own; a JPEG file may hold a preview or a map of depths beside its image
_PAGED = ("PNG", "GIF", "TIFF", "WEBP")
#: largest image that is decoded, since a few kilobytes of compressed zeros can unfold to any size
_MOST_PIXELS = 1 << 26
#: the most bytes that the pages of one file may take
_MOST_BYTES = 1 << 30
_TIFF_KIND_OF_PAGE, _TIFF_BITS, _SMALLER_COPY = 254, 258, 1
#: parts of red, green and blue in grey, in 2^-16; they are those of Pillow
_GREY = np.array([19595, 38470, 7471])
#: how 16 bits in several channels are stored, and the mode in which Pillow, which keeps 8 of them, takes the others
_OTHER_BYTES = {
    f"{channels};16{order}": f"{channels};16{other}"
    for channels in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
} | {"LA;16B": "RGBA"}
#: what was met in a file: pixels that are transparent, and only images whose channels are equal
TRANSPARENT, COLOURLESS = 1, 2


class UnreadableError(Exception):
    """Why a file gives no image."""


@dataclass(frozen=True)
class Decoding:
    """How images are made of files.

    Args:
        size: the side in pixels after the largest central square is resized; None keeps the pixels as they are.
        grayscale: one channel in place of three.
        crop: the side of the central square to cut before resizing; None takes the largest.
        background: the colour behind transparent pixels.
    """

    size: int | None = None
    grayscale: bool = False
    crop: int | None = None
    background: str = "white"

    @property
    def colour(self) -> tuple[int, ...]:
        """The background as red, green and blue from 0 to 255."""
        return ImageColor.getrgb(self.background)[:3]

    @staticmethod
    def checked_background(value: Any) -> str:
        """A colour's name or number.

        Raises:
            VaeklError: it is none.
        """
        try:
            ImageColor.getrgb(value)
        except (ValueError, AttributeError, TypeError) as error:
            raise VaeklError(
                f"dataset.background must be a colour such as white, black or '#808080', not {value!r}."
            ) from error
        return str(value)


@dataclass(frozen=True)
class Pixels:
    """The images of one file.

    Args:
        pages: [P, C, H, W], uint8 or uint16.
        flags: `TRANSPARENT` and `COLOURLESS`.
        others: how many pictures of the file are left out: smaller copies, and what a camera adds.
    """

    pages: Array
    flags: int = 0
    others: int = 0


def read(path: Path, how: Decoding) -> Pixels:
    """Decode a file.

    Raises:
        UnreadableError: it is no image, is cut off, or cannot be held in 16 bits a channel.
    """
    try:
        with Image.open(path, formats=_FORMATS) as file:
            _check_size(file)
            return _pages(file, path, how)
    except UnreadableError:
        raise
    except Exception as error:  # what is no image can fail in any way while it is read
        reason = first_line(error).replace(str(path), path.name).replace(repr(path), path.name)
        raise UnreadableError(reason) from error


def _check_size(file: Image.Image) -> None:
    if file.width * file.height > _MOST_PIXELS:
        raise UnreadableError(f"it has {file.width} times {file.height} pixels, more than {_MOST_PIXELS:,}")


def _pages(file: ImageFile.ImageFile, path: Path, how: Decoding) -> Pixels:
    count = getattr(file, "n_frames", 1)
    taken = count if file.format in _PAGED else 1
    images: list[Array] = []
    transparent = False
    others = count - taken
    for page in range(taken):
        if page:
            file.seek(page)
            _check_size(file)
        if getattr(file, "tag_v2", {}).get(_TIFF_KIND_OF_PAGE, 0) & _SMALLER_COPY:
            others += 1
            continue
        image, has_transparent = _page(file, path, how)
        transparent |= has_transparent
        images.append(_sized(image, how))
        if images[-1].shape != images[0].shape or images[-1].dtype != images[0].dtype:
            raise UnreadableError(
                f"its pages are of {_text(images[0])} and of {_text(images[-1])}: set dataset.size if they are to be "
                "images of one size"
            )
        if images[0].nbytes * taken > _MOST_BYTES:
            raise UnreadableError(f"its {taken:,} pages take more than {_MOST_BYTES >> 20:,} MB")
    if not images:
        raise UnreadableError("it holds nothing but smaller copies of an image")
    pages = np.stack(images)
    flags = (TRANSPARENT if transparent else 0) | (COLOURLESS if not how.grayscale and _is_colourless(pages) else 0)
    return Pixels(pages, flags, others)


def _is_colourless(pages: Array) -> bool:
    """Whether red, green and blue are equal; a row of pixels mostly tells that they are not."""
    return all((part[:, 0] == part[:, channel]).all() for part in (pages[:1, :, :1], pages) for channel in (1, 2))


def _page(file: ImageFile.ImageFile, path: Path, how: Decoding) -> tuple[Image.Image | Array, bool]:
    """The page that a file is at, and whether some of its pixels were transparent; 16 bits come as [H, W, C]."""
    codec, arguments = _tile(file)
    raw_mode = str(next(iter(arguments), ""))
    bits = max(getattr(file, "tag_v2", {}).get(_TIFF_BITS, (8,)))
    if file.mode == "F" or raw_mode.startswith("F"):
        raise UnreadableError("it holds floats: store the data as .npz")
    if file.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N"):
        return _deep_grey(file, arguments[-1] if codec in ("ppm", "ppm_plain") else 65535, how)
    if ";16" in raw_mode or bits > 8:
        if raw_mode not in _OTHER_BYTES:
            raise UnreadableError(f"it has {max(bits, 16)} bits in each of several channels: store the data as .npz")
        return _deep_colour(file, path, raw_mode, how)
    image = ImageOps.exif_transpose(file)
    transparent = False
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if transparent := np.asarray(image)[..., 3].min() < 255:
            image = Image.alpha_composite(Image.new("RGBA", image.size, (*how.colour, 255)), image)
    mode = "L" if how.grayscale else "RGB"
    return image if image.mode == mode else image.convert(mode), transparent


def _tile(file: ImageFile.ImageFile) -> tuple[str, tuple[Any, ...]]:
    """The decoder that Pillow has chosen, and its arguments, of which the first says how the pixels are stored."""
    if not file.tile:
        return "", ()
    codec, arguments = file.tile[0][0], cast(Any, file.tile[0][3])
    return codec, arguments if isinstance(arguments, tuple) else (arguments,)


def _deep_grey(file: Image.Image, largest: int, how: Decoding) -> tuple[Array, bool]:
    """A page of one channel with more than 8 bits.

    Args:
        file: is at the page.
        largest: the value that Pillow has spread to 65535, as it does with a PGM.
        how: the pixels are made.
    """
    key = file.info.get("transparency")
    values = np.asarray(ImageOps.exif_transpose(file)).astype(np.int64)
    if largest != 65535:
        values = np.round(values * (largest / 65535)).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UnreadableError(f"it holds whole numbers from {values.min()} to {values.max()}: store the data as .npz")
    grey = values[..., None].astype(np.uint16)
    if transparent := isinstance(key, int) and bool((values == key).any()):
        level = _grey(np.array([[how.colour]]) * 257)[0, 0]
        grey = np.where(values[..., None] == key, level, grey).astype(np.uint16)
    return grey if how.grayscale else grey.repeat(3, 2), transparent


def _deep_colour(file: ImageFile.ImageFile, path: Path, raw_mode: str, how: Decoding) -> tuple[Array, bool]:
    """A page of 16 bits in several channels, decoded twice: once for the upper 8 bits, once for the lower."""
    key = file.info.get("transparency")
    with Image.open(path, formats=_FORMATS) as again:
        if file.tell():
            again.seek(file.tell())
        again.tile = [_with_raw_mode(tile, _OTHER_BYTES[raw_mode]) for tile in again.tile]
        upper, lower = (np.asarray(ImageOps.exif_transpose(half)).astype(np.int64) for half in (file, again))
    if raw_mode == "LA;16B":  # the four bytes of a pixel, two of grey and two of its alpha
        array = lower[..., [0, 2]] * 256 + lower[..., [1, 3]]
        array = array[..., [0, 0, 0, 1]]
    else:
        array = upper * 256 + lower
    colour, alpha = array[..., :3], array[..., 3:] if array.shape[2] == 4 else None
    if key is not None:
        alpha = 65535 * (colour != np.array(key)).any(2, keepdims=True)
    transparent = False
    if alpha is not None and alpha.min() < 65535:
        transparent = True
        behind = np.array(how.colour) * 257
        colour = np.round((colour * alpha + behind * (65535 - alpha)) / 65535).astype(np.int64)
    return (_grey(colour) if how.grayscale else colour).astype(np.uint16), transparent


def _with_raw_mode(tile: Any, raw_mode: str) -> Any:
    """A part of a file as Pillow describes it, with its bytes taken in another way."""
    codec, extents, offset, arguments = tile
    changed = (raw_mode, *arguments[1:]) if isinstance(arguments, tuple) else raw_mode
    return type(tile)(codec, extents, offset, changed) if type(tile) is not tuple else (codec, extents, offset, changed)


def _grey(colour: Array) -> Array:
    """[H, W, 3] -> [H, W, 1]."""
    grey: Array = (colour @ _GREY + 0x8000 >> 16)[..., None]
    return grey


def _sized(image: Image.Image | Array, how: Decoding) -> Array:
    """[C, H, W], cropped to a square and resized where that is wanted.

    Args:
        image: a picture of 8 bits, or [H, W, C] of 16.
        how: the pixels are made.
    """
    planes = (
        [image] if isinstance(image, Image.Image) else [Image.fromarray(plane) for plane in image.transpose(2, 0, 1)]
    )
    if how.size is not None or how.crop is not None:
        side = how.crop or min(planes[0].size)
        left, top = (planes[0].width - side) // 2, (planes[0].height - side) // 2
        planes = [plane.crop((left, top, left + side, top + side)) for plane in planes]
    if how.size is not None:
        size = (how.size, how.size)
        if isinstance(image, Image.Image):
            planes = [planes[0].resize(size, Image.Resampling.BILINEAR)]
        else:  # Pillow resizes numbers of 16 bits only as floats
            floats = [Image.fromarray(np.asarray(plane, np.float32)) for plane in planes]
            resized = [np.asarray(plane.resize(size, Image.Resampling.BILINEAR)) for plane in floats]
            return np.stack(resized).round().clip(0, 65535).astype(np.uint16)
    if not isinstance(image, Image.Image):
        return np.stack([np.asarray(plane) for plane in planes])
    array = np.asarray(planes[0])
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _text(image: Array) -> str:
    return "×".join(map(str, image.shape)) + (", 16 bits" if image.dtype == np.uint16 else "")
