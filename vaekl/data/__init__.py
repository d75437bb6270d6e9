"""Data: what a data set is (`spec`), where it comes from (`sources`), what is done to it and how it is served."""

from vaekl.data.batches import batch_slices, batches_of, epoch_order
from vaekl.data.order import generator, numpy_generator, seed_of
from vaekl.data.spec import DataSpec
from vaekl.data.splits import Data, Split

__all__ = [
    "Data",
    "DataSpec",
    "Split",
    "batch_slices",
    "batches_of",
    "epoch_order",
    "generator",
    "numpy_generator",
    "seed_of",
]
