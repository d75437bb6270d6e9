"""What linear models of the data, and of what a model leaves of them, say that latents could explain.

Near a collapsed posterior the ELBO gains from a direction of the data only if its variance exceeds λ times that of the
density's noise, which for a Gaussian is φ (probabilistic PCA) and for any exponential family the variance at the mean.
A direction of g times the noise's variance is then worth ½(g − 1 − ln g) nats to the ELBO.
"""

from collections.abc import Sequence
from math import log, sqrt

from torch import Tensor

from vaekl.verbs.diagnose.evidence import Structure
from vaekl.verbs.diagnose.reference import principal

#: share of the variance of all values below which one of them is constant, and has no noise to compare with
_CONSTANT = 1e-9


#: x on the scale of the data, NaN where a value is missing, and mean and variance of p(x|z) for a sample of each
#: posterior, each [N, D]
Residuals = tuple[Tensor, Tensor, Tensor]


def structure(trained: Residuals, held: Residuals) -> Structure:
    """The eigenvalues of data, and of what is left of them.

    Args:
        trained: of training images.
        held: of images that were not trained on.
    """
    x, _, variance = trained
    missing = x.isnan()
    centred = (x - x.nanmean(0)).masked_fill(missing, 0).double()
    noise = variance.double().mean(0)
    least = _CONSTANT * float(noise.mean())
    left, new = (_in_deviations(*each, least) for each in (trained, held))
    center = left.mean(0)
    values, directions = principal(left - center)
    variance_left = float((left - center).square().mean())
    scale = variance_left if variance_left > 0 else 1.0
    rest = spikes((values / scale).tolist(), x.shape[1] / len(x))
    along = ((new - center) @ directions[:, : len(rest)]).square().mean(0) / scale
    return Structure(
        data=tuple(principal(centred / noise.clamp(min=least).sqrt())[0].tolist()),
        rest=tuple(rest),
        held=sum(0.5 * (new * (1 - 1 / old) - log(old)) for new, old in zip(along.tolist(), rest, strict=True)),
    )


def _in_deviations(x: Tensor, mean: Tensor, variance: Tensor, least: float) -> Tensor:
    """What is left of x in standard deviations of p(x|z), [N, D]; 0 where x is missing."""
    left: Tensor = ((x - mean).masked_fill(x.isnan(), 0) / variance.clamp(min=least).sqrt()).double()
    return left


def spikes(eigenvalues: Sequence[float], ratio: float) -> list[float]:
    """The variances, over that of noise, of the directions whose sample eigenvalue exceeds what noise alone gives.

    Noise of unit variance has sample eigenvalues up to (1 + √γ)², and a direction of variance v > 1 + √γ has one near
    v (1 + γ/(v − 1)).

    Args:
        eigenvalues: of a sample covariance, the largest first.
        ratio: γ = D/N, values of an example over examples.

    Source: Baik, Silverstein 2006, theorem 1.1.

    >>> [round(value, 6) for value in spikes([4.0 * (1 + 0.5 / 3), 2.0], 0.5)]
    [4.0]
    """
    edge = (1 + sqrt(ratio)) ** 2
    sums = [value + 1 - ratio for value in eigenvalues if value > edge]
    return [(b + sqrt(b * b - 4 * (b - 1 + ratio))) / 2 for b in sums]


def survivors(eigenvalues: Sequence[float], latents: int, weight: float = 1.0) -> int:
    """How many latents of a linear model stay active at λ = `weight`.

    >>> survivors([4.0, 2.0, 1.0], 8, 1.5)
    2
    """
    return min(latents, sum(value > weight for value in eigenvalues))


def worth(eigenvalues: Sequence[float], latents: int) -> float:
    """What as many latents add to the ELBO of a linear model, nats.

    >>> round(worth([4.0, 2.0, 1.0], 2), 4)
    0.9603
    """
    return sum(0.5 * (value - 1 - log(value)) for value in eigenvalues[:latents] if value > 1)
