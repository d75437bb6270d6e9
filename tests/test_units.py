"""Bits per dimension, by hand."""

from math import log

import numpy as np
import pytest
from scipy import stats

from vaekl.data.spec import DataSpec
from vaekl.units import bits_per_dim


def test_a_uniform_density_on_dequantised_bytes_costs_eight_bits():
    assert bits_per_dim(0.0, DataSpec("x", (3, 32, 32), 256, "unit_interval", dequantized=True)) == 8.0


def test_one_nat_per_dimension():
    spec = DataSpec("x", (1, 2, 5), 16, "unit_interval", dequantized=True)
    assert bits_per_dim(10.0, spec) == pytest.approx(4 - 1 / log(2), rel=1e-15)


@pytest.mark.parametrize(
    ("support", "levels"), [("binary", 2), ("levels", 17), ("levels", 256), ("unit_interval", 256), ("real", None)]
)
def test_nothing_is_added_where_nothing_was_dequantised(support, levels):
    # −(−20 ln 2)/(5 ln 2) = 4
    assert bits_per_dim(-20 * log(2), DataSpec("x", (1, 1, 5), levels, support)) == pytest.approx(4.0, rel=1e-15)


def test_a_perfectly_known_density_may_cost_less_than_no_bits():
    assert bits_per_dim(7 * log(2), DataSpec("x", (1, 1, 7), None, "real")) == pytest.approx(-1.0, rel=1e-15)


def test_integers_that_are_equally_probable_cost_log2_of_their_number():
    assert bits_per_dim(-6 * log(17), DataSpec("x", (1, 2, 3), 17, "levels")) == pytest.approx(np.log2(17), rel=1e-15)


def test_dequantised_figure_bounds_the_probability_of_the_integers():
    """Jensen: the density's average over a bin, in bits and with log2(levels), is never below −log2 P(k)."""
    levels, density = 16, stats.norm(0.4, 0.1)
    edges = np.linspace(0, 1, levels + 1)
    inside = edges[:-1, None] + (np.arange(2000) + 0.5) / 2000 / levels
    elbo = density.logpdf(inside).mean(1)
    spec = DataSpec("x", (1, 1, 1), levels, "unit_interval", dequantized=True)
    bits = np.array([bits_per_dim(value, spec) for value in elbo])
    exact = -np.log2(np.diff(density.cdf(edges)))
    assert (bits > exact).all()
    assert bits[6] - exact[6] < 0.05
