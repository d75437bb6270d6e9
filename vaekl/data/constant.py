"""Which values of vectors are the same in every training example, so that nothing can be learned of them."""

import torch

from vaekl.data.converted import StoredImages
from vaekl.data.inventory import some_of
from vaekl.data.spec import DataSpec
from vaekl.data.together import gathered

#: examples that are compared at a time
_AT_ONCE = 1000


def constant_values(train: StoredImages, spec: DataSpec) -> list[str]:
    """A line that counts them, and names a table's columns; none for images, and where all values vary.

    Args:
        train: the training examples as stored, [N, *S].
        spec: what they are.
    """
    if len(spec.shape) != 1 or len(train) < 2:
        return []
    first, varies = gathered(train, slice(0, 1)), torch.zeros(spec.dims, dtype=torch.bool)
    for start in range(0, len(train), _AT_ONCE):
        varies |= (gathered(train, slice(start, start + _AT_ONCE)) != first).any(0)
    constant = (~varies).nonzero()[:, 0].tolist()
    if not constant:
        return []
    names = f": {some_of(spec.columns[index] for index in constant)}" if spec.columns else ""
    what, verb = "columns" if spec.columns else "values", "varies" if len(constant) == 1 else "vary"
    return [f"{len(constant):,} of {spec.dims:,} {what} never {verb} in training{names}"]
