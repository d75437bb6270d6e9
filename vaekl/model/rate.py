"""θ = φ · λ, the effective weight of the KL, as something that networks can depend on.

A multi-rate VAE has one pair of networks for every θ of a range. Its weighting draws a θ for each step of training; the
networks read it here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import exp, log

import torch
from torch import Tensor, nn

#: ln θ advances by this share of its range in each step: the fractional parts of k · 0.618… fill it evenly
_GOLDEN = 0.6180339887498949
#: of the rounded corner of a latent's cut-off: it is about 1/50 of an e-fold of θ wide
_SHARPNESS = 50.0
#: what Adam's steps are multiplied by, which are as small for the few numbers of a gate as for all weights
_GATE_GAIN, _CUT_OFF_GAIN = 3.0, 10.0
#: a gate begins at sigmoid(2) = 0.88, and the cut-offs of the first and the last latent so many half ranges
#: above the smallest θ
_OPEN, _FIRST_CUT_OFFS = 2.0, (2.5, 1.5)
#: a latent's gate never closes wholly, so that its gradient stays finite
_SMALLEST = 1e-8


class Rate(nn.Module):
    """ln θ, and its range; one number for all images of a batch.

    In training it is drawn anew for each step, in evaluation it stays.
    """

    drawn: Tensor
    judged: Tensor
    limits: Tensor
    turn: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("drawn", torch.zeros(()))
        self.register_buffer("judged", torch.zeros(()))
        self.register_buffer("limits", torch.tensor([-1.0, 1.0]))
        self.register_buffer("turn", torch.zeros((), dtype=torch.float64))

    @property
    def log_theta(self) -> Tensor:
        """ln θ, []."""
        return self.drawn if self.training else self.judged

    @property
    def theta(self) -> Tensor:
        """θ, []."""
        return self.log_theta.exp()

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest θ."""
        smallest, largest = self.limits.tolist()
        return exp(smallest), exp(largest)

    @property
    def half_range(self) -> Tensor:
        """Half of the range of ln θ, []."""
        return (self.limits[1] - self.limits[0]) / 2

    @property
    def place(self) -> Tensor:
        """ln θ on the scale on which its range is −1 to 1, []."""
        return (self.log_theta - self.limits.mean()) / self.half_range

    def set_range(self, smallest: float, largest: float) -> None:
        """Which θ are drawn."""
        self.limits.copy_(torch.tensor([log(smallest), log(largest)]))
        self.drawn.fill_(log(smallest * largest) / 2)
        self.judged.copy_(self.drawn)

    def draw(self) -> None:
        """Take the θ of the next step."""
        self.turn.copy_((self.turn + _GOLDEN) % 1)
        self.drawn.copy_(torch.lerp(self.limits[0], self.limits[1], self.turn.float()))

    @contextmanager
    def at(self, theta: float) -> Iterator[None]:
        """Inside the block, evaluations are those at this θ."""
        before = self.judged.clone()
        self.judged.fill_(log(theta))
        try:
            yield
        finally:
            self.judged.copy_(before)


class RateModule(nn.Module):
    """A part of a network that depends on θ; `rate` is set when the model is built."""

    def __init__(self) -> None:
        super().__init__()
        # no part of this module: it is the weighting's, which draws θ
        self.__dict__["rate"] = Rate()

    @property
    def shared_rate(self) -> Rate:
        """Whose θ it is."""
        rate: Rate = self.__dict__["rate"]
        return rate


def connect(networks: nn.Module, rate: Rate) -> bool:
    """Let all parts of a network that depend on θ depend on this one.

    Returns:
        Whether there are any.
    """
    parts = [part for part in networks.modules() if isinstance(part, RateModule)]
    for part in parts:
        part.__dict__["rate"] = rate
    return bool(parts)


class Gate(RateModule):
    """h -> h · sigmoid(a · place(ln θ) + b), with an a and a b for each feature.

    Args:
        features: of h [B, F, ...].

    Source: the gates of Bae et al. 2023 ("Multi-Rate VAE"), in our reading.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(features))
        self.offset = nn.Parameter(torch.zeros(features))

    def forward(self, h: Tensor) -> Tensor:
        change = _GATE_GAIN * (self.slope * self.shared_rate.place + self.offset)
        gate = torch.sigmoid(change + _OPEN)
        return h * gate.view(-1, *(1,) * (h.ndim - 2))


class CutOff(RateModule):
    """How far ln θ is below the cut-off ln c of each latent, u = ln c − ln θ rounded to 0 above it, [Z].

    Of the linear VAE it is exact: latent i is active where θ is below the eigenvalue l_i, its decoder's column has the
    length √(l_i − θ) = √l_i · √(1 − e^−u) with u = ln(l_i/θ), and its posterior the variance θ/l_i = e^−u.

    No cut-off falls below the range of θ: a latent that is closed everywhere would have no gradient to open it.

    Args:
        latents: Z.
    """

    first: Tensor

    def __init__(self, latents: int) -> None:
        super().__init__()
        # apart from each other, so that the latents begin as different ones
        self.register_buffer("first", torch.linspace(*_FIRST_CUT_OFFS, latents).expm1().log(), persistent=False)
        self.offset = nn.Parameter(torch.zeros(latents))

    @property
    def height(self) -> Tensor:
        """The cut-offs above the smallest θ, on a scale on which half of the range is 1, [Z]."""
        return nn.functional.softplus(self.first + _CUT_OFF_GAIN * self.offset)

    def forward(self) -> Tensor:
        rate = self.shared_rate
        return nn.functional.softplus(rate.half_range * (self.height - 1 - rate.place), beta=_SHARPNESS)

    def gate(self) -> Tensor:
        """√(1 − e^−u), [Z]: from 1 where θ is small to 0 above the cut-off."""
        return (-torch.expm1(-self())).clamp(min=_SMALLEST).sqrt()
