"""Image files decoded into one array, many at a time."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vaekl.data.sources.build import Array
from vaekl.errors import VaeklError

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
    first = _read(paths[0], size, grayscale, crop)
    images = np.empty((len(paths), *first.shape), np.uint8)

    def fill(position: int) -> None:
        image = _read(paths[position], size, grayscale, crop)
        if image.shape != first.shape:
            raise VaeklError(
                f"{paths[position]} has the shape {image.shape}, but {paths[0]} {first.shape}; "
                "set dataset.size to resize all images to one size."
            )
        images[position] = image

    with ThreadPoolExecutor() as pool:  # decoding and resizing release the interpreter's lock
        for _ in pool.map(fill, range(len(paths))):
            pass
    return images


def _read(path: Path, size: int | None, grayscale: bool, crop: int | None) -> Array:
    try:
        with Image.open(path) as file:
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
