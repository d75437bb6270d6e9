"""Image files decoded into one array, many at a time: in memory, or once and for all in a file."""

import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vaekl.data.ondisk import Array, OnDisk
from vaekl.data.sources.staging import one_at_a_time, writable
from vaekl.system.errors import VaeklError
from vaekl.system.files import inner_folder, replacing

log = logging.getLogger(__name__)
#: version of the decoding: raise it when the same files give other pixels, so that cached ones are decoded again
_DECODING = 1
#: how many images may be decoded ahead of the one that is written, and how many bytes they may take
_TOGETHER, _TOGETHER_BYTES = 512, 1 << 28
#: what numpy raises for a file that is missing or truncated
_BROKEN = (OSError, ValueError, EOFError)
#: seconds between messages on how many images are decoded
_MESSAGE_SECONDS = 10
#: formats that are read, whatever a file's name says; some of Pillow's other formats start other programs
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
#: largest image that is decoded, since a few kilobytes of compressed zeros can unfold to any size
_MOST_PIXELS = 1 << 26
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def read_images(
    paths: Sequence[Path], size: int | None = None, grayscale: bool = False, crop: int | None = None
) -> Array:
    """Decode images, cropped to a square and resized where asked.

    Args:
        paths: at least one file.
        size: the side in pixels after the largest central square is resized; None keeps the pixels as they are, and
            all images must then be of one size.
        grayscale: one channel in place of three.
        crop: the side of the central square to cut before resizing; None takes the largest.

    Returns:
        uint8 [N, C, H, W].

    Raises:
        VaeklError: a file is missing, truncated, not an 8-bit image, or not of the others' size.
    """
    return np.stack(list(_decode(paths, size, grayscale, crop)))


def decoded(
    folder: Path,
    paths: Sequence[Path],
    root: Path,
    size: int | None = None,
    grayscale: bool = False,
    crop: int | None = None,
    part: str = "all",
) -> OnDisk:
    """Decoded images in a file in the data directory, which is written first if it is missing, broken or out of date.

    Args:
        folder: where all the images are.
        paths: at least one file.
        root: the data directory; where it cannot be written, the user's cache takes its place.
        size: as for `read_images`.
        grayscale: as for `read_images`.
        crop: as for `read_images`.
        part: which of the folder's images they are; each part keeps one file for each of these settings.

    Returns:
        uint8 [N, C, H, W], in their file.

    Raises:
        VaeklError: as for `read_images`, or there is no place for the file.
    """
    settings = _digest([f"{_DECODING} {folder.absolute()} {part} {size} {grayscale} {crop}"])
    try:
        listing = _digest(f"{path.relative_to(folder)} {(s := path.stat()).st_size} {s.st_mtime_ns}" for path in paths)
    except OSError as error:
        raise VaeklError(f"The image {error.filename} cannot be read ({error.strerror}); put it back.") from error
    name = f"{folder.name}-{settings}-{listing}.npy"
    with suppress(*_BROKEN):
        return OnDisk(root / "decoded" / name)
    place = writable(root / "decoded")
    if place.name != "decoded":
        place /= "decoded"
    inner_folder(place)
    with one_at_a_time(place / f".{folder.name}-{settings}.lock"):
        file = place / name
        with suppress(*_BROKEN):
            return OnDisk(file)  # another process may have written it while this one waited
        for stale in place.glob(f"*-{settings}-*"):
            stale.unlink(missing_ok=True)
        with replacing(file, "cache of decoded images") as partial:
            _write(partial, paths, _decode(paths, size, grayscale, crop))
        return OnDisk(file)


def _write(file: Path, paths: Sequence[Path], images: Iterator[Array]) -> None:
    """Write images [C, H, W] one after the other into an .npy file."""
    last_message = time.monotonic()
    with file.open("wb") as out:
        for count, image in enumerate(images):
            if count == 0:
                _check_room(file.parent, len(paths) * image.nbytes)
                header = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), *image.shape)}
                np.lib.format.write_array_header_1_0(out, header)
            out.write(image.tobytes())
            if time.monotonic() - last_message > _MESSAGE_SECONDS:
                last_message = time.monotonic()
                # a warning, since warnings are shown
                log.warning("decoded %s of %s images, once, into %s", f"{count + 1:,}", f"{len(paths):,}", file.parent)


def _check_room(place: Path, size: int) -> None:
    free = shutil.disk_usage(place).free
    if size > free:
        raise VaeklError(
            f"the decoded images would take {size / 1e9:,.1f} GB, and {place} has {free / 1e9:,.1f} GB: set a smaller "
            "dataset.size, or data_dir to a folder that has room."
        )


def _digest(lines: Iterable[str]) -> str:
    digest = blake2b(digest_size=8)
    for line in lines:
        digest.update(line.encode(errors="surrogateescape") + b"\n")
    return digest.hexdigest()


def _decode(paths: Sequence[Path], size: int | None, grayscale: bool, crop: int | None) -> Iterator[Array]:
    """The images in order, of one shape, with few of them in memory."""
    first = _read(paths[0], size, grayscale, crop)
    yield first

    def read(path: Path) -> Array:
        image = _read(path, size, grayscale, crop)
        if image.shape != first.shape:
            raise VaeklError(
                f"{path} has the shape {image.shape}, but {paths[0]} {first.shape}; "
                "set dataset.size to resize all images to one size."
            )
        return image

    together = max(1, min(_TOGETHER, _TOGETHER_BYTES // first.nbytes))
    with ThreadPoolExecutor() as pool:  # decoding and resizing release the interpreter's lock
        for start in range(1, len(paths), together):
            yield from pool.map(read, paths[start : start + together])


def _read(path: Path, size: int | None, grayscale: bool, crop: int | None) -> Array:
    try:
        with Image.open(path, formats=_FORMATS) as file:
            if file.width * file.height > _MOST_PIXELS:
                raise VaeklError(
                    f"{path} has {file.width} times {file.height} pixels, more than {_MOST_PIXELS:,}; remove it, or "
                    "make it smaller."
                )
            if file.mode in ("F", "I") or ";16" in file.mode:
                raise VaeklError(f"{path} has more than 8 bits a channel; convert it, or store the data as .npz.")
            image = ImageOps.exif_transpose(file).convert("L" if grayscale else "RGB")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise VaeklError(f"The image {path} cannot be read ({error}); remove or replace it.") from error
    if size is not None or crop is not None:
        side = crop or min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if size is not None:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[None] if grayscale else array.transpose(2, 0, 1)
