"""Points and weights by which a density is summed up over all x."""

from math import isfinite

import torch
from torch import Tensor

from vaekl.model.likelihoods.base import Likelihood

#: whole numbers that are summed up
_MOST_COUNTS = 200_000


def points(likelihood: Likelihood, mean: float, variance: float) -> tuple[Tensor, Tensor]:
    """x and weights with ∫ f = Σ w f(x), or Σ over whole numbers: a trapezoid after a substitution.

    Between two ends x = l + (u − l)/(1 + e^−t); else x = m ± s e^t, so that ends, spikes and kinks become smooth tails.

    Args:
        likelihood: the family, which knows its bounds, and whether its x are whole numbers.
        mean: m, about where the density lies.
        variance: s², about how wide it is.

    Returns:
        x and w, float64 [N] each.
    """
    lower, upper = likelihood.bounds
    scale = variance**0.5 if isfinite(variance) and variance > 0 else 1.0
    middle = mean if isfinite(mean) else 0.0
    if likelihood.discrete:
        first = lower if isfinite(lower) else middle - 60 * scale
        last = min(upper, max(first, middle) + 60 * scale + 100, first + _MOST_COUNTS)
        x = torch.arange(round(first), round(last) + 1, dtype=torch.float64)
        return x, torch.ones_like(x)
    step = 0.005
    # where the ends are far apart, a grid between them would not see the density
    if isfinite(lower) and isfinite(upper) and upper - lower < 100 * scale:
        t = torch.arange(-36, 36, step, dtype=torch.float64)
        width = upper - lower
        inside = t.sigmoid() * width + lower
        weights = step * width * t.sigmoid() * (-t).sigmoid()
        kept = (inside > lower) & (inside < upper)
        return inside[kept], weights[kept]
    t = torch.arange(-30, 40, step, dtype=torch.float64)
    if isfinite(lower) != isfinite(upper):
        end, sign = (lower, 1.0) if isfinite(lower) else (upper, -1.0)
        reach = max(abs(middle - end), scale)
        return end + sign * reach * t.exp(), step * reach * t.exp()
    x, weights = torch.cat([middle - scale * t.exp(), middle + scale * t.exp()]), step * scale * t.exp().repeat(2)
    kept = (x >= lower) & (x <= upper)
    return x[kept], weights[kept]
