"""Fully connected networks; the default is the network of the continuous Bernoulli paper, 784-500-500-20 and back."""

import itertools
from collections.abc import Sequence
from math import prod

from torch import nn

from vaekl.data.spec import Shape
from vaekl.model.nets.base import Decoder, Nets, PosteriorHead, activation_layer
from vaekl.system.checks import whole
from vaekl.system.errors import VaeklError


def mlp(shape: Shape, outputs: int, latents: int, hidden: Sequence[int] = (500, 500), activation: str = "relu") -> Nets:
    """An encoder and a decoder with the same hidden layers in mirrored order.

    Args:
        shape: S of x.
        outputs: decoder outputs P for each value of x.
        latents: Z.
        hidden: widths of the encoder's hidden layers.
        activation: relu, silu, gelu, tanh or elu.

    Raises:
        VaeklError: if a size is no whole number from 1, or the activation is unknown.
    """
    widths = _widths(hidden)
    whole(latents, "model.latents", 1)
    encoder = nn.Sequential(nn.Flatten(), *_layers([prod(shape), *widths], activation))
    encoder.append(PosteriorHead(([prod(shape), *widths])[-1], latents))
    decoder = Decoder(*_layers([latents, *reversed(widths)], activation))
    decoder.append(nn.Linear(([latents, *reversed(widths)])[-1], outputs * prod(shape)))
    decoder.append(nn.Unflatten(1, (outputs, *shape)))
    return Nets(encoder, decoder)


def _widths(hidden: object) -> list[int]:
    if isinstance(hidden, str) or not isinstance(hidden, Sequence):
        raise VaeklError(f"model.hidden must be a list of widths such as [500,500], not {hidden!r}.")
    return [whole(width, "model.hidden", 1) for width in hidden]


def _layers(widths: list[int], activation: str) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), activation_layer(activation)]
    return layers
