"""Examples of any shape as small pictures of one size, which are then laid out as images are.

Images are drawn as they are, of volumes the middle slice, signals as lines (a strip for each channel), vectors as bars.
"""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool1d, interpolate

from vaekl.data import DataSpec

#: pixels of a plot
_WIDTH, _HEIGHT = 96, 64
_INK, _BAR, _PAPER = 0.0, 0.35, 1.0
#: the most bars of a vector; a longer one is drawn as a line
_MOST_BARS = 48
#: the most channels of a signal that are drawn, and the least height of each
_MOST_STRIPS, _LEAST_STRIP = 8, 24
#: points of a line for each pixel of its width
_POINTS = 4
#: how the ends of values are taken, and what stands for a missing one
_ENDS = ((torch.amin, inf), (torch.amax, -inf))
#: how many ends of values a caption names
_MOST_NAMED = 16


@dataclass(frozen=True)
class Tiles:
    """How the examples of a data set are drawn: all of them between the same two ends.

    Args:
        spec: of the data.
        low: what is drawn black, or at the lower edge; float64, of a shape that broadcasts against S: one for all of an
            image or a volume, one for each channel of a signal, one for each value of a vector.
        high: what is drawn white, or at the upper edge; the same.
    """

    spec: DataSpec
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, spec: DataSpec, inputs: Tensor) -> "Tiles":
        """Between 0 and 1, or between the smallest and the largest of the inputs where the data have no such ends.

        Args:
            spec: of the data.
            inputs: [N, *S] on the scale of pictures.
        """
        # a vector's values may have different units, and so may a signal's channels
        channels = spec.shape[0] if len(spec.shape) <= 2 else 1
        shape = (channels, *[1] * (len(spec.shape) - 1))
        if spec.is_bounded:
            return cls(spec, torch.zeros(shape, dtype=torch.float64), torch.ones(shape, dtype=torch.float64))
        values = inputs.cpu().double().reshape(len(inputs), channels, -1)
        # a missing value is no end
        low, high = (end(values.nan_to_num(nan=out), (0, 2)).view(shape) for end, out in _ENDS)
        return cls(spec, low, torch.maximum(high, low + 1e-6))

    def drawn(self, examples: Tensor) -> Tensor:
        """Pictures [N, 1 or 3, H, W] in [0, 1] of examples [N, *S] on the scale of pictures; float32, on the CPU."""
        shades = (
            ((examples.float().cpu() - self.low.float()) / (self.high - self.low).float()).nan_to_num(0).clamp(0, 1)
        )
        axes = len(self.spec.shape)
        if axes == 1 and shades.shape[1] <= _MOST_BARS:
            return _bars(shades)
        if axes <= 2:
            return _lines(shades[:, None] if axes == 1 else shades[:, :_MOST_STRIPS])
        if axes > 3:
            shades = shades[:, :, shades.shape[2] // 2]
        return shades if shades.shape[1] in (1, 3) else shades[:, :1]

    def words(self, examples: Tensor) -> str:
        """What the pictures of these examples do not show, each part after a semicolon."""
        axes, channels = len(self.spec.shape), self.spec.shape[0]
        parts = []
        if axes == 2 and channels > _MOST_STRIPS:
            parts.append(f"the first {_MOST_STRIPS} of {channels} channels")
        if axes > 2 and channels not in (1, 3):
            parts.append(f"the first of {channels} channels")
        if axes > 3:
            parts.append(f"slice {self.spec.shape[1] // 2 + 1} of {self.spec.shape[1]}")
        low, high = self.low.flatten().tolist(), self.high.flatten().tolist()
        if axes > 2 and (low, high) != ([0.0], [1.0]):
            parts.append(f"black is {low[0]:.3g}, white is {high[0]:.3g}")
        if axes <= 2:
            names = [f"{name} " for name in self.spec.columns] or [""] * len(low)
            ends = [f"{name}{a:.3g} to {b:.3g}" for name, a, b in zip(names, low, high, strict=True)]
            shown = list(dict.fromkeys(ends)) if len(set(ends)) == 1 else ends[:_MOST_NAMED]
            more = f" and {len(ends) - _MOST_NAMED:,} more" if len(shown) == _MOST_NAMED < len(ends) else ""
            parts.append(f"lower to upper edge: {', '.join(shown)}{more}")
        values = examples.cpu().double()
        beyond = (values < self.low) | (values > self.high)
        if beyond.any():
            parts.append(f"clipped: {beyond.float().mean():.1%} of the values")
        return "".join(f"; {part}" for part in parts)


def _bars(shades: Tensor) -> Tensor:
    """A bar for each value, [N, 1, H, W], of values [N, D] in [0, 1]."""
    each = _WIDTH // max(2, shades.shape[1])
    height = (shades * (_HEIGHT - 1)).round().repeat_interleave(each, 1)
    inside = torch.arange(_HEIGHT).flip(0).view(1, -1, 1) <= height.unsqueeze(1)
    if each > 2:
        inside[:, :, each - 1 :: each] = False
    return torch.where(inside, _BAR, _PAPER).unsqueeze(1)


def _lines(shades: Tensor) -> Tensor:
    """A line for each channel in a strip of its own, [N, 1, H, W], of values [N, C, T] in [0, 1]."""
    count, channels, length = shades.shape
    strip = max(_LEAST_STRIP, _HEIGHT // channels)
    line = interpolate(shades.expand(-1, -1, max(2, length)), _WIDTH * _POINTS + 1, mode="linear", align_corners=True)
    # each pixel's part of the line ends where the next one's begins
    parts = line.unfold(2, _POINTS + 1, _POINTS)
    lowest, highest = parts.amin(-1), parts.amax(-1)
    if length > _WIDTH:  # no peak may fall between the points of the line
        lowest = torch.minimum(lowest, -adaptive_max_pool1d(-shades, _WIDTH))
        highest = torch.maximum(highest, adaptive_max_pool1d(shades, _WIDTH))
    top, bottom = (((1 - edge) * (strip - 1)).round().unsqueeze(2) for edge in (highest, lowest))
    row = torch.arange(strip).view(1, 1, -1, 1)
    drawn = torch.where((row >= top) & (row <= bottom), _INK, _PAPER)
    return drawn.view(count, 1, channels * strip, _WIDTH)
