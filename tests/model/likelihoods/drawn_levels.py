"""Whether draws of few levels are those of their exact masses, by inequalities that hold for any number of draws.

A rare level makes the variance of draws scatter by more than any factor that suits the others, so that each bound is
made of the law itself. One true law in `ONE_IN` breaks a bound.
"""

import numpy as np

ONE_IN = 1e9
#: as many as show a scale that is a tenth too wide or too narrow
DRAWS = 16_000
#: −ln of the chance that a share or an average is farther away on one side
NATS = np.log(2 * ONE_IN)


def check_levels(draws, masses, step):
    """Assert that each level is drawn as often as its mass says, and that mean and variance are the law's.

    The share of a level exceeds its mass p by as much as q − p with a chance of at most exp(−n · kl(q‖p)) (Chernoff).
    An average of n values of variance v, none farther from its expectation than m, is off by more than the root t of
    n t² = 2 NATS (v + m t/3) with a chance of at most 1 in `ONE_IN` (Bernstein).

    Args:
        draws: [n, *S], whole numbers from 0.
        masses: of each level, [K, *S].
        step: of the uniform numbers that draws are made of: a mass below it may be drawn as often as that.
    """
    count, levels = len(draws), np.arange(len(masses)).reshape(-1, *[1] * (masses.ndim - 1))
    shares = np.stack([(draws == k).mean(0) for k in range(len(masses))])
    mass = masses.clip(step, 1 - step)
    with np.errstate(divide="ignore", invalid="ignore"):
        nats = [np.where(q > 0, q * np.log(q / p), 0) for q, p in ((shares, mass), (1 - shares, 1 - mass))]
    assert (count * sum(nats) <= NATS).all(), f"levels drawn with shares {shares}, and not {masses}"
    mean = (levels * masses).sum(0)
    variance = ((levels - mean) ** 2 * masses).sum(0)
    for power, expected in ((1, mean), (2, variance)):
        values = levels if power == 1 else (levels - mean) ** 2
        off = values - expected
        farthest, scatter = abs(off).max(0), (off**2 * masses).sum(0)
        linear = NATS * farthest / (3 * count)
        # masses and sums are rounded by a few steps each
        bound = linear + np.sqrt(linear**2 + 2 * NATS * scatter / count) + 4 * step * values.sum(0)
        average = (values * shares).sum(0)
        assert (abs(average - expected) <= bound).all(), f"moment {power} is {average}, and not {expected} ± {bound}"
