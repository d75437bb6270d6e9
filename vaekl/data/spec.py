"""What a data set is, as the rest of the program sees it: a shape, a number of levels, a support, and its images."""

from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

from torch import Tensor

from vaekl.data.inventory import Inventory
from vaekl.data.ondisk import OnDisk

Support = Literal["binary", "levels", "unit_interval", "real"]


@dataclass(frozen=True)
class DataSpec:
    """One image's shape and the set that its values lie in.

    Args:
        name: the data set, as the user typed it.
        shape: (C, H, W).
        levels: how many values a pixel can take (256 for 8-bit data, 2 for binary data), or None.
        support: "binary" {0, 1}, "levels" {0..levels−1}, "unit_interval" [0, 1], or "real".
        protocol: what was done to the stored values, as every reported figure must name it.
        dequantized: whether the values are `(k + U)/levels`, so that log2(levels) turns a density's bits/dim
            into a bound on those of the integers.

    >>> DataSpec("digits", (1, 8, 8), levels=17, support="levels").dims
    64
    """

    name: str
    shape: tuple[int, int, int]
    levels: int | None
    support: Support
    protocol: str = "as stored"
    dequantized: bool = False

    @property
    def dims(self) -> int:
        """D, the number of values in one image."""
        return prod(self.shape)

    @property
    def level_width(self) -> float | None:
        """The distance between neighbouring grey levels on the scale [0, 1] of pictures; None for data without any.

        >>> DataSpec("digits", (1, 8, 8), levels=17, support="levels").level_width
        0.0625
        """
        if self.levels is None or self.levels <= 2 or self.support not in ("levels", "unit_interval"):
            return None
        return 1 / (self.levels if self.dequantized else self.levels - 1)

    def facts(self) -> dict[str, Any]:
        """What is true of the data, as values of JSON: a run's folder holds it.

        Returns:
            `name`; `shape`, [C, H, W]; `support`, as above; `level_width`, a number or None; `protocol`.
        """
        return {
            "name": self.name,
            "shape": list(self.shape),
            "support": self.support,
            "level_width": self.level_width,
            "protocol": self.protocol,
        }

    def to_unit(self, x: Tensor) -> Tensor:
        """[B, C, H, W] as the networks and the pictures see it: levels become k/(levels−1), all else stays."""
        if self.support == "levels" and self.levels is not None:
            return x.float() / (self.levels - 1)
        return x

    def with_(self, **changes: object) -> "DataSpec":
        """A copy with some fields changed; what a transform returns."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Source:
    """A data set as it is stored, before any transform: images in memory or in a file, and what their values are.

    Args:
        spec: of the stored values: "levels" or "binary" for uint8, "unit_interval" or "real" for float32.
        train: [N, C, H, W], uint8 or float32.
        test: [N, C, H, W], of the same type; no training step ever sees it.
        valid: [N, C, H, W] where the data set has a validation split of its own, else None.
        train_labels: int64 [N], or None.
        valid_labels: int64 [N], or None.
        test_labels: int64 [N], or None.
        inventory: where the images are from, and what was left out; the head of a run prints it.
    """

    spec: DataSpec
    train: Tensor | OnDisk
    test: Tensor | OnDisk
    valid: Tensor | OnDisk | None = None
    train_labels: Tensor | None = None
    valid_labels: Tensor | None = None
    test_labels: Tensor | None = None
    inventory: Inventory = field(default_factory=Inventory)
