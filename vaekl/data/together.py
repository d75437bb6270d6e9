"""Images of several splits as one array; and how images are gathered wherever they lie."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaekl.data.ondisk import OnDisk

if TYPE_CHECKING:
    from vaekl.data.converted import Converted


@dataclass(frozen=True)
class Together:
    """Images of several arrays in an order of their own; they stay where they are until they are gathered.

    Args:
        parts: the arrays, [N, *S] each, in memory or in a file.
        order: int64, which images these are, counted through the parts one after the other.
    """

    parts: "Sequence[Tensor | OnDisk | Together | Converted]"
    order: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *S)."""
        return (len(self), *self.parts[0].shape[1:])

    @property
    def device(self) -> torch.device:
        """Where an index is wanted."""
        return torch.device("cpu")

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: Tensor | slice) -> "Together":
        """Some of the images, none of them gathered."""
        return replace(self, order=self.order[index])

    def to(self, device: torch.device | str) -> "Together":
        """The same images on that device; those of a file are put there as they are read."""
        return replace(self, parts=[part.to(device) for part in self.parts])

    def gather(self, index: Tensor | slice) -> Tensor:
        """Some images on their device, [B, *S]."""
        rows = self.order[index if isinstance(index, slice) else index.cpu()]
        images, places, start = [], [], 0
        for part in self.parts:
            mine = ((rows >= start) & (rows < start + len(part))).nonzero()[:, 0]
            images.append(gathered(part, rows[mine] - start))
            places.append(mine)
            start += len(part)
        together = torch.cat(images)
        return together[torch.cat(places).argsort().to(together.device)]

    def stream(self, indices: Iterable[Tensor | slice]) -> Generator[Tensor]:
        """What `gather` gives for each index, in order."""
        yield from map(self.gather, indices)


def gathered(images: "Tensor | OnDisk | Together | Converted", index: Tensor | slice) -> Tensor:
    """Some images; those of 16 bits as int32, since torch can do little with uint16."""
    if not isinstance(images, Tensor):
        return images.gather(index)
    if images.dtype == torch.uint16:
        return gathered(images.view(torch.int16), index).int() & 0xFFFF
    if isinstance(index, slice):
        return images[index]
    return images.index_select(0, index.to(images.device))
