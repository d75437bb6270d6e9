"""Encoders and decoders: `build(shape, outputs, latents, ...) -> Nets`."""

from vaekl.model.nets.base import Nets
from vaekl.model.nets.conv import conv
from vaekl.model.nets.linear import linear
from vaekl.model.nets.mlp import mlp
from vaekl.model.nets.multirate import multirate

__all__ = ["Nets", "conv", "linear", "mlp", "multirate"]
