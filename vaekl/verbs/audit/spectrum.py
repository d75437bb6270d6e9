"""What a linear VAE with a Gaussian likelihood keeps of its data, from the eigenvalues of their covariance alone.

At dispersion φ a latent is worth its KL only if the eigenvalue that it explains is above φ; its posterior mean then has
variance 1 − φ/λ, and every other latent collapses to the prior. The best φ for Z latents is probabilistic PCA's noise
variance, the mean of the D − Z smallest eigenvalues.

Source: Tipping, Bishop 1999, equations 7 and 8; Lucas, Tucker, Grosse, Norouzi 2019.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import exp, inf, log, pi, sqrt

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
#: how many values of β_KL a forecast looks at where the user names none
GRID = 10
#: share of the largest eigenvalue below which one is a rounding error, and set to 0
_ROUNDING = 1e-12


def eigenvalues(batches: Callable[[], Iterable[Vector]]) -> Vector:
    """λ₁ ≥ λ₂ ≥ ... ≥ 0 of the covariance, divided by n (the maximum likelihood estimate); [D].

    Args:
        batches: starts a pass over the images, each batch [B, D]; two passes must give the same values.

    >>> eigenvalues(lambda: [np.array([[0.0, 1.0], [2.0, 1.0]])])
    array([1., 0.])
    """
    count, total = 0, np.zeros(())
    for batch in batches():
        count, total = count + len(batch), total + batch.sum(0, dtype=np.float64)
    mean, dims = total / count, len(total)
    # X Xᵀ (images × images) and Xᵀ X (values × values) have the same eigenvalues above 0: take the smaller one
    if count < dims:
        rows = np.concatenate([batch.astype(np.float64) - mean for batch in batches()])
        matrix = rows @ rows.T
    else:
        matrix = np.zeros((dims, dims))
        for batch in batches():
            centred = batch.astype(np.float64) - mean
            matrix += centred.T @ centred
    spectrum = np.linalg.eigvalsh(matrix / count)[::-1]
    spectrum = np.where(spectrum > _ROUNDING * spectrum[0], spectrum, 0.0)
    return np.concatenate([spectrum, np.zeros(dims - len(spectrum))])


def noise_variance(spectrum: Vector, latents: int) -> float:
    """φ of probabilistic PCA: the mean of the eigenvalues that `latents` latents leave unexplained.

    Source: Tipping, Bishop 1999, equation 8.

    >>> noise_variance(np.array([4.0, 2.0, 1.0]), 1)
    1.5
    """
    return float(spectrum[latents:].mean())


def above(spectrum: Vector, phi: float) -> int:
    """How many eigenvalues lie above φ."""
    return int((spectrum > phi).sum())


def survivors(spectrum: Vector, phi: float, latents: int) -> int:
    """How many of the latents stay active at dispersion φ.

    >>> survivors(np.array([4.0, 2.0, 1.0]), 1.5, 8)
    2
    """
    return min(latents, above(spectrum, phi))


def elbo(spectrum: Vector, phi: float, latents: int) -> float:
    """The best ELBO of a linear VAE at dispersion φ, nats per image.

    With k latents active and D values it is

        −½ [D ln 2π + Σ_{i≤k} ln λᵢ + (D − k) ln φ + k + Σ_{i>k} λᵢ/φ]

    Infinite at φ = 0, where the latents explain everything.
    """  # fmt: skip
    if phi <= 0:
        return inf
    active = survivors(spectrum, phi, latents)
    kept, lost = spectrum[:active], spectrum[active:]
    inside = len(spectrum) * log(2 * pi) + np.log(kept).sum() + len(lost) * log(phi) + active + lost.sum() / phi
    return float(-0.5 * inside)


def grid(spectrum: Vector, latents: int, count: int = GRID) -> list[float]:
    """Values of β_KL = φ from the largest eigenvalue down, between neighbouring ones, so that the survivors differ.

    Each is a geometric mean √(λ_k λ_{k+1}), at the widest gap of each of `count` ranges of k; where there are fewer
    latents than values, the last ones lie below λ_Z and every latent survives.
    """
    rank = above(spectrum, 0.0)
    most = max(0, min(latents, rank - 1))
    ranges = _ranges(0, most, min(count, most + 1))
    deepest = min(rank - 1, 4 * latents)
    if len(ranges) < count and deepest > most:
        ranges += _ranges(most + 1, deepest, min(count - len(ranges), deepest - most))
    chosen = [max(ks, key=lambda k: _gap(spectrum, k)) for ks in ranges]
    return [_between(spectrum, k) for k in chosen]


def _ranges(first: int, last: int, count: int) -> list[range]:
    """first..last cut into `count` runs of nearly equal length."""
    edges = [first + (last + 1 - first) * i // count for i in range(count + 1)]
    return [range(start, end) for start, end in pairwise(edges)]


def _gap(spectrum: Sequence[float] | Vector, k: int) -> float:
    # k = 0 lies above all eigenvalues, where nothing survives: always chosen
    return log(spectrum[k - 1] / spectrum[k]) if k else inf


def _between(spectrum: Sequence[float] | Vector, k: int) -> float:
    if k:
        return sqrt(spectrum[k - 1] * spectrum[k])
    step = 0.5 * log(spectrum[0] / spectrum[1]) if len(spectrum) > 1 and spectrum[1] > 0 else log(2)
    return float(spectrum[0] * exp(max(step, 0.05)))
