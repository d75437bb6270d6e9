"""What a data set is, as the rest of the program sees it: a shape, a number of levels, a support, and its images."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from itertools import groupby
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor

from vaekl.data.coding import Code
from vaekl.data.inventory import Inventory
from vaekl.data.ondisk import OnDisk
from vaekl.data.scaling import Scaling

Support = Literal["binary", "levels", "counts", "unit_interval", "real", "mixed"]
#: of one example: (D,), (C, T), (C, H, W) or (C, D, H, W); written S where it stands beside other axes, as in [B, *S]
Shape = tuple[int, ...]
#: what one example is called, by how many axes it has
_EXAMPLES = {1: "vector", 2: "signal", 3: "image", 4: "volume"}


@dataclass(frozen=True)
class DataSpec:
    """One example's shape and the set that its values lie in.

    The code calls every example an image; `example` is what it is called where a user reads it.

    Args:
        name: the data set, as the user typed it.
        shape: S, which is (D,) of a vector, (C, T) of a signal, (C, H, W) of an image, (C, D, H, W) of a volume.
        levels: how many values a pixel can take (256 for 8-bit data, 2 for binary data), or None.
        support: "binary" {0, 1}, "levels" {0..levels−1}, "counts" {0, 1, 2, ...}, "unit_interval" [0, 1], "real",
            or "mixed": columns of a table, each of its own kind.
        protocol: what was done to the stored values, as every reported figure must name it.
        scaling: how real values were standardized, or None.
        dequantized: whether the values are `(k + U)/levels`, so that log2(levels) turns a density's bits/dim
            into a bound on those of the integers.
        codes: how each column of a table becomes numbers, where an example is the row of one; () where it is none.
        has_missing: whether values may be NaN, which stands for a missing one.
        mean_total: the mean over the training rows of a row's sum, where a row's rates are in proportion to its sum;
            else None.

    >>> DataSpec("digits", (1, 8, 8), levels=17, support="levels").dims
    64
    """

    name: str
    shape: Shape
    levels: int | None
    support: Support
    protocol: str = "as stored"
    dequantized: bool = False
    scaling: Scaling | None = field(default=None, compare=False)
    codes: tuple[Code, ...] = ()
    has_missing: bool = False
    mean_total: float | None = None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of a vector's values where it is the row of a table; () where they have none."""
        return tuple(name for code in self.codes for name in code.names)

    @cached_property
    def kinds(self) -> tuple[tuple[str, int], ...]:
        """Of each column of that table numeric, count, binary or categorical, and how many values it has in a row."""
        return tuple((code.kind, len(code.names)) for code in self.codes)

    @cached_property
    def categories(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Of each column of that table its name, and its values in words, in their order; () of numbers."""
        return tuple((code.name, code.words) for code in self.codes)

    @property
    def dims(self) -> int:
        """D, the number of values in one example."""
        return prod(self.shape)

    @property
    def example(self) -> str:
        """What one of them is called: a row, a vector, a signal, an image or a volume.

        >>> DataSpec("mine", (13,), None, "real").example
        'vector'
        """
        return "row" if self.columns else _EXAMPLES.get(len(self.shape), "example")

    @property
    def channels(self) -> list[str]:
        """What each entry of the first axis of S is called: a column of rows, a value of vectors, else a channel."""
        if self.columns:
            return [f"column {name}" for name in self.columns]
        word = "value" if len(self.shape) == 1 else "channel"
        return [f"{word} {index}" for index in range(self.shape[0])]

    @property
    def units_differ(self) -> bool:
        """Whether the values of an example have units of their own, so that one σ of all would be of none of them."""
        has_own_scales = self.scaling is not None and (self.scaling.per == "value" or self.scaling.mixed)
        return len(self.shape) == 1 < self.shape[0] and (bool(self.kinds) or has_own_scales)

    @property
    def figures_protocol(self) -> str:
        """What was done to the stored values, and on which scale an ELBO is that is reported."""
        own_scale = "" if self.scaling is None else "; ELBO on the data's own scale, not the standardized one"
        return self.protocol + own_scale

    @property
    def kind_of_values(self) -> list[str]:
        """The kind of the column that each value of a table's row belongs to; [] where there are none."""
        return [kind for kind, width in self.kinds for _ in range(width)]

    @property
    def are_counts(self) -> bool:
        """Whether they are rows of a table whose columns all hold counts, whatever they are taken for."""
        # a column of counts that are all 0 or 1 is binary to the table
        counts = [code.kind == "count" or code.categories == (0, 1) for code in self.codes]
        return bool(counts) and all(counts)

    @property
    def is_picture(self) -> bool:
        """Whether they are images whose values are shades of [0, 1]."""
        return len(self.shape) == 3 and self.is_bounded

    @property
    def is_bounded(self) -> bool:
        """Whether the values have two ends, which are 0 and 1 on the scale of pictures."""
        return self.support not in ("counts", "real", "mixed")

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
            `name`; `shape`, S; `example`, what one is called; `support`, as above; `level_width`, a number or None;
            `spread`, the root of the mean square of what the values were divided by, or None; `protocol`;
            `levels`, how many values a pixel can take, or None; `columns`, a digest of the names of a table's columns
            in their order, and of their kinds where each is modelled as its own, or None.
        """
        columns = (self.columns, self.kinds) if self.support == "mixed" else self.columns
        return {
            "name": self.name,
            "shape": list(self.shape),
            "example": self.example,
            "support": self.support,
            "level_width": self.level_width,
            "spread": None if self.scaling is None else self.scaling.spread.double().square().mean().sqrt().item(),
            "protocol": self.protocol,
            "levels": self.levels,
            "columns": blake2b(repr(columns).encode(), digest_size=8).hexdigest() if self.columns else None,
        }

    def to_unit(self, x: Tensor) -> Tensor:
        """The values as pictures and most networks see them: levels become k/(levels−1), all else stays.

        Args:
            x: [B, *S], as the likelihood sees them.
        """
        if self.support == "levels" and self.levels is not None:
            return x.float() / (self.levels - 1)
        return x

    def to_encoder(self, x: Tensor) -> Tensor:
        """The values as the encoder sees them: counts, which may be of any size, become ln(1 + x), missing values 0.

        0 is the mean of a column of numbers.

        Args:
            x: [B, *S], as the likelihood sees them.
        """
        if self.support == "counts":
            return x.float().log1p()
        seen = self.to_unit(x)
        if self.support == "mixed" and "count" in self.kind_of_values:
            seen = torch.where(self._is_count(x.device), seen.clamp(min=0).log1p(), seen)
        return seen.nan_to_num(nan=0.0) if self.has_missing else seen

    def _is_count(self, device: torch.device) -> Tensor:
        """Which values are counts, [D]; filled in on the device, since a copy from the CPU would wait for it."""
        mask, start = torch.zeros(len(self.kind_of_values), dtype=torch.bool, device=device), 0
        for kind, values in groupby(self.kind_of_values):
            stop = start + len(list(values))
            if kind == "count":
                mask[start:stop].fill_(True)
            start = stop
        return mask

    def offset(self, x: Tensor) -> Tensor | None:
        """ln(total/mean total) of each row, [B, 1, ...]; of a row of zeros −10,000, whose rate is 0 in any float.

        Args:
            x: [B, *S], counts.

        Returns:
            None where rates are not in proportion to totals.

        >>> DataSpec("words", (2,), None, "counts", mean_total=6.0).offset(torch.tensor([[4.0, 2.0]]))
        tensor([[0.]])
        """
        if self.mean_total is None:
            return None
        total = x.flatten(1).sum(1).view(-1, *[1] * len(self.shape))
        return (total / self.mean_total).log().clamp(min=-1e4)

    @property
    def at_mean_total(self) -> str:
        """Which total an example has that no row gives one, for the words of a picture."""
        return "" if self.mean_total is None else f", at the mean total of {self.mean_total:.6g}"

    def to_data(self, x: Tensor) -> Tensor:
        """The values on the scale that is reported: of pictures, and of the user's own where these are real.

        Args:
            x: [B, *S], as the likelihood sees them.
        """
        return self.to_unit(x) if self.scaling is None else self.scaling.original(x)

    def data_variance(self, variance: Tensor) -> Tensor:
        """A variance on the scale that is reported, in its square.

        Args:
            variance: of the values as the likelihood sees them, [B, *S].
        """
        if self.scaling is not None:
            return variance * self.scaling.spread.to(variance.device).square()
        # twice, since a variance has the square of the unit
        return self.to_unit(self.to_unit(variance))

    @property
    def log_volume(self) -> float:
        """By how many nats an example's density is smaller on the user's scale than on the modelled one."""
        return 0.0 if self.scaling is None else self.scaling.log_volume(self.shape)

    def with_(self, **changes: object) -> "DataSpec":
        """A copy with some fields changed; what a transform returns.

        Args:
            changes: the new values, by the names of the fields.
        """
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Source:
    """A data set as it is stored, before any transform: images in memory or in a file, and what their values are.

    Args:
        spec: of the stored values: "levels", "binary" or "counts" of whole numbers, else "unit_interval" or "real".
        train: [N, *S], of whole numbers or float32; none where the data can only be looked at.
        test: [N, *S], of the same type; no training step ever sees it.
        valid: [N, *S] where the data set has a validation split of its own, else None.
        train_labels: int64 [N], or None.
        valid_labels: int64 [N], or None.
        test_labels: int64 [N], or None.
        inventory: where the images are from, and what was left out; the head of a run prints it.
        rows: where train and test were cut from one array, for either the place of each image in it, int64 [N].
        by_total: whether a row's rates are in proportion to its sum.
    """

    spec: DataSpec
    train: Tensor | OnDisk
    test: Tensor | OnDisk
    valid: Tensor | OnDisk | None = None
    train_labels: Tensor | None = None
    valid_labels: Tensor | None = None
    test_labels: Tensor | None = None
    inventory: Inventory = field(default_factory=Inventory)
    rows: dict[str, Tensor] = field(default_factory=dict)
    by_total: bool = False
