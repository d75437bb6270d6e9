"""Strided convolutions for any image of at least 8 × 8, with one channel or three."""

import itertools
from math import prod

import torch
from torch import nn

from vaekl.model.nets.base import Nets, PosteriorHead, Shape, activation_layer
from vaekl.system.checks import whole
from vaekl.system.errors import VaeklError

#: no side is halved below this
_SMALLEST = 4


def conv(
    shape: Shape, outputs: int, latents: int, width: int = 32, hidden: int = 256, activation: str = "relu"
) -> Nets:
    """Strided 3 × 3 convolutions that halve the image until a further halving would leave less than 4 × 4, and back.

    Args:
        shape: (C, H, W) of x.
        outputs: decoder outputs P for each value of x.
        latents: Z.
        width: channels after the first convolution; doubled at each further one, up to four times.
        hidden: width of the fully connected layer on both sides of z.
        activation: relu, silu, gelu, tanh or elu.

    Raises:
        VaeklError: if the image is smaller than 8 × 8.
    """
    channels, height, image_width = shape
    if min(height, image_width) < 8:
        raise VaeklError(
            f"model=conv needs images of at least 8 × 8, but these are {height} × {image_width}: use model=mlp."
        )
    for value, key in ((latents, "latents"), (width, "width"), (hidden, "hidden")):
        whole(value, f"model.{key}", 1)
    sizes = [(height, image_width)]
    while min(sizes[-1]) >= 2 * _SMALLEST - 1:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    widths = [channels] + [width * min(2**stage, 4) for stage in range(len(sizes) - 1)]
    inner = (widths[-1], *sizes[-1])

    encoder = nn.Sequential()
    for before, after in itertools.pairwise(widths):
        encoder.extend([nn.Conv2d(before, after, 3, stride=2, padding=1), activation_layer(activation)])
    encoder.extend([nn.Flatten(), nn.Linear(prod(inner), hidden), activation_layer(activation)])
    encoder.append(PosteriorHead(hidden, latents))

    decoder = nn.Sequential(nn.Linear(latents, hidden), activation_layer(activation))
    decoder.extend([nn.Linear(hidden, prod(inner)), activation_layer(activation), nn.Unflatten(1, inner)])
    back = [outputs * channels, *widths[1:]]
    for stage in range(len(sizes) - 1, 0, -1):
        # halving rounds odd sizes up: the output padding restores them
        (large_h, large_w), (small_h, small_w) = sizes[stage - 1], sizes[stage]
        odd = (large_h - 2 * small_h + 1, large_w - 2 * small_w + 1)
        decoder.append(nn.ConvTranspose2d(back[stage], back[stage - 1], 3, 2, padding=1, output_padding=odd))
        if stage > 1:
            decoder.append(activation_layer(activation))
    decoder.append(nn.Unflatten(1, (outputs, channels)))
    # convolutions are faster with the channels last; the weights' memory format decides
    return Nets(*(net.to(memory_format=torch.channels_last) for net in (encoder, decoder)))
