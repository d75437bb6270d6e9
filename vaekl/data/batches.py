"""Which images make a batch: the order of an epoch, and where its batches lie."""

from collections.abc import Iterator

from torch import Tensor

from vaekl.data.order import shuffled
from vaekl.data.splits import Split
from vaekl.system.errors import VaeklError


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch visits the images: a pure function of (seed, epoch).

    Args:
        n: how many images.
        seed: the run's seed, any whole number.
        epoch: counted from 0.

    Returns:
        int64 [n], a permutation, on the CPU.
    """
    return shuffled(n, "epoch", seed, epoch)


def batch_slices(n: int, batch_size: int, drop_last: bool = True) -> list[slice]:
    """Where the batches of n images lie.

    Args:
        n: how many images.
        batch_size: images in a batch.
        drop_last: whether to leave out a ragged last batch, so that every step weighs the same; evaluation must not.
            Where n < batch_size, the one batch holds all n images either way.

    Returns:
        Slices of an order (or of the images themselves).

    Raises:
        VaeklError: batch_size is below 1.

    >>> batch_slices(5, 2)
    [slice(0, 2, None), slice(2, 4, None)]
    """
    if batch_size < 1:
        raise VaeklError(f"A batch of {batch_size} is none; set the batch size to 1 or more.")
    end = n - n % batch_size if drop_last and n >= batch_size else n
    return [slice(start, min(start + batch_size, n)) for start in range(0, end, batch_size)]


def batches_of(split: Split, batch_size: int, seed: int, steps: range) -> Iterator[Tensor]:
    """Indices [B] of the images of each step's batch; the incomplete last batch of an epoch is left out.

    Args:
        split: whose images are visited.
        batch_size: images in a batch.
        seed: of the order.
        steps: the numbers of the steps, counted from the run's first.
    """
    slices, step = batch_slices(len(split), batch_size), steps.start
    while step < steps.stop:
        epoch, first = divmod(step, len(slices))
        order = epoch_order(len(split), seed, epoch).to(split.images.device)
        for batch in slices[first:]:
            yield order[batch]
        step += len(slices) - first
