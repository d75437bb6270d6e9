"""From nats to bits per dimension."""

from math import log

from vaekl.data.spec import DataSpec


def bits_per_dim(elbo_nats: float, spec: DataSpec, discrete: bool) -> float | None:
    """−ELBO/(D ln 2), plus log2(levels) where levels were dequantised; bits/dim, lower is better.

    For data `(k + U)/levels` this bounds −log2 P(k)/D from above, since a bin is 1/levels wide. For a distribution over
    discrete values the ELBO bounds a probability and nothing is added. For a density on values that were not
    dequantised there is no such number, and None is returned.

    Args:
        elbo_nats: nats per image.
        spec: of the values that were modelled.
        discrete: whether the likelihood is a distribution over discrete values.

    Source: Theis, van den Oord, Bethge 2016, section 3.1.

    >>> spec = DataSpec("flat", (1, 2, 2), levels=256, support="unit_interval", dequantized=True)
    >>> bits_per_dim(0.0, spec, discrete=False)
    8.0
    """
    if not discrete and not spec.dequantized:
        return None
    offset = log(spec.levels, 2) if spec.dequantized and spec.levels else 0.0
    return -elbo_nats / (spec.dims * log(2)) + offset
