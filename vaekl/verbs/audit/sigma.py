"""σ in words: beside the range of the data, and in their grey levels where they have any."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaekl.verbs.audit.text import number

#: share of the range that the root mean square deviation from a constant can be at most
_MOST = 0.5
#: share of the range below which σ hardly counts: about a grey level of 255
_TINY = 0.004
#: ranges that pictures of 8 bits are scaled to
_PICTURES = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5), (0.0, 255.0))


@dataclass(frozen=True)
class PixelScale:
    """What a σ is compared with.

    Args:
        range: between which values the data lie; None for real values without bounds.
        level: the distance between neighbouring grey levels on that scale; None for data without levels.

    >>> PixelScale((0.0, 1.0), 1 / 255).words(0.5)
    '0.5 = 128 grey levels of 255'
    >>> PixelScale((-3.0, 3.0)).words(0.5)
    '0.5 = 8.3% of the range'
    """

    range: tuple[float, float] | None
    level: float | None = None

    @classmethod
    def typed(cls, limits: tuple[float, float], grey: bool) -> "PixelScale":
        """Of a typed loss: grey pictures of 8 bits have 255 steps over the ranges that such pictures are scaled to.

        Args:
            limits: between which values the data lie.
            grey: whether they have grey levels, rather than being 0 or 1.
        """
        return cls(limits, (limits[1] - limits[0]) / 255 if grey and limits in _PICTURES else None)

    @classmethod
    def of_data(cls, facts: Mapping[str, Any]) -> "PixelScale":
        """Of a data set.

        Args:
            facts: `DataSpec.facts()`, which stand in a run's folder too.
        """
        return cls(None if facts["support"] in ("counts", "real", "mixed") else (0.0, 1.0), facts["level_width"])

    @property
    def width(self) -> float | None:
        """How wide the range is."""
        return None if self.range is None else self.range[1] - self.range[0]

    def words(self, sigma: float) -> str:
        """σ, and how many grey levels that is; of data without levels, what share of their range."""
        if self.width is None or (self.width == 1 and self.level is None):
            return f"{sigma:.4g}"
        if self.level is None:
            return f"{sigma:.4g} = {sigma / self.width:.1%} of the range"
        levels = sigma / self.level
        text = number(round(levels)) if levels >= 100 else f"{levels:.3g}"
        return f"{sigma:.4g} = {text} grey levels of {self.width / self.level:.0f}"

    def verdict(self, sigma: float, active: str = "") -> str:
        """What to think of a Gaussian's or Laplace's σ; nothing where the data have no range to compare it with.

        Args:
            sigma: σ.
            active: how many latents are active, where that was measured; else it is said what becomes of them.
        """
        if self.range is None or self.width is None:
            return ""
        words, share = f"σ = {self.words(sigma)}", sigma / self.width
        limits = f"[{self.range[0]:g}, {self.range[1]:g}]"
        if share > _MOST:
            return (
                f"{words}: more than any data in {limits} can scatter ({_MOST * self.width:g} at most).\n"
                "A latent survives only where its part of the data varies more: `vaekl audit dataset=NAME` counts them."
            )
        if share > 0.2:
            fate = "Whatever varies less than this along a latent is noise, and that latent collapses."
            return f"{words}: coarse" + (f"; {active}." if active else f". {fate}")
        if share >= _TINY and self.level is None:
            return ""
        if share >= 0.02:
            return f"{words}: within what decoders of photographs and digits leave as error."
        if share >= _TINY:
            return f"{words}: fine. If your RMSE is larger, the KL has too little weight and the prior does not fit."
        less = "a single grey level" if self.level is not None and sigma < self.level else f"{_TINY:.1%} of {limits}"
        return f"{words}: less than {less}. The KL hardly counts; this is an autoencoder."
