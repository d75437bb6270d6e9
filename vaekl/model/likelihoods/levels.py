"""What the distributions over a pixel's levels share: K comes from the data."""

import torch
from torch import Tensor

from vaekl.data.spec import DataSpec
from vaekl.model.likelihoods.base import Likelihood
from vaekl.system.errors import VaeklError


class OnLevels(Likelihood):
    """Base class; K is known once `check_spec` has seen the data, or from the beginning where it is an option."""

    accepts = ("levels",)
    discrete = True
    log_norm_const_text = "0"

    def __init__(self, levels: int = 0) -> None:
        """Fix the number of levels, or leave it to the data.

        Args:
            levels: K; 0 takes it from the data.
        """
        self.set_levels(levels)

    def set_levels(self, levels: int) -> None:
        """Take {0..K−1} for the support."""
        self.levels, self.bounds = levels, (0.0, float(levels - 1))

    def check_spec(self, spec: DataSpec) -> None:
        super().check_spec(spec)
        if self.levels not in (0, spec.levels):
            raise VaeklError(
                f"likelihood.levels={self.levels} does not fit dataset={spec.name}, which has {spec.levels} levels: "
                "leave it at 0."
            )
        self.set_levels(spec.levels or 0)

    def every_level(self, eta: Tensor) -> Tensor:
        """0, 1, ..., K−1 along the axis of outputs of η [B, P, *S]; [1, K, 1, ...]."""
        levels = torch.arange(self.levels, device=eta.device, dtype=eta.dtype)
        return levels.view(1, -1, *[1] * (eta.ndim - 2))
