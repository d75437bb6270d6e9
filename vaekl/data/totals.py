"""Rates in proportion to the total of each row of counts: the size of a library of reads, the length of a text."""

from vaekl.data.converted import StoredImages
from vaekl.data.spec import DataSpec
from vaekl.data.standardize import moments
from vaekl.data.transforms import after
from vaekl.system.errors import VaeklError


def in_proportion(spec: DataSpec, mean: float) -> DataSpec:
    """The spec of counts x whose rates are exp(η) · Σx / mean."""
    step = f"given each {spec.example}'s total: rates exp(η)·total/{mean:.6g}, in samples of the prior exp(η)"
    return spec.with_(mean_total=mean, protocol=after(spec, step))


def mean_total(images: StoredImages, spec: DataSpec) -> float:
    """The mean of the sums of rows [N, *S], rounded to float32.

    Raises:
        VaeklError: they are no counts, or all of them are 0.
    """
    if spec.support == "real" and spec.are_counts:
        raise VaeklError(
            f"dataset.offset=total is for counts, and every column of {spec.name} holds counts, but dataset.kind=real "
            "takes them as real numbers: set dataset.kind=counts."
        )
    if spec.support != "counts":
        raise VaeklError(
            f"dataset.offset=total is for counts, but {spec.name} is {spec.support!r} ({spec.protocol}): set "
            "dataset.kind=counts and transform=auto if they are counts, else leave dataset.offset out."
        )
    mean = float((moments(images, "data")[0] * spec.dims).item())
    if not mean > 0:
        raise VaeklError(
            f"every {spec.example} of {spec.name} is 0, so that dataset.offset=total has no rate: leave it out."
        )
    return mean
