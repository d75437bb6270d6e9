"""Encoders and decoders: `build(shape, outputs, latents, ...) -> Nets`."""

from vaekl.nets.base import Nets
from vaekl.nets.conv import conv
from vaekl.nets.linear import linear
from vaekl.nets.mlp import mlp

__all__ = ["Nets", "conv", "linear", "mlp"]
