"""What was done to real values before a likelihood saw them, and how it is undone."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scaling:
    """What was subtracted from the user's values and what they were divided by, before a likelihood saw them.

    Args:
        center: m, float32, of a shape that broadcasts to S.
        spread: s > 0, of the same shape.
        per: what each of them belongs to: data, channel or value.
        mixed: whether they are 0 and 1 for the counts and categories of a table.
    """

    center: Tensor
    spread: Tensor
    per: str
    mixed: bool = False

    def standard(self, x: Tensor) -> Tensor:
        """(x − m)/s of [B, *S]."""
        return (x - self.center.to(x.device)) / self.spread.to(x.device)

    def original(self, x: Tensor) -> Tensor:
        """x·s + m of [B, *S], the user's values."""
        return x * self.spread.to(x.device) + self.center.to(x.device)

    def to(self, device: torch.device | str) -> "Scaling":
        """The same with m and s on `device`, so that no batch there waits for a copy of them."""
        return replace(self, center=self.center.to(device), spread=self.spread.to(device))

    def log_volume(self, shape: tuple[int, ...]) -> float:
        """Σ ln s over the values of S, nats: ln p of the user's values is that of the standard ones less this."""
        return float(self.spread.double().log().expand(shape).sum())

    def log_volume_present(self, x: Tensor) -> Tensor:
        """The same over the values of x [B, *S] that are not missing, [B]."""
        volume = self.spread.to(x.device).log().expand(x.shape)
        return volume.masked_fill(x.isnan(), 0).flatten(1).sum(1)
