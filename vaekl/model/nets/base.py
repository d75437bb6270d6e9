"""What a pair of networks is. Their shapes come from the data, never from the config."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vaekl.system.checks import one_of


class Nets(NamedTuple):
    """The two networks of a VAE, which a function of `shape`, `outputs` and `latents` makes.

    Attributes:
        encoder: x [B, *S] -> (mean, log_std) of q(z|x), each [B, Z].
        decoder: z [B, Z] -> η [B, P, *S]. It may have a `last_bias`: what it adds to η last, one number for each value
            of [P, *S] or for each channel.
    """

    encoder: nn.Module
    decoder: nn.Module


class Decoder(nn.Sequential):
    """Layers, the last of which that has a bias gives η."""

    @property
    def last_bias(self) -> nn.Parameter:
        """What is added to η last, [P·D] or [P·C]."""
        return next(bias for layer in reversed(self) if isinstance(bias := getattr(layer, "bias", None), nn.Parameter))


#: the largest ln σ of q(z|x) that passes unchanged (e^10 ≈ 22,000 prior standard deviations)
_LARGEST_LOG_STD = 10.0


class PosteriorHead(nn.Module):
    """Features [B, F] -> mean and log standard deviation of q(z|x), each [B, Z].

    Above 10, ln σ becomes 10 + ln(1 + its excess over 10). Untrained weights can give such values on data of large
    numbers: σ would overflow in the first step, and behind a clamp the gradient would be zero.
    """

    def __init__(self, features: int, latents: int) -> None:
        super().__init__()
        self.latents = latents
        self.linear = nn.Linear(features, 2 * latents)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.linear(features).float().chunk(2, dim=1)
        excess = log_std - _LARGEST_LOG_STD
        return mean, torch.where(excess > 0, excess.relu().log1p() + _LARGEST_LOG_STD, log_std)


def activation_layer(name: str) -> nn.Module:
    """The layer of that name.

    Raises:
        VaeklError: names the choices.
    """
    layers: dict[str, Callable[[], nn.Module]] = {
        "relu": partial(nn.ReLU, inplace=True),  # of a layer before it, which no gradient needs
        "silu": nn.SiLU,
        "gelu": nn.GELU,
        "tanh": nn.Tanh,
        "elu": nn.ELU,
    }
    return layers[one_of(name, "model.activation", tuple(layers))]()
