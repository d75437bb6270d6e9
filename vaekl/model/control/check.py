"""Whether a user's own control has the methods that training calls, and reports the λ that it uses."""

from math import isclose
from traceback import extract_tb

import torch
from torch import Tensor

from vaekl.model.control.base import Control
from vaekl.model.ledger import ElboTerms
from vaekl.system.checks import is_number
from vaekl.system.errors import VaeklError, first_line


@torch.no_grad()
def check_control(control: Control, terms: ElboTerms) -> None:
    """Refuse a control whose methods do not give what they should, before the first step.

    Args:
        control: as it is before training.
        terms: the ledger of a few images.

    Raises:
        VaeklError: names the method, and what it gave.
    """
    try:
        penalty, multiplier = control.penalty(terms, 1.0), control.multiplier(1.0)
    except VaeklError:
        raise
    except Exception as error:
        place = extract_tb(error.__traceback__)[-1]
        raise VaeklError(
            f"control={control.name} failed when it was tried ({type(error).__name__}: {first_line(error)}, line "
            f"{place.lineno} of {place.filename}): check it; --debug shows the traceback."
        ) from error
    if not isinstance(penalty, tuple) or len(penalty) != 2 or not isinstance(penalty[1], Tensor):
        raise VaeklError(
            f"`penalty` of control={control.name} gives no pair: return a coefficient and the tensor [B] that it "
            "multiplies, such as self.weight, terms.total_kl."
        )
    coefficient, values = penalty
    if values.shape != terms.total_kl.shape:
        raise VaeklError(
            f"`penalty` of control={control.name} gives a tensor {tuple(values.shape)} for "
            f"{len(terms.total_kl)} images: return one number for each of them, [B]."
        )
    if not is_number(multiplier):
        raise VaeklError(
            f"`multiplier` of control={control.name} gives a {type(multiplier).__name__}, not a number: return a float."
        )
    if torch.equal(values, terms.total_kl) and not isclose(float(coefficient), multiplier, rel_tol=1e-5, abs_tol=1e-9):
        raise VaeklError(
            f"control={control.name} multiplies the KL by {float(coefficient):.6g} and reports λ = {multiplier:.6g}: "
            "let `multiplier` return the coefficient of `penalty`, at the same schedule."
        )
