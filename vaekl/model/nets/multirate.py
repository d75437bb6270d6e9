"""Networks that depend on θ = φ · λ: one pair for a whole rate–distortion curve."""

from collections.abc import Sequence

from torch import Tensor, nn

from vaekl.data.spec import Shape
from vaekl.model.nets.base import Decoder, Nets
from vaekl.model.nets.conv import conv
from vaekl.model.nets.linear import linear
from vaekl.model.nets.mlp import mlp
from vaekl.model.rate import CutOff, Gate
from vaekl.system.checks import one_of


class RateEncoder(nn.Module):
    """An encoder whose latents have a cut-off each: above it the mean of q(z|x) is 0, and σ what the encoder says.

    Args:
        encoder: x [B, *S] -> (mean, log_std), each [B, Z].
        latents: Z.
    """

    def __init__(self, encoder: nn.Module, latents: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean_cut_off, self.std_cut_off = CutOff(latents), CutOff(latents)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.encoder(x)
        return mean * self.mean_cut_off.gate(), log_std - self.std_cut_off() / 2


class RateInput(nn.Module):
    """z [B, Z] -> z with each latent closed above its cut-off.

    Args:
        latents: Z.
    """

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.cut_off = CutOff(latents)

    def forward(self, z: Tensor) -> Tensor:
        return z * self.cut_off.gate()


def multirate(
    shape: Shape,
    outputs: int,
    latents: int,
    network: str = "mlp",
    hidden: Sequence[int] | int = (500, 500),
    width: int = 32,
    activation: str = "relu",
) -> Nets:
    """The networks of `mlp`, `conv` or `linear`, each hidden feature times a gate that depends on θ.

    Args:
        shape: S of x.
        outputs: decoder outputs P for each value of x.
        latents: Z.
        network: mlp, conv or linear.
        hidden: of `mlp` a list of widths, of `conv` one.
        width: of `conv`.
        activation: relu, silu, gelu, tanh or elu.

    Raises:
        VaeklError: what the network does not take.

    Source: Bae et al. 2023 ("Multi-Rate VAE").
    """
    name = one_of(network, "model.network", ("mlp", "conv", "linear"))
    if name == "linear":
        nets = linear(shape, outputs, latents)
    elif name == "conv":
        nets = conv(shape, outputs, latents, width, hidden if isinstance(hidden, int) else hidden[-1], activation)
    else:
        nets = mlp(shape, outputs, latents, hidden, activation)  # type: ignore[arg-type]  # which refuses a number
    encoder = nn.Sequential(*_gated(nets.encoder)) if isinstance(nets.encoder, nn.Sequential) else nets.encoder
    first, last = nets.decoder, _last_with_bias(nets.decoder)
    decoder = Decoder(RateInput(latents), *_gated(first, last))
    return Nets(RateEncoder(encoder, latents), decoder)


def _last_with_bias(decoder: nn.Module) -> nn.Module:
    return [layer for layer in decoder.children() if getattr(layer, "bias", None) is not None][-1]


def _gated(network: nn.Module, last: nn.Module | None = None) -> list[nn.Module]:
    """The layers of a network, with a gate behind each that has features of its own, but not behind the last."""
    layers: list[nn.Module] = []
    for layer in network.children():
        layers.append(layer)
        features = getattr(layer, "out_features", None) or getattr(layer, "out_channels", None)
        if features is not None and layer is not last:
            layers.append(Gate(features))
    return layers
