"""Distributions check their arguments, also in a process in which another test has compiled something."""

import pytest
from torch.distributions import Distribution


@pytest.fixture(autouse=True)
def _checked():
    """PyTorch's compiler switches the checks of all distributions off at its first call."""
    Distribution.set_default_validate_args(True)
