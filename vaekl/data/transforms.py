"""From stored values to the values that a likelihood models: done on a whole batch, on the batch's device.

A transform says what it makes of a `DataSpec`, so that a mismatch is refused before the first batch, and it writes
what it did into `DataSpec.protocol`, because a figure in nats without its protocol means nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

import torch
from torch import Generator, Tensor

from vaekl.data.row_noise import uniform
from vaekl.data.spec import DataSpec, Support
from vaekl.system.checks import is_number, one_of
from vaekl.system.errors import VaeklError

BinarizeMode = Literal["threshold", "stochastic"]


class Transform(ABC):
    """A map of a batch [B, *S] and of the spec that describes it.

    Attributes:
        row_by_row: whether what it makes of a row depends on that row and on random numbers of `uniform` alone, so that
            batches may be transformed as one; False for a user's own.
    """

    row_by_row = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.row_by_row = cls.__module__.startswith(f"{__package__}.")

    def __call__(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """The transformed batch.

        Args:
            x: [B, *S], as stored.
            generator: where the random numbers come from, on x's device; None means torch's global one.

        Returns:
            [B, *S], float32 (`Levels` alone gives int64).
        """
        return self.apply(x, generator)

    @abstractmethod
    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        """What `__call__` returns; a subclass writes this.

        Args:
            x: [B, *S], as stored.
            generator: of the random numbers, on x's device; None means torch's global one.
        """

    @abstractmethod
    def spec(self, spec: DataSpec) -> DataSpec:
        """The spec of the transformed values.

        Raises:
            VaeklError: this transform does not fit such data.
        """

    def resolve(self, spec: DataSpec, accepts: tuple[Support, ...]) -> "Transform":
        """This transform with what it must know of the data filled in, or the one that is chosen for them.

        Args:
            spec: of the stored values.
            accepts: the supports that the likelihood accepts.
        """
        return self

    def to(self, device: torch.device | str) -> "Transform":
        """The same with the tensors that it has, if any, on `device`."""
        return self

    def without_noise(self) -> "Transform | None":
        """What gives one result for one x, for a program that draws nothing: the noise of dequantization at its mean.

        Returns:
            None where that would be no value of the data, as the mean of a 0 or 1 that is drawn.
        """
        return self


def after(spec: DataSpec, step: str) -> str:
    """The protocol of values to which one more step was done."""
    return step if spec.protocol == "as stored" else f"{spec.protocol}, then {step}"


def refusal(step: str, spec: DataSpec, needs: str) -> VaeklError:
    """The sentence for a transform that does not fit the data."""
    return VaeklError(
        f"transform={step} needs {needs}, but {spec.name} is {spec.support!r} at that point ({spec.protocol}); "
        "choose transform=auto, or a data set that fits."
    )


class AsStored(Transform):
    """The values unchanged, as float32."""

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        return x.float()

    def spec(self, spec: DataSpec) -> DataSpec:
        return spec


class Levels(Transform):
    """The integers themselves, k, as int64: for a categorical likelihood."""

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        return x.long()

    def spec(self, spec: DataSpec) -> DataSpec:
        if spec.levels is None or spec.support not in ("levels", "binary"):
            raise refusal("levels", spec, "whole-numbered levels")
        return spec.with_(support="levels", protocol=after(spec, "integers"))


@dataclass(frozen=True)
class _OfLevels(Transform):
    """A transform that must know the largest value that a pixel can take.

    Args:
        top: that value, K − 1 for levels and 1 on the unit interval; `resolve` fills it in from the spec.
    """

    top: int | None = None

    def resolve(self, spec: DataSpec, accepts: tuple[Support, ...]) -> Transform:
        whole = spec.levels is not None and spec.support in ("levels", "binary")
        return replace(self, top=cast(int, spec.levels) - 1 if whole else 1)

    def scaled(self, x: Tensor) -> Tensor:
        """x / top, float32."""
        return x / self.largest()

    def largest(self) -> int:
        """`top`, once `resolve` has filled it in."""
        if self.top is None:
            raise TypeError(f"{type(self).__name__} has not seen the data: use what resolve(spec, accepts) returns")
        return self.top


class Scale(_OfLevels):
    """Levels onto the unit interval, ends included: k / (K − 1)."""

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        return self.scaled(x)

    def spec(self, spec: DataSpec) -> DataSpec:
        if spec.support in ("binary", "unit_interval"):
            return spec
        if spec.levels is None or spec.support != "levels":
            raise refusal("scale", spec, "levels to divide by")
        return spec.with_(support="unit_interval", protocol=after(spec, f"scaled k/{spec.levels - 1}"))


class Dequantize(_OfLevels):
    """Levels made continuous, each filling its own bin: (k + U) / K with U uniform on (0, 1).

    The result is strictly inside (0, 1), and floor(x K) is k again, in float32 also.
    """

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        levels = self.largest() + 1
        noise = uniform(x.shape, generator, x.device)
        # in float32 k + U rounds up to k + 1 for a U that is almost 1, and the division by K can round across an edge
        # of the bin: this margin is twice the worst of these errors
        margin = levels * 2.0**-22
        return noise.clamp_(margin, 1 - margin).add_(x).div_(levels)

    def without_noise(self) -> Transform:
        return _Centre(self.top)

    def spec(self, spec: DataSpec) -> DataSpec:
        if spec.levels is None or spec.support not in ("levels", "binary"):
            raise refusal("dequantize", spec, "whole-numbered levels")
        protocol = after(spec, f"dequantized (k + U)/{spec.levels}")
        return spec.with_(support="unit_interval", dequantized=True, protocol=protocol)


class _Centre(Dequantize):
    """Levels at the centres of their bins: (k + ½) / K."""

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        return (x + 0.5) / (self.largest() + 1)


@dataclass(frozen=True)
class Binarize(_OfLevels):
    """Grey values made 0 or 1, by 1[v ≥ threshold] or by v's own chance, x ~ Bernoulli(v), with v = k / (K − 1).

    Args:
        mode: "threshold", or "stochastic", which draws anew at every call.
        threshold: in (0, 1]; used by "threshold" alone.

    Raises:
        VaeklError: an unknown mode or a threshold outside (0, 1].
    """

    mode: BinarizeMode = field(default="threshold", kw_only=True)
    threshold: float = field(default=0.5, kw_only=True)

    def __post_init__(self) -> None:
        one_of(self.mode, "transform.mode", get_args(BinarizeMode))
        if not is_number(self.threshold) or not 0 < self.threshold <= 1:
            raise VaeklError(f"transform.threshold={self.threshold!r} is not in (0, 1]; 0.5 is the usual choice.")

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        values = self.scaled(x)
        if self.mode == "threshold":
            return values.ge_(self.threshold)
        return (uniform(x.shape, generator, x.device) < values).float()

    def without_noise(self) -> Transform | None:
        return self if self.mode == "threshold" else None

    def spec(self, spec: DataSpec) -> DataSpec:
        if spec.support == "binary":
            return spec
        if spec.support in ("real", "mixed") or (spec.support == "counts" and self.mode == "stochastic"):
            raise refusal("binarize", spec, "levels or values in [0, 1]")
        value = f"k/{spec.levels - 1}" if spec.support == "levels" and spec.levels is not None else "x"
        rule = f"1[{value} >= {self.threshold:g}]" if self.mode == "threshold" else f"Bernoulli({value}) at each draw"
        protocol = after(spec, f"binarized {rule}")
        return spec.with_(support="binary", levels=2, dequantized=False, protocol=protocol)


class Compose(Transform):
    """Several transforms, one after the other.

    Args:
        steps: applied first to last.
    """

    def __init__(self, steps: Iterable[Transform]) -> None:
        self.steps = tuple(steps)
        self.row_by_row = type(self).row_by_row and all(step.row_by_row for step in self.steps)

    def resolve(self, spec: DataSpec, accepts: tuple[Support, ...]) -> Transform:
        steps = []
        for step in self.steps:
            steps.append(step.resolve(spec, accepts))
            spec = steps[-1].spec(spec)
        return Compose(steps)

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        for step in self.steps:
            x = step(x, generator)
        return x

    def without_noise(self) -> Transform | None:
        steps = [step.without_noise() for step in self.steps]
        return None if None in steps else Compose([step for step in steps if step is not None])

    def spec(self, spec: DataSpec) -> DataSpec:
        for step in self.steps:
            spec = step.spec(spec)
        return spec
