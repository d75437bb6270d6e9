"""The transform that data and likelihood ask for."""

from dataclasses import dataclass

from vaekl.data.spec import DataSpec, Support
from vaekl.data.standardize import Standardize
from vaekl.data.transforms import AsStored, Dequantize, Levels, Scale, Transform


@dataclass(frozen=True)
class AutoTransform:
    """The choice left to the data and the likelihood: `resolve` makes it.

    Binary data, counts and floats in [0, 1] stay as they are, and other real values are standardized; levels are
    dequantized for a density, kept for a categorical likelihood, and otherwise scaled, so that the likelihood's own
    check can name what it accepts.

    Args:
        dequantizes: whether a density gets levels dequantized; scaled, they keep their ends, 0 and 1.
    """

    dequantizes: bool = True

    def resolve(self, spec: DataSpec, accepts: tuple[Support, ...]) -> Transform:
        """The transform that such data needs for a likelihood that accepts such supports.

        Args:
            spec: of the stored values.
            accepts: the supports that the likelihood accepts.
        """
        return self._pick(spec, accepts).resolve(spec, accepts)

    def _pick(self, spec: DataSpec, accepts: tuple[Support, ...]) -> Transform:
        if spec.support == "real" and ("real" in accepts or ("mixed" in accepts and spec.kinds)):
            return Standardize()
        if spec.support in ("counts", "unit_interval", "real"):
            return AsStored()
        if spec.support == "binary":
            return Levels() if "levels" in accepts and "binary" not in accepts else AsStored()
        if "unit_interval" in accepts or "real" in accepts:
            return Dequantize() if self.dequantizes else Scale()
        return Levels() if "levels" in accepts else Scale()
