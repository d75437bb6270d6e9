"""What linear models of the data, and of what a model leaves of them, say that latents could explain.

Near a collapsed posterior the ELBO gains from a direction of the data only if its variance exceeds λ times that of the
density's noise, which for a Gaussian is φ (probabilistic PCA) and for any exponential family the variance at the mean.
A direction of g times the noise's variance is then worth ½(g − 1 − ln g) nats to the ELBO.
"""

from collections.abc import Sequence
from math import log, sqrt

import torch
from torch import Tensor

from vaekl.verbs.diagnose.evidence import Structure

#: share of the variance of all values below which one of them is constant, and has no noise to compare with
_CONSTANT = 1e-9


def structure(x: Tensor, mean: Tensor, variance: Tensor) -> Structure:
    """The eigenvalues of data, and of what is left of them.

    Args:
        x: on the scale of the data, [N, D]; NaN where a value is missing.
        mean: of p(x|z) for a sample of each posterior, [N, D].
        variance: of p(x|z), [N, D].
    """
    missing = x.isnan()
    centred = (x - x.nanmean(0)).masked_fill(missing, 0).double()
    noise = variance.double().mean(0)
    noise = noise.clamp(min=_CONSTANT * float(noise.mean()))
    left = ((x - mean).masked_fill(missing, 0) / variance.clamp(min=_CONSTANT * float(noise.mean())).sqrt()).double()
    left = left - left.mean(0)
    rest = _eigenvalues(left)
    variance_left = float(left.square().mean())
    scale = variance_left if variance_left > 0 else 1.0
    return Structure(
        data=tuple(_eigenvalues(centred / noise.sqrt()).tolist()),
        rest=tuple(spikes((rest / scale).tolist(), x.shape[1] / len(x))),
    )


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


def _eigenvalues(rows: Tensor) -> Tensor:
    """Of the covariance of centred rows [N, D], the largest first, [min(N, D)]."""
    matrix = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    eigenvalues: Tensor = torch.linalg.eigvalsh(matrix / len(rows)).flip(0).clamp(min=0)
    return eigenvalues


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
