"""ln Φ and its slope beside mpmath's, from the far tail to where Φ is 1."""

from math import inf

import mpmath as mp
import pytest
import torch
from numpy.testing import assert_allclose

from vaekl.model.likelihoods.tails import log_ndtr


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2e-6), (torch.float64, 4e-15)])
def test_log_ndtr_and_its_slope_keep_their_digits(dtype, error):
    z = torch.tensor([-100, -30, -9, -5, -2, -1, -0.7, -0.1, -1e-6, 0, 1e-6, 0.3, 1, 1.7, 3, 5, 8.5], dtype=dtype)
    z.requires_grad_()
    value = log_ndtr(z)
    value.sum().backward()
    with mp.workdps(60):
        exact = [mp.log(mp.erfc(-mp.mpf(v) / mp.sqrt(2)) / 2) for v in z.tolist()]
        slopes = [
            mp.exp(-(mp.mpf(v) ** 2) / 2 - ln) / mp.sqrt(2 * mp.pi) for v, ln in zip(z.tolist(), exact, strict=True)
        ]
    assert_allclose(value.detach(), [float(v) for v in exact], rtol=error)
    assert_allclose(z.grad, [float(v) for v in slopes], rtol=error)


def test_log_ndtr_at_the_ends():
    z = torch.tensor([-1e10, inf, -inf]).requires_grad_()
    value = log_ndtr(z)
    value[:2].sum().backward()
    assert_allclose(value.detach(), [-5e19, 0, -inf], rtol=1e-6)
    assert_allclose(z.grad[:2], [1e10, 0], rtol=1e-6)
