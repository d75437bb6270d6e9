"""Types and ends of numbers that several families treat alike."""

import torch
from torch import Tensor


def float32_at_least(value: Tensor, dtype: torch.dtype) -> Tensor:
    """A value of any shape in the type of η, or in float32 where η is in half precision."""
    return value.to(torch.promote_types(dtype, torch.float32))


def bounded_logit(mean: Tensor) -> Tensor:
    """ln(m/(1 − m)) of means in [0, 1], of any shape; those below 0.001 and above 0.999 count as these.

    Source: the code of Burda, Grosse, Salakhutdinov 2016.
    """
    return mean.clamp(1e-3, 1 - 1e-3).logit()
