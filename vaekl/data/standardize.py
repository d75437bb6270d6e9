"""Real values as networks and priors like them, mean 0 and standard deviation 1, and back to the user's scale."""

from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from vaekl.data.ondisk import OnDisk
from vaekl.data.spec import DataSpec, Scaling, Shape
from vaekl.data.together import Together, gathered
from vaekl.data.transforms import Transform, after, refusal
from vaekl.system.checks import one_of

Per = Literal["auto", "data", "channel", "value"]
#: images of a file whose moments are taken at a time
_AT_ONCE = 1000


@dataclass(frozen=True)
class Standardize(Transform):
    """x' = (x − m)/s with the mean m and the standard deviation s of the training images, then `fitted` to them.

    What is reported is on the user's scale: pictures, samples, σ and RMSE are multiplied by s, and every log density is
    that of x' less Σ ln s. φ is one of x'.

    Args:
        per: one m and one s for all values ("data"), for each channel or for each value; "auto" is "value" for
            vectors, whose columns are quantities of their own, and "data" for all else.

    Raises:
        VaeklError: an unknown word.
    """

    per: Per = "auto"

    def __post_init__(self) -> None:
        one_of(self.per, "transform.per", get_args(Per))

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        raise TypeError("Standardize has not seen the data: use what fitted(images) returns")

    def spec(self, spec: DataSpec) -> DataSpec:
        if spec.support != "real":
            raise refusal("standardize", spec, "real values")
        return spec

    def fitted(self, images: Tensor | OnDisk | Together) -> "Standardized":
        """The transform with the moments of these images.

        Args:
            images: [N, *S], as stored: those to train on.
        """
        shape = tuple(images.shape[1:])
        per = ("value" if len(shape) == 1 else "data") if self.per == "auto" else self.per
        mean, std = moments(images, per)
        # a column that never varies stays as it is, around 0
        return Standardized(Scaling(mean, torch.where(std > 0, std, 1.0), per))


@dataclass(frozen=True)
class Standardized(Transform):
    """x' = (x − m)/s.

    Args:
        scaling: m and s.
    """

    scaling: Scaling

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        return self.scaling.standard(x.float())

    def spec(self, spec: DataSpec) -> DataSpec:
        scaling = self.scaling
        if scaling.spread.numel() == 1:
            rule = f"standardized (x − {scaling.center.item():.6g})/{scaling.spread.item():.6g}"
        else:
            rule = f"standardized by the mean and deviation of each {scaling.per} of the training data"
        return spec.with_(scaling=scaling, protocol=after(spec, rule))


def moments(images: Tensor | OnDisk | Together, per: str) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (of the population) of [N, *S], float32, each of a shape that broadcasts to S."""
    shape = tuple(images.shape[1:])
    axes = _shared(shape, per)
    count = len(images) * prod(shape[axis - 1] for axis in axes if axis)
    slices = [slice(start, start + _AT_ONCE) for start in range(0, len(images), _AT_ONCE)]

    def total(of: Tensor | None) -> Tensor:
        parts = []
        for part in slices:
            values = gathered(images, part).double()
            parts.append((values if of is None else (values - of).square()).sum(axes, keepdim=True)[0])
        return torch.stack(parts).sum(0) / count

    mean = total(None)
    return mean.float(), total(mean).sqrt().float()


def _shared(shape: Shape, per: str) -> list[int]:
    """The axes of [N, *S] over which one number is taken."""
    whole = list(range(len(shape) + 1))
    return {"data": whole, "channel": [axis for axis in whole if axis != 1], "value": [0]}[per]
