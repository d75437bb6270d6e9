"""Bits per dimension, by hand."""

from math import log

import numpy as np
import pytest
from scipy import stats

from vaekl.data.spec import DataSpec
from vaekl.measures.bits import bits_per_dim


def test_a_uniform_density_on_dequantised_bytes_costs_eight_bits():
    assert bits_per_dim(0.0, DataSpec("x", (3, 32, 32), 256, "unit_interval", dequantized=True), False) == 8.0


def test_one_nat_per_dimension():
    spec = DataSpec("x", (1, 2, 5), 16, "unit_interval", dequantized=True)
    assert bits_per_dim(10.0, spec, False) == pytest.approx(4 - 1 / log(2), rel=1e-15)


@pytest.mark.parametrize(("support", "levels"), [("binary", 2), ("levels", 17), ("levels", 256)])
def test_a_distribution_s_nats_are_bits_and_nothing_is_added(support, levels):
    # −(−20 ln 2)/(5 ln 2) = 4
    assert bits_per_dim(-20 * log(2), DataSpec("x", (1, 1, 5), levels, support), True) == pytest.approx(4.0, rel=1e-15)


@pytest.mark.parametrize(("support", "levels"), [("binary", 2), ("unit_interval", 256), ("real", None)])
def test_a_density_on_values_that_were_not_dequantised_has_no_bits(support, levels):
    assert bits_per_dim(-20 * log(2), DataSpec("x", (1, 1, 5), levels, support), False) is None


def test_a_dequantised_density_that_knows_the_bin_costs_no_bits():
    """Density 16 on a bin of width 1/16, in each of 7 dimensions."""
    spec = DataSpec("x", (1, 1, 7), 16, "unit_interval", dequantized=True)
    assert bits_per_dim(7 * log(16), spec, False) == pytest.approx(0, abs=1e-14)


def test_integers_that_are_equally_probable_cost_log2_of_their_number():
    assert bits_per_dim(-6 * log(17), DataSpec("x", (1, 2, 3), 17, "levels"), True) == pytest.approx(
        np.log2(17), rel=1e-15
    )


def test_dequantised_figure_bounds_the_probability_of_the_integers():
    """Jensen: the density's average over a bin, in bits and with log2(levels), is never below −log2 P(k)."""
    levels, density = 16, stats.norm(0.4, 0.1)
    edges = np.linspace(0, 1, levels + 1)
    inside = edges[:-1, None] + (np.arange(2000) + 0.5) / 2000 / levels
    elbo = density.logpdf(inside).mean(1)
    spec = DataSpec("x", (1, 1, 1), levels, "unit_interval", dequantized=True)
    bits = np.array([bits_per_dim(value, spec, False) for value in elbo])
    exact = -np.log2(np.diff(density.cdf(edges)))
    assert (bits > exact).all()
    assert bits[6] - exact[6] < 0.05
