"""One image file -> its pixels, page by page, as a viewer shows them; nothing is kept."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import numpy as np
from PIL import Image, ImageColor, ImageFile, ImageOps, UnidentifiedImageError

from vaekl.data.ondisk import Array
from vaekl.data.sources import deep_pixels
from vaekl.data.sources.limits import Budget, Source
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
MOST_BYTES = 1 << 30
#: the most pages of one file, and pixels of all its pages for each of its bytes: deflated zeros have a thousand
_MOST_PAGES, _DENSEST = 50_000, 500
#: bytes of a camera's notes, among which is how the picture is to be turned
_LONGEST_EXIF = 1 << 16
#: pixels that are put on the background, or converted, at a time
_STRIP = 1 << 20
#: bytes that a pixel takes while it is decoded, with 8 bits a channel and with more; what all threads take together
_BYTES, _BYTES_IF_DEEP, _TOGETHER = 16, 32, Budget(1 << 30)
_TIFF_KIND_OF_PAGE, _TIFF_BITS, _SMALLER_COPY, _TIFF_TILE = 254, 258, 1, (322, 323)
_EXIF_TURN = 0x0112
#: what was met in a file: pixels that are transparent, and only images whose channels are equal
TRANSPARENT, COLOURLESS = 1, 2

# Pillow warns of each thing that it leaves out, and a stranger's file may hold thousands
warnings.filterwarnings("ignore", module="PIL")


class UnreadableError(Exception):
    """Why a file gives no image."""


class LargeError(Exception):
    """The images of a file take more memory than it is allowed."""


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
    cure: ClassVar[str] = "set dataset.size to resize all images to one size"

    def read(self, path: Path, most: int) -> "Pixels":
        """The images of a file; see `read`."""
        return read(path, self, most)

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


class Reader(Protocol):
    """How files become arrays; `cure` says what to do where two are of different shapes."""

    @property
    def cure(self) -> str: ...

    def read(self, path: Path, most: int) -> Pixels:
        """The arrays of a file; UnreadableError and LargeError are raised as by the function `read`."""
        ...


def read(path: Path, how: Decoding, most: int = MOST_BYTES) -> Pixels:
    """Decode a file.

    Args:
        path: it.
        how: the pixels are made.
        most: bytes of its images.

    Raises:
        UnreadableError: it is no image, is cut off, or cannot be held in 16 bits a channel.
        LargeError: its images take more than so many bytes.
    """
    try:
        with Source.opened(path) as source, Image.open(source, formats=_FORMATS) as file:
            _check_size(file)
            source.allow_pixels()
            is_deep = _raw_mode(file) is not None
            with _TOGETHER.taken(file.width * file.height * (_BYTES_IF_DEEP if is_deep else _BYTES)):
                return _pages(file, path, source.size, how, most)
    except (UnreadableError, LargeError):
        raise
    except UnidentifiedImageError as error:
        raise UnreadableError(f"it is no image in one of the formats {', '.join(_FORMATS)}") from error
    except Exception as error:  # what is no image can fail in any way while it is read
        reason = first_line(error).replace(str(path), path.name).replace(repr(path), path.name)
        raise UnreadableError(reason) from error


def _check_size(file: Image.Image) -> None:
    tags = getattr(file, "tag_v2", {})
    width, height = (max(side, int(tags.get(tag, 0))) for side, tag in zip(file.size, _TIFF_TILE, strict=True))
    if width * height > _MOST_PIXELS:
        raise UnreadableError(f"it has {width} times {height} pixels, more than {_MOST_PIXELS:,}")
    if len(file.info.get("exif") or b"") > _LONGEST_EXIF:
        raise UnreadableError(f"its Exif data have more than {_LONGEST_EXIF:,} bytes")


def _pages(file: ImageFile.ImageFile, path: Path, size: int, how: Decoding, most: int) -> Pixels:
    content = bytearray()
    first: Array | None = None
    transparent, others, pixels = False, 0, 0
    if file.format not in _PAGED:
        others = getattr(file, "n_frames", 1) - 1
    for page in range(_MOST_PAGES + 1 if file.format in _PAGED else 1):
        if page:
            try:
                file.seek(page)
            except EOFError:
                break
            _check_size(file)
        pixels += file.width * file.height
        if page == _MOST_PAGES or pixels > max(_MOST_PIXELS, _DENSEST * size):
            raise UnreadableError(f"it has {page:,} pages or more, which unfold as no pictures do")
        if getattr(file, "tag_v2", {}).get(_TIFF_KIND_OF_PAGE, 0) & _SMALLER_COPY:
            others += 1
            continue
        image, has_transparent = _page(file, path, how)
        transparent |= has_transparent
        first = image if first is None else first
        if image.shape != first.shape or image.dtype != first.dtype:
            raise UnreadableError(
                f"its pages are of {_text(first)} and of {_text(image)}: set dataset.size if they are to be images of "
                "one size"
            )
        if len(content) + image.nbytes > most:
            if most < MOST_BYTES:
                raise LargeError
            raise UnreadableError(f"its first {page + 1:,} pages take more than {MOST_BYTES >> 20:,} MB")
        content += image.tobytes()
    if first is None:
        raise UnreadableError("it holds nothing but smaller copies of an image")
    pages = np.frombuffer(content, first.dtype).reshape(-1, *first.shape)
    flags = (TRANSPARENT if transparent else 0) | (COLOURLESS if not how.grayscale and _is_colourless(pages) else 0)
    return Pixels(pages, flags, others)


def _is_colourless(pages: Array) -> bool:
    """Whether red, green and blue are equal; a row of pixels mostly tells that they are not."""
    return all((part[:, 0] == part[:, channel]).all() for part in (pages[:1, :, :1], pages) for channel in (1, 2))


def _page(file: ImageFile.ImageFile, path: Path, how: Decoding) -> tuple[Array, bool]:
    """The page that a file is at, [C, H, W], and whether some of its pixels were transparent."""
    raw_mode = _raw_mode(file)
    if raw_mode is None:
        picture, transparent = _flat(_upright(file), how)
        array = np.asarray(picture if how.size is None else picture.resize((how.size,) * 2, Image.Resampling.BILINEAR))
        return array[None] if array.ndim == 2 else array.transpose(2, 0, 1), transparent
    if raw_mode == "":
        codec, arguments = _tile(file)
        largest = arguments[-1] if codec in ("ppm", "ppm_plain") else 65535
        key = file.info.get("transparency")
        deep, transparent = deep_pixels.grey(_upright(file), largest, key, how.colour, how.grayscale)
    else:
        # decoded twice: once for the upper 8 bits, once for the lower
        with Source.opened(path) as source, Image.open(source, formats=_FORMATS) as again:
            source.allow_pixels()
            if file.tell():
                again.seek(file.tell())
            deep_pixels.take_other_bytes(again, raw_mode)
            halves, key = (_upright(file), _upright(again)), file.info.get("transparency")
            deep, transparent = deep_pixels.colour(*halves, raw_mode, key, how.colour, how.grayscale)
            del halves
            again.close()  # and its memory is free
    return deep_pixels.resized(deep, _square((deep.shape[1], deep.shape[0]), how), how.size), transparent


def _raw_mode(file: ImageFile.ImageFile) -> str | None:
    """How several channels of more than 8 bits are stored; "" for a single one, None where all have 8.

    Raises:
        UnreadableError: they are stored in a way that is not read.
    """
    raw_mode = str(next(iter(_tile(file)[1]), ""))
    bits = max(getattr(file, "tag_v2", {}).get(_TIFF_BITS, (8,)))
    if file.mode == "F" or raw_mode.startswith("F"):
        raise UnreadableError("it holds floats: store the data as .npz")
    if file.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N"):
        return ""
    if ";16" not in raw_mode and bits <= 8:
        return None
    if raw_mode not in deep_pixels.OTHER_BYTES:
        raise UnreadableError(f"it has {max(bits, 16)} bits in each of several channels: store the data as .npz")
    return raw_mode


def _tile(file: ImageFile.ImageFile) -> tuple[str, tuple[Any, ...]]:
    """The decoder that Pillow has chosen, and its arguments, of which the first says how the pixels are stored."""
    if not file.tile:
        return "", ()
    codec, arguments = file.tile[0][0], cast(Any, file.tile[0][3])
    return codec, arguments if isinstance(arguments, tuple) else (arguments,)


def _upright(file: Image.Image) -> Image.Image:
    """The picture as the camera was held; itself where nothing is to be done, not a copy."""
    return file if file.getexif().get(_EXIF_TURN, 1) == 1 else ImageOps.exif_transpose(file)


def _square(size: tuple[int, int], how: Decoding) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of a picture that is wanted."""
    if how.size is None and how.crop is None:
        return (0, 0, *size)
    side = how.crop or min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def _flat(picture: Image.Image, how: Decoding) -> tuple[Image.Image, bool]:
    """The wanted part of a picture of 8 bits, in grey or colour on the background, and whether that shows.

    It is made strip by strip, so that no more than the picture and the part are in memory.
    """
    box, mode = _square(picture.size, how), "L" if how.grayscale else "RGB"
    whole = (0, 0, *picture.size)
    if picture.mode == mode and not picture.has_transparency_data:
        picture.load()
        return picture if box == whole else picture.crop(box), False
    left, top, right, bottom = box if box[0] >= 0 and box[1] >= 0 else whole
    part, transparent = Image.new(mode, (right - left, bottom - top)), False
    height = max(1, _STRIP // part.width)
    for start in range(top, bottom, height):
        strip = picture.crop((left, start, right, min(bottom, start + height)))
        if picture.has_transparency_data:
            strip = strip.convert("RGBA")
            if cast(int, strip.getchannel("A").getextrema()[0]) < 255:
                transparent = True
                strip = Image.alpha_composite(Image.new("RGBA", strip.size, (*how.colour, 255)), strip)
        part.paste(strip.convert(mode), (0, start - top))
    return part if (left, top, right, bottom) == box else part.crop(box), transparent


def _text(image: Array) -> str:
    return "×".join(map(str, image.shape)) + (", 16 bits" if image.dtype == np.uint16 else "")
