"""The linear VAE: with a Gaussian likelihood it is probabilistic PCA, whose optimum is known exactly."""

from math import prod

import torch
from torch import Tensor, nn

from vaekl.data.spec import Shape
from vaekl.model.nets.base import Decoder, Nets
from vaekl.system.checks import whole


class LinearEncoder(nn.Module):
    """x [B, *S] -> mean and log std of q(z|x) = N(W x + b, diag(s²)), each [B, Z], with one s for all x.

    The exact posterior of probabilistic PCA has this form.
    """

    def __init__(self, features: int, latents: int) -> None:
        super().__init__()
        self.mean = nn.Linear(features, latents)
        self.log_std = nn.Parameter(torch.zeros(latents))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.mean(x.flatten(1)).float()
        return mean, self.log_std.expand_as(mean)


def linear(shape: Shape, outputs: int, latents: int) -> Nets:
    """A linear encoder and a linear decoder.

    Args:
        shape: S of x.
        outputs: decoder outputs P for each value of x.
        latents: Z.

    Source: Tipping, Bishop 1999; Lucas, Tucker, Grosse, Norouzi 2019.
    """
    whole(latents, "model.latents", 1)
    decoder = Decoder(nn.Linear(latents, outputs * prod(shape)), nn.Unflatten(1, (outputs, *shape)))
    return Nets(LinearEncoder(prod(shape), latents), decoder)
