"""What is drawn of examples of any shape, pixel by pixel."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from vaekl.data import DataSpec
from vaekl.measures.tiles import Tiles


def tiles_of(values, support="real", inputs=None):
    inputs = values if inputs is None else inputs
    return Tiles.of(DataSpec("x", tuple(values.shape[1:]), None, support), inputs)


def test_images_are_drawn_as_they_are_and_real_ones_between_their_ends():
    images = torch.rand(4, 3, 8, 9)
    assert torch.equal(tiles_of(images, "unit_interval").drawn(images), images)
    assert tiles_of(images, "unit_interval").words(images) == ""
    inputs = torch.tensor([-1.0, 0.0, 1.0, 0.5]).view(4, 1, 1, 1)
    others = torch.tensor([-3.0, 0.0, 1.0, 9.0]).view(4, 1, 1, 1)
    tiles = tiles_of(others, inputs=inputs)
    assert tiles.drawn(others).flatten().tolist() == [0, 0.5, 1, 1]
    assert tiles.words(others) == "; black is -1, white is 1; clipped: 50.0% of the values"


def test_of_five_channels_the_first_is_drawn_and_of_a_volume_the_middle_slice():
    images = torch.rand(2, 5, 8, 8)
    tiles = tiles_of(images, "unit_interval")
    assert torch.equal(tiles.drawn(images), images[:, :1]) and tiles.words(images) == "; the first of 5 channels"
    volumes = torch.rand(2, 1, 6, 8, 7)
    tiles = tiles_of(volumes, "unit_interval")
    assert torch.equal(tiles.drawn(volumes), volumes[:, :, 3]) and tiles.words(volumes) == "; slice 4 of 6"


def heights(tile):
    """How much of each column of pixels is no paper, from 0 to 1."""
    return (tile[0] < 0.9).float().mean(0)


def test_a_vector_is_a_bar_for_each_value_between_the_ends_of_its_own_column():
    inputs = torch.tensor([[0.0, 100.0, -5.0], [1.0, 300.0, 5.0]])
    vectors = torch.tensor([[0.0, 200.0, 5.0], [0.5, 100.0, 99.0]])
    tiles = tiles_of(vectors, inputs=inputs)
    drawn = tiles.drawn(vectors)
    assert drawn.shape == (2, 1, 64, 96)
    middles = [16, 48, 80]  # of three bars of 32 pixels
    first, second = (heights(tile)[middles].tolist() for tile in drawn)
    assert first == pytest.approx([1 / 64, 0.5, 1], abs=0.02) and second == pytest.approx([0.5, 1 / 64, 1], abs=0.02)
    assert heights(drawn[0])[[31, 63, 95]].tolist() == [0, 0, 0], "a gap after each bar"
    assert (drawn[0, 0, 32:, 48] < 0.9).all() and (drawn[0, 0, :31, 48] == 1).all(), "bars stand on the lower edge"
    words = "; lower to upper edge: 0 to 1, 100 to 300, -5 to 5; clipped: 16.7% of the values"
    assert tiles.words(vectors) == words


@pytest.mark.parametrize("count", [1, 2, 13, 48])
def test_any_few_values_are_bars_and_many_a_line(count):
    vectors = torch.linspace(0, 1, count).repeat(2, 1)
    drawn = tiles_of(vectors, "unit_interval").drawn(vectors)
    each = drawn.shape[3] // count if count > 1 else 48
    assert drawn.shape[2] == 64 and 48 <= drawn.shape[3] <= 96
    assert heights(drawn[0])[torch.arange(count) * each].tolist() == pytest.approx(vectors[0].tolist(), abs=0.02)
    many = torch.rand(2, 49)
    assert tiles_of(many, "unit_interval").drawn(many).shape == (2, 1, 64, 96)
    assert "and 33 more" in tiles_of(many).words(many)


@pytest.mark.parametrize("length", [1, 2, 40, 96, 1000])
def test_a_signal_is_a_line_through_its_values(length):
    time = np.linspace(0, 1, length)
    values = 0.5 + 0.5 * np.sin(9 * time)
    signals = torch.from_numpy(values).float().view(1, 1, -1)
    drawn = tiles_of(signals, "unit_interval").drawn(signals)[0, 0]
    assert drawn.shape == (64, 96) and set(drawn.unique().tolist()) == {0.0, 1.0}
    between = np.interp((np.arange(96) + 0.5) / 96, time, values)
    for column, value in enumerate(between):
        rows = torch.nonzero(drawn[:, column] == 0).flatten()
        assert len(rows) and (rows.diff() == 1).all(), "one stroke in each column"
        assert rows[0] - 1 <= (1 - value) * 63 <= rows[-1] + 1
    strokes = [set(torch.nonzero(drawn[:, column] == 0).flatten().tolist()) for column in range(96)]
    assert all(one & other for one, other in pairwise(strokes)), "no gaps"


def test_a_peak_between_two_pixels_is_drawn():
    signals = torch.zeros(1, 1, 5000)
    signals[0, 0, 2501] = 1.0
    drawn = tiles_of(signals, "unit_interval").drawn(signals)[0, 0]
    assert (drawn[0] == 0).any() and (drawn[-1] == 0).sum() > 90


def test_each_channel_has_a_strip_and_ends_of_its_own():
    signals = torch.stack([torch.linspace(-1, 1, 20), torch.full((20,), 7.0), torch.linspace(900, 100, 20)])[None]
    tiles = tiles_of(signals)
    drawn = tiles.drawn(signals)
    assert drawn.shape == (1, 1, 72, 96)
    rising, flat, falling = drawn[0, 0].split(24)
    assert rising[-1, 0] == 0 and rising[0, -1] == 0 and falling[0, 0] == 0 and falling[-1, -1] == 0
    assert (flat[-1] == 0).all(), "a channel that never varies lies at its lower edge"
    assert tiles.words(signals) == "; lower to upper edge: -1 to 1, 7 to 7, 100 to 900"
    many = torch.rand(1, 9, 30)
    assert tiles_of(many, "unit_interval").drawn(many).shape == (1, 1, 8 * 24, 96)
    words = tiles_of(many, "unit_interval").words(many)
    assert words == "; the first 8 of 9 channels; lower to upper edge: 0 to 1"
