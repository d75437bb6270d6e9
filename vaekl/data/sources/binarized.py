"""MNIST binarised once and for all, from files that the user provides."""

from pathlib import Path

import numpy as np

from vaekl.data.files import open_file
from vaekl.data.ondisk import Array
from vaekl.data.sources.array_files import of_npz
from vaekl.data.sources.build import Part, build_source
from vaekl.data.sources.staging import data_root
from vaekl.data.spec import Source
from vaekl.system.errors import VaeklError, first_line

#: images of each split
ROWS = {"train": 50_000, "valid": 10_000, "test": 10_000}

#: bytes of a file; those of the training images have 78 million
_MOST = 1 << 28


def binarized_mnist(path: str | None = None, root: str | None = None, name: str = "binarized_mnist") -> Source:
    """MNIST binarised once and for all, 1x28x28, Larochelle's split: 50,000 to train, 10,000 each to validate and test.

    Args:
        path: binarized_mnist.npz, or a folder with it or the three files binarized_mnist_{train,valid,test}.amat;
            None looks in the data directory.
        root: the data directory; None means VAEKL_DATA_DIR, or else the user's cache.
        name: what the data set is called in reports.

    Returns:
        The source, with its own validation split.

    Raises:
        VaeklError: the files are missing, truncated or not this data set.

    Source: Larochelle and Murray, The neural autoregressive distribution estimator, 2011.
    """
    place = Path(path).expanduser() if path else data_root(root)
    packed = place if place.suffix == ".npz" else place / "binarized_mnist.npz"
    if packed.is_file():
        arrays = of_npz(packed)
        missing = [split for split in ROWS if split not in arrays or arrays[split].unusable]
        if missing:
            raise VaeklError(f"{packed} lacks the array {missing[0]}; replace it by a whole copy.")
        rows = {split: (_unpacked(np.asarray(arrays[split].read())), f"{split} in {packed}") for split in ROWS}
    else:
        files = {split: place / f"binarized_mnist_{split}.amat" for split in ROWS}
        absent = [file.name for file in files.values() if not file.is_file()]
        if absent:
            raise VaeklError(
                f"{name} is not downloaded: put binarized_mnist.npz, or the three files "
                f"binarized_mnist_{{train,valid,test}}.amat ({', '.join(absent)} missing), in {packed.parent}, "
                "or use dataset=digits or dataset=patches, which need no files."
            )
        rows = {split: (_amat(file), str(file)) for split, file in files.items()}
    parts = {}
    for split, (array, title) in rows.items():
        if array.shape != (ROWS[split], 784) or array.max() > 1:
            raise VaeklError(
                f"{title} is not {ROWS[split]:,} rows of 784 binary values (its shape is {array.shape}): "
                "it is truncated or another data set; replace it."
            )
        parts[split] = Part(array.reshape(-1, 1, 28, 28), None, title)
    return build_source(name, parts, levels=2)


def _unpacked(array: Array) -> Array:
    """Rows of 784 values, from rows of 98 bytes that each hold 8."""
    if array.dtype == np.uint8 and array.ndim == 2 and array.shape[1] == 98:
        return np.unpackbits(array, axis=1)
    return array


def _amat(file: Path) -> Array:
    """Rows of 784 zeros and ones from text; a thousand times faster than numpy.loadtxt."""
    try:
        with open_file(file, _MOST) as opened:
            text = np.frombuffer(opened.read(), np.uint8)
    except (OSError, ValueError) as error:
        raise VaeklError(f"{file} cannot be read ({first_line(error)}): replace it.") from error
    digit = text >> 1 == ord("0") >> 1  # "0" and "1" differ in their last bit alone
    blanks = sum(np.count_nonzero(text == ord(blank)) for blank in " \n\r\t")
    digits = np.count_nonzero(digit)
    if digits + blanks != len(text) or digits % 784:
        raise VaeklError(f"{file} is not rows of 784 zeros and ones: it is truncated or another file; replace it.")
    rows: Array = text[digit] - ord("0")
    return rows.reshape(-1, 784)
