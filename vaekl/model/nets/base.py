"""What a pair of networks is: shapes come from the data, never from the config."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vaekl.system.checks import one_of

Shape = tuple[int, int, int]


class Nets(NamedTuple):
    """Encoder x [B, C, H, W] -> (mean, log_std) of q(z|x), each [B, Z]; decoder z [B, Z] -> η [B, P, C, H, W]."""

    encoder: nn.Module
    decoder: nn.Module


#: of a posterior 22,000 times wider than the prior
_WIDEST = 10.0


class PosteriorHead(nn.Module):
    """Features [B, F] -> mean and log standard deviation of q(z|x), each [B, Z].

    Beyond ln σ = 10, where only fresh weights on data of large values are, it grows as 10 + ln(1 + excess): the
    exponential would overflow before the first step, and a bound would end its gradient.
    """

    def __init__(self, features: int, latents: int) -> None:
        super().__init__()
        self.latents = latents
        self.linear = nn.Linear(features, 2 * latents)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.linear(features).float().chunk(2, dim=1)
        excess = log_std - _WIDEST
        return mean, torch.where(excess > 0, excess.relu().log1p() + _WIDEST, log_std)


def activation_layer(name: str) -> nn.Module:
    """The layer of that name.

    Raises:
        VaeklError: names the choices.
    """
    layers: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU,
        "silu": nn.SiLU,
        "gelu": nn.GELU,
        "tanh": nn.Tanh,
        "elu": nn.ELU,
    }
    return layers[one_of(name, "model.activation", tuple(layers))]()
