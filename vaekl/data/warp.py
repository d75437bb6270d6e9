"""Grey values moved towards black and white, or towards grey: how the continuous Bernoulli was tried on its data."""

from torch import Generator, Tensor

from vaekl.data.spec import DataSpec, Support
from vaekl.data.transforms import Compose, Dequantize, Transform, after, refusal
from vaekl.system.checks import is_number
from vaekl.system.errors import VaeklError


class Warp(Transform):
    """Values in [0, 1] moved towards the ends (γ < 0) or towards the middle (γ > 0).

        f(x) = 1[x ≥ ½]                          γ = −½
               clip((x + γ)/(1 + 2γ), 0, 1)      −½ < γ < 0
               γ + (1 − 2γ) x                    γ ≥ 0

    Levels are dequantized first.

    Args:
        gamma: γ in [−½, ½].

    Raises:
        VaeklError: γ lies outside.

    Source: Loaiza-Ganem and Cunningham, The continuous Bernoulli, 2019, section 5.
    """

    def __init__(self, gamma: float = 0.0) -> None:
        if not is_number(gamma) or not abs(gamma) <= 0.5:
            raise VaeklError(f"transform.gamma={gamma!r} is not in [-0.5, 0.5]; -0.5 binarizes and 0 changes nothing.")
        self.gamma = gamma

    def apply(self, x: Tensor, generator: Generator | None) -> Tensor:
        x, gamma = x.float(), self.gamma
        if gamma == -0.5:
            return (x >= 0.5).float()
        if gamma < 0:
            return ((x + gamma) / (1 + 2 * gamma)).clamp(0, 1)
        return gamma + (1 - 2 * gamma) * x

    def spec(self, spec: DataSpec) -> DataSpec:
        if spec.support != "unit_interval":
            raise refusal("warp", spec, "values in [0, 1]")
        if self.gamma == 0:
            return spec
        protocol = after(spec, f"warped gamma={self.gamma:g}")
        if self.gamma == -0.5:
            return spec.with_(support="binary", levels=2, dequantized=False, protocol=protocol)
        return spec.with_(levels=None, dequantized=False, protocol=protocol)

    def resolve(self, spec: DataSpec, accepts: tuple[Support, ...]) -> Transform:
        return Compose([Dequantize(), self]).resolve(spec, accepts) if spec.support == "levels" else self
