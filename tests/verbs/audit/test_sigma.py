"""σ is told in grey levels only where the data have any, and in those that they have."""

import pytest

from vaekl.data.spec import DataSpec
from vaekl.verbs.audit.sigma import PixelScale


def scale_of(support, levels, **more):
    return PixelScale.of_data(DataSpec("x", (1, 8, 8), levels, support, **more).facts())


@pytest.mark.parametrize(
    ("scale", "sigma", "words"),
    [
        # k/255: 255 steps between black and white, so 0.2 is 51 of them; (k + U)/256: 256 bins, so 51.2
        (scale_of("unit_interval", 256), 0.2, "0.2 = 51 grey levels of 255"),
        (scale_of("unit_interval", 256, dequantized=True), 0.2, "0.2 = 51.2 grey levels of 256"),
        # of 17 levels 0.25 is 4 steps of 16
        (scale_of("unit_interval", 17), 0.25, "0.25 = 4 grey levels of 16"),
        # a categorical likelihood's figures are on the scale of pictures too
        (scale_of("levels", 17), 0.25, "0.25 = 4 grey levels of 16"),
        (scale_of("binary", 2), 0.25, "0.25"),
        (scale_of("levels", 2), 0.25, "0.25"),
        (scale_of("unit_interval", None), 0.25, "0.25"),
        (scale_of("real", None), 25, "25"),
        (PixelScale.typed((0.0, 1.0), grey=True), 1 / 255, "0.003922 = 1 grey levels of 255"),
        (PixelScale.typed((-1.0, 1.0), grey=True), 1, "1 = 128 grey levels of 255"),
        (PixelScale.typed((0.0, 255.0), grey=True), 3, "3 = 3 grey levels of 255"),
        (PixelScale.typed((-3.0, 3.0), grey=True), 0.6, "0.6 = 10.0% of the range"),
        (PixelScale.typed((0.0, 1.0), grey=False), 0.25, "0.25"),
    ],
)
def test_words(scale, sigma, words):
    assert scale.words(sigma) == words


def test_verdicts_name_the_range_of_the_data():
    picture, wide = PixelScale.typed((0.0, 1.0), grey=True), PixelScale.typed((-3.0, 3.0), grey=True)
    assert "more than any data in [0, 1] can scatter (0.5 at most)" in picture.verdict(0.6)
    assert "more than any data in [-3, 3] can scatter (3 at most)" in wide.verdict(4)
    assert "coarse" in wide.verdict(1.5) and "photographs" in picture.verdict(0.1) and "fine" in picture.verdict(0.01)
    assert "less than a single grey level" in picture.verdict(0.001)
    assert "less than 0.4% of [-3, 3]" in wide.verdict(0.001)


def test_no_verdict_where_the_data_have_nothing_to_compare_with():
    assert PixelScale.typed((-3.0, 3.0), grey=True).verdict(0.6) == ""
    assert [scale_of("real", None).verdict(sigma) for sigma in (1e-9, 0.1, 1e9)] == [""] * 3
