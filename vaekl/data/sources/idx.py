"""Files in the format of MNIST, read without torchvision, which takes more than a second to import."""

from math import prod
from pathlib import Path

import numpy as np

from vaekl.data.files import open_file
from vaekl.data.ondisk import Array

#: begins a file of bytes; the number of its axes follows
_BYTES = [0, 0, 8]


def read_idx(file: Path, axes: int, most: int) -> Array:
    """The bytes of a file, uint8.

    Args:
        file: it.
        axes: 3 of images, 1 of labels.
        most: bytes that it has at most.

    Raises:
        OSError, ValueError: it cannot be opened, or is no whole file of this format.
    """
    with open_file(file, most) as opened:
        content = np.frombuffer(bytearray(opened.read()), np.uint8)
    begin = 4 + 4 * axes
    if content[:4].tolist() != [*_BYTES, axes] or len(content) < begin:
        raise ValueError(f"{file} does not begin as a file of bytes with {axes} axes does")
    shape = content[4:begin].view(">i4").tolist()
    if len(content) - begin != prod(shape):
        raise ValueError(f"{file} is cut off, or too long")
    return content[begin:].reshape(shape)
