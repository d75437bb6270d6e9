"""Draws of levels are judged by their exact masses: true ones pass, however rare a level, and planted faults do not."""

import numpy as np
import pytest
from drawn_levels import DRAWS, check_levels
from scipy import stats

LEVELS = 5


def logistic_masses(centre, scale):
    """Of the bins of `LEVELS` levels, the tails in the end levels; SciPy's."""
    return np.diff(stats.logistic(centre, scale).cdf([-np.inf, *np.arange(LEVELS - 1) + 0.5, np.inf]))


def without(level, masses):
    kept = np.where(np.arange(LEVELS) == level, 0, masses)
    return kept / kept.sum()


def drawn(masses, seed=0):
    """NumPy's draws, as of one image of one value."""
    return np.random.default_rng(seed).choice(len(masses), size=(DRAWS, 1), p=masses)


@pytest.mark.parametrize("rare", [0.5, 1e-2, 2e-3, 1e-4, 1e-6])
def test_true_draws_pass_however_rare_a_level_is(rare):
    """At 2e-3 the variance is all the rare level's: that of 1,000 draws is often 0.05, or twice as much."""
    masses = np.array([1 - rare, 0, 0, 0, rare])
    for seed in range(100):
        check_levels(drawn(masses, seed), masses[:, None], 2.0**-52)


FAULTS = {
    "the scale a tenth too wide": lambda centre, scale: logistic_masses(centre, 1.1 * scale),
    "the scale a tenth too narrow": lambda centre, scale: logistic_masses(centre, scale / 1.1),
    "the mean half a level off": lambda centre, scale: logistic_masses(centre + 0.5, scale),
    "the last level lost": lambda centre, scale: without(4, logistic_masses(centre, scale)),
    "the middle level lost": lambda centre, scale: without(2, logistic_masses(centre, scale)),
}


@pytest.mark.parametrize("scale", [0.3, 1.0])
@pytest.mark.parametrize("fault", FAULTS)
def test_draws_of_another_law_are_refused(fault, scale):
    masses = logistic_masses(2.2, scale)
    check_levels(drawn(masses), masses[:, None], 2.0**-52)
    with pytest.raises(AssertionError, match=r"levels drawn with shares|moment"):
        check_levels(drawn(FAULTS[fault](2.2, scale)), masses[:, None], 2.0**-52)
