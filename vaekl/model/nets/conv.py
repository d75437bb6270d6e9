"""Strided convolutions for signals, images and volumes of at least 8 values along every side, with any channels."""

import itertools
from math import prod

import torch
from torch import nn

from vaekl.data.spec import Shape
from vaekl.model.nets.base import Decoder, Nets, PosteriorHead, activation_layer
from vaekl.system.checks import whole
from vaekl.system.errors import VaeklError

#: no side is halved below this
_SMALLEST = 4
#: by the number of sides: what has them, the convolution and its transpose
_LAYERS: dict[int, tuple[str, type[nn.Module], type[nn.Module]]] = {
    1: ("signals", nn.Conv1d, nn.ConvTranspose1d),
    2: ("images", nn.Conv2d, nn.ConvTranspose2d),
    3: ("volumes", nn.Conv3d, nn.ConvTranspose3d),
}


def conv(
    shape: Shape, outputs: int, latents: int, width: int = 32, hidden: int = 256, activation: str = "relu"
) -> Nets:
    """Strided convolutions with 3 values a side that halve every side until one would be below 4, and back.

    Args:
        shape: (C, T), (C, H, W) or (C, D, H, W) of x.
        outputs: decoder outputs P for each value of x.
        latents: Z.
        width: channels after the first convolution; doubled at each further one, up to four times.
        hidden: width of the fully connected layer on both sides of z.
        activation: relu, silu, gelu, tanh or elu.

    Raises:
        VaeklError: if x are vectors, or smaller than 8 along a side.
    """
    channels, sides = shape[0], shape[1:]
    if len(sides) not in _LAYERS:
        raise VaeklError(f"model=conv takes signals, images and volumes, not the shape {shape}: use model=mlp.")
    examples, convolution, transposed = _LAYERS[len(sides)]
    if min(sides) < 8:
        least = " × ".join("8" * len(sides))
        raise VaeklError(
            f"model=conv needs {examples} of at least {least}, but these are {' × '.join(map(str, sides))}: "
            "use model=mlp."
        )
    for value, key in ((latents, "latents"), (width, "width"), (hidden, "hidden")):
        whole(value, f"model.{key}", 1)
    sizes = [tuple(sides)]
    while min(sizes[-1]) >= 2 * _SMALLEST - 1:
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    widths = [channels] + [width * min(2**stage, 4) for stage in range(len(sizes) - 1)]
    inner = (widths[-1], *sizes[-1])

    encoder = nn.Sequential()
    for before, after in itertools.pairwise(widths):
        encoder.extend([convolution(before, after, 3, stride=2, padding=1), activation_layer(activation)])
    encoder.extend([nn.Flatten(), nn.Linear(prod(inner), hidden), activation_layer(activation)])
    encoder.append(PosteriorHead(hidden, latents))

    decoder = Decoder(nn.Linear(latents, hidden), activation_layer(activation))
    decoder.extend([nn.Linear(hidden, prod(inner)), activation_layer(activation), nn.Unflatten(1, inner)])
    back = [outputs * channels, *widths[1:]]
    for stage in range(len(sizes) - 1, 0, -1):
        # halving rounds odd sizes up: the output padding restores them
        odd = tuple(large - 2 * small + 1 for large, small in zip(sizes[stage - 1], sizes[stage], strict=True))
        decoder.append(transposed(back[stage], back[stage - 1], 3, 2, padding=1, output_padding=odd))
        if stage > 1:
            decoder.append(activation_layer(activation))
    decoder.append(nn.Unflatten(1, (outputs, channels)))
    if len(sides) != 2:
        return Nets(encoder, decoder)
    # convolutions of images are faster with the channels last; the weights' memory format decides
    return Nets(*(net.to(memory_format=torch.channels_last) for net in (encoder, decoder)))
