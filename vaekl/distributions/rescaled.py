"""A distribution of standardized values, on the scale that they had before."""

from torch import Tensor
from torch.distributions import Distribution, TransformedDistribution
from torch.distributions.transforms import AffineTransform


class Rescaled(TransformedDistribution):
    """x = center + spread · y of each value, with y's mean and variance brought along.

    Args:
        base: of y, with batch_shape [B, *S].
        center: of a shape that broadcasts to S.
        spread: > 0, the same.
    """

    def __init__(self, base: Distribution, center: Tensor, spread: Tensor) -> None:
        self.center, self.spread = center, spread
        super().__init__(base, [AffineTransform(center, spread)], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.center + self.spread * self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        return self.spread.square() * self.base_dist.variance

    def expand(self, batch_shape, _instance=None):  # type: ignore[no-untyped-def]
        return Rescaled(self.base_dist.expand(batch_shape), self.center, self.spread)
