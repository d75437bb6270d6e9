"""The rate–distortion curve of a multi-rate VAE: the evaluation of its density at each θ."""

from collections.abc import Callable, Sequence
from math import exp, log

import torch

from vaekl.data import Split
from vaekl.measures.elbo import Evaluation, evaluate
from vaekl.model.vae import VAE
from vaekl.model.weighting import Multirate


def spread(smallest: float, largest: float, count: int) -> list[float]:
    """As many numbers, from the smallest to the largest, each the same factor from the next.

    >>> [round(value, 3) for value in spread(0.01, 1, 3)]
    [0.01, 0.1, 1.0]
    """
    first, last = log(smallest), log(largest)
    return [exp(first + (last - first) * place / max(1, count - 1)) for place in range(count)]


def curve(
    model: VAE, split: Split, noise: Callable[[], torch.Generator], thetas: Sequence[float]
) -> list[tuple[float, Evaluation]]:
    """One evaluation for each θ, all with the same noise.

    Args:
        model: whose weighting is `Multirate`.
        split: the images.
        noise: makes the generator of an evaluation's noise.
        thetas: θ = φ · λ.

    Returns:
        θ and its evaluation, whose `kl` is the rate and whose `energy_nats` − `log_norm_const` is the distortion, nats.
    """
    weighting = model.weighting
    assert isinstance(weighting, Multirate)
    points = []
    for theta in thetas:
        with weighting.rate.at(theta):
            points.append((theta, evaluate(model, split, noise())))
    return points
