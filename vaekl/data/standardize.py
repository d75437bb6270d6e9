"""Real values as networks and priors like them, mean 0 and standard deviation 1, and back to the user's scale."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from vaekl.data.converted import StoredImages
from vaekl.data.scaling import Scaling
from vaekl.data.spec import DataSpec, Shape, Support
from vaekl.data.together import gathered
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
        numeric: which values of a table's row are numbers, where counts and categories stay as they are; `resolve`
            fills it in for a likelihood of columns. None for all of them.

    Raises:
        VaeklError: an unknown word.
    """

    per: Per = "auto"
    numeric: tuple[bool, ...] | None = None

    def __post_init__(self) -> None:
        one_of(self.per, "transform.per", get_args(Per))

    def resolve(self, spec: DataSpec, accepts: tuple[Support, ...]) -> Transform:
        if "mixed" not in accepts or not spec.kinds:
            return self
        return replace(self, numeric=tuple(kind == "numeric" for kind in spec.kind_of_values))

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        raise TypeError("Standardize has not seen the data: use what fitted(images) returns")

    def spec(self, spec: DataSpec) -> DataSpec:
        if spec.support != "real":
            raise refusal("standardize", spec, "real values")
        return spec if self.numeric is None else spec.with_(support="mixed")

    def fitted(self, images: StoredImages) -> "Standardized":
        """The transform with the moments of these images.

        Args:
            images: [N, *S], as stored: those to train on.
        """
        shape = tuple(images.shape[1:])
        per = ("value" if len(shape) == 1 else "data") if self.per == "auto" else self.per
        mean, std = moments(images, per, has_missing=self.numeric is not None)
        # a column that never varies stays as it is, around 0
        std = torch.where(std > 0, std, 1.0)
        if self.numeric is None:
            return Standardized(Scaling(mean, std, per))
        numeric = torch.tensor(self.numeric)
        return Standardized(Scaling(torch.where(numeric, mean, 0.0), torch.where(numeric, std, 1.0), per, mixed=True))


@dataclass(frozen=True)
class Standardized(Transform):
    """x' = (x − m)/s.

    Args:
        scaling: m and s.
    """

    scaling: Scaling

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        return self.scaling.standard(x.float())

    def to(self, device: torch.device | str) -> "Standardized":
        return Standardized(self.scaling.to(device))

    def spec(self, spec: DataSpec) -> DataSpec:
        scaling = self.scaling
        if scaling.spread.numel() == 1:
            rule = f"standardized (x − {scaling.center.item():.6g})/{scaling.spread.item():.6g}"
        else:
            rule = f"standardized by the mean and deviation of each {scaling.per} of the training data"
        if scaling.mixed:
            rule = (
                "numbers standardized by the mean and deviation of each column of the training data, others as stored"
            )
            rule += ", missing values left out" if spec.has_missing else ""
            spec = spec.with_(support="mixed")
        return spec.with_(scaling=scaling, protocol=after(spec, rule))


def moments(images: StoredImages, per: str, has_missing: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (of the population) of [N, *S], float32, each of a shape that broadcasts to S.

    Args:
        images: [N, *S].
        per: data, channel or value, for which there is one of each.
        has_missing: whether NaN stands for a missing value, which is left out.
    """
    shape = tuple(images.shape[1:])
    axes = _shared(shape, per)
    slices = [slice(start, start + _AT_ONCE) for start in range(0, len(images), _AT_ONCE)]

    def mean_of(power: Callable[[Tensor], Tensor]) -> Tensor:
        sums, counts = [], []
        for part in slices:
            values = power(gathered(images, part).double())
            there = ~values.isnan() if has_missing else torch.ones_like(values, dtype=torch.bool)
            sums.append(values.masked_fill(~there, 0).sum(axes, keepdim=True)[0])
            counts.append(there.sum(axes, keepdim=True)[0])
        return torch.stack(sums).sum(0) / torch.stack(counts).sum(0).clamp(min=1)

    mean = mean_of(lambda values: values)
    return mean.float(), mean_of(lambda values: (values - mean).square()).sqrt().float()


def _shared(shape: Shape, per: str) -> list[int]:
    """The axes of [N, *S] over which one number is taken."""
    whole = list(range(len(shape) + 1))
    return {"data": whole, "channel": [axis for axis in whole if axis != 1], "value": [0]}[per]
