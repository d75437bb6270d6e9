"""Noise that belongs to a row's own values: uniform and normal, of each row its own, in batches of any size."""

import numpy as np
import pytest
import torch
from scipy import stats

from vaekl.data.row_noise import RowNoise, normal, uniform


def drawn(rows, seed=0):
    """Two uniform numbers, then five and six normal ones, of each row."""
    noise = RowNoise(seed)
    noise.of_rows(rows)
    first = uniform(torch.Size((len(rows), 2)), noise, rows.device)
    return torch.cat([first, *(normal(torch.Size((len(rows), count)), noise) for count in (5, 6))], 1)


#: rows that differ little: by one value, by its place, by its sign
ROWS = {
    "levels": torch.cartesian_prod(*[torch.arange(17, dtype=torch.uint8)] * 3),
    "real": torch.cartesian_prod(*[torch.linspace(-1e-3, 1e-3, 17)] * 3),
}


@pytest.mark.parametrize("name", ROWS)
def test_it_is_uniform_and_normal_over_rows_that_are_nearly_equal(name):
    numbers = drawn(ROWS[name]).double().numpy()
    assert numbers[:, :2].min() >= 0 and numbers[:, :2].max() < 1
    for column, law in zip(numbers.T, ["uniform"] * 2 + ["norm"] * 11, strict=True):
        assert stats.kstest(column, law).pvalue > 1e-4
    # neither with each other nor with the row before: 4,913 rows, so that 0.08 is beyond five standard errors
    beside = np.corrcoef(np.concatenate([numbers[1:], numbers[:-1]], 1).T)
    assert np.abs(beside - np.eye(26)).max() < 0.08


def test_a_row_has_its_own_in_any_batch_and_another_for_another_seed():
    rows = ROWS["levels"]
    for part in (slice(0, 1), slice(5, 12), slice(4000, None)):
        assert torch.equal(drawn(rows[part]), drawn(rows)[part])
    assert (drawn(rows) != drawn(rows, 2**63)).any(1).all() and (drawn(rows, 1) != drawn(rows, 2)).any(1).all()
    assert len(drawn(rows)[:, 0].unique()) > 4900


def test_equal_values_have_equal_noise():
    nan, other_nan = torch.tensor([0x7FC00000, 0x7FC00001], dtype=torch.int32).view(torch.float32)
    assert torch.equal(
        drawn(torch.stack([torch.zeros(1), nan[None]])), drawn(torch.stack([-torch.zeros(1), other_nan[None]]))
    )
    assert torch.equal(drawn(torch.tensor([[300]], dtype=torch.uint16)), drawn(torch.tensor([[300]])))


def test_code_that_does_not_know_it_draws_as_from_any_generator():
    assert torch.equal(torch.rand(3, generator=RowNoise(5)), torch.rand(3, generator=torch.Generator().manual_seed(5)))
