"""How a data set is known again: a digest of the images of each split."""

from hashlib import blake2b

import torch
from torch import Tensor

from vaekl.data.ondisk import OnDisk

#: bytes of a file's images that are read for it; of a larger file evenly spread images are
_MOST_BYTES = 1 << 28
#: bytes that are read at a time
_AT_ONCE = 1 << 24


def digest(images: Tensor | OnDisk) -> str:
    """Sixteen hexadecimal digits that belong to these images in this order.

    Of images in memory and of decoded files every one counts; of an .npy file above 256 MB some do, and how many there
    are.

    Args:
        images: [N, *S], as stored.
    """
    hashed = blake2b(f"{list(images.shape)}".encode(), digest_size=8)
    if isinstance(images, Tensor):
        hashed.update(images.contiguous().numpy().data)
    elif images.hashes is not None:
        hashed.update(images.hashes.tobytes())
    else:
        size = images.read(slice(0, 1)).nbytes
        chosen = min(len(images), max(2, _MOST_BYTES // max(size, 1)))
        rows = torch.arange(chosen) * (len(images) - 1) // max(chosen - 1, 1)
        for part in rows.split(max(1, _AT_ONCE // max(size, 1))):
            hashed.update(images.read(part.numpy()).data)
    return hashed.hexdigest()
