"""Whether a user's own control has the methods that training calls, and reports the λ that it uses.

It is tried on the ledger of a few images, as in training: `observe` sees them, then `penalty` gives what is minimised.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from math import isclose, isfinite
from typing import Any, TypeVar

import torch
from torch import Tensor

from vaekl.model.control.base import Control
from vaekl.model.control.state import attributes_of, changed, tensors_of
from vaekl.model.ledger import ElboTerms, PosteriorSample
from vaekl.system.checks import is_number
from vaekl.system.errors import VaeklError, first_line, users_line

T = TypeVar("T")

#: the KL's multiplier in the trial: full, and on its way there
_SCHEDULES = (1.0, 0.5)


def check_control(control: Control, terms: ElboTerms) -> None:
    """Refuse a control whose methods do not give what they should, before the first step.

    Args:
        control: as it is before training; its buffers and parameters are the same afterwards.
        terms: the ledger of a few images.

    Raises:
        VaeklError: names the method, and what it gave.
    """
    _check_names(control)
    terms = _with_gradients(terms)
    if not (terms.elbo + terms.posterior.z.sum(1)).isfinite().all():
        return  # the first step says so
    with _restored(control):
        _check_methods(control, terms, "")
        for schedule in _SCHEDULES:
            _check_observe(control, terms, schedule)
        _check_methods(control, terms, f" after `observe` has seen {len(_SCHEDULES)} batches")


def checked_multiplier(control: Control, schedule: float, when: str) -> float:
    """λ, which must be a finite number from 0.

    Args:
        control: whose it is.
        schedule: the KL's multiplier.
        when: in words, as in " at step 100".

    Raises:
        VaeklError: names the control.
    """
    multiplier = control.multiplier(schedule)
    if not is_number(multiplier):
        raise VaeklError(
            f"`multiplier` of control={control.name} gives a {type(multiplier).__name__}, not a number: return a float."
        )
    if not isfinite(multiplier) or multiplier < 0:
        raise VaeklError(
            f"control={control.name} reports λ = {multiplier:.6g}{when}: keep it a finite number from 0, such as the "
            "exp() of a buffer, or one that `observe` holds by clamp_(min=0)."
        )
    return multiplier


def _check_names(control: Control) -> None:
    """Refuse `observes` where `observe` was meant: nothing would call it."""
    own = [kind for kind in type(control).__mro__ if not kind.__module__.startswith(("vaekl.", "torch."))]
    methods = [name for kind in own for name, value in vars(kind).items() if callable(value) and name[0] != "_"]
    if type(control).observe is Control.observe and (near := get_close_matches("observe", methods, 1, 0.75)):
        raise VaeklError(
            f"control={control.name} has a method `{near[0]}`, which nothing calls, and no `observe` (did you mean "
            "observe?): rename it."
        )


def _check_methods(control: Control, terms: ElboTerms, when: str) -> None:
    """Refuse what `penalty` and `multiplier` give, at each schedule."""
    for schedule in _SCHEDULES:
        before, buffers = attributes_of(control), tensors_of(control)
        with torch.enable_grad():
            penalty = _tried(control, partial(control.penalty, terms, schedule))
        coefficient, values = _checked_penalty(control, penalty, terms)
        multiplier = _tried(control, partial(checked_multiplier, control, schedule, when))
        if names := changed(before | buffers, attributes_of(control) | tensors_of(control)):
            raise VaeklError(
                f"`penalty` or `multiplier` of control={control.name} changes {', '.join(names)}: only `observe` may, "
                "because evaluations call the others too."
            )
        weight = _weight_of_kl(coefficient, values, terms)
        if weight is not None and not isclose(weight, multiplier, rel_tol=1e-5, abs_tol=1e-9):
            raise VaeklError(
                f"control={control.name} multiplies the KL by {weight:.6g} and reports λ = {multiplier:.6g}"
                f"{when}, at schedule = {schedule:g}: let `multiplier` return the coefficient of `penalty`, at the "
                "same schedule."
            )
        if schedule == 1:
            _check_gradient(control, coefficient * values, terms)


def _checked_penalty(control: Control, penalty: Any, terms: ElboTerms) -> tuple[Tensor | float, Tensor]:
    """The coefficient and the values, if they are one number and one for each image, all finite."""
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
    if not (coefficient.numel() == 1 if isinstance(coefficient, Tensor) else is_number(coefficient)):
        what = f"tensor {tuple(coefficient.shape)}" if isinstance(coefficient, Tensor) else type(coefficient).__name__
        raise VaeklError(
            f"`penalty` of control={control.name} gives a coefficient that is a {what}, not one number: let the tensor "
            "[B] hold what differs between images."
        )
    if not (coefficient * values).isfinite().all():
        raise VaeklError(
            f"`penalty` of control={control.name} gives what is no finite number, though the KL of these images is "
            f"{terms.total_kl.mean():.4g} nats: check it."
        )
    return coefficient, values


def _weight_of_kl(coefficient: Tensor | float, values: Tensor, terms: ElboTerms) -> float | None:
    """What `penalty` multiplies each image's KL by, or None where it is no multiple of the KL."""
    penalty, kl = values.detach().double(), terms.total_kl.detach().double()
    multiple = penalty.sum() / kl.sum()
    # of one image every penalty is a multiple; one of 0 is that of a KL which is not to be held yet
    if len(kl) == 1 or multiple == 0 or not torch.allclose(penalty, multiple * kl, rtol=1e-5):
        return None
    coefficient = coefficient.item() if isinstance(coefficient, Tensor) else coefficient
    return coefficient * multiple.item()


def _check_gradient(control: Control, penalty: Tensor, terms: ElboTerms) -> None:
    """Refuse a penalty that training could not move."""
    parts = [terms.energy, terms.log_norm_const, terms.kl, *terms.posterior]
    gradients = torch.autograd.grad(penalty.sum(), parts, allow_unused=True) if penalty.requires_grad else ()
    if all(gradient is None for gradient in gradients):
        raise VaeklError(
            f"`penalty` of control={control.name} has no gradient, so that nothing would be held: compute it from the "
            "tensors of `terms`, without .detach(), .item() or torch.no_grad()."
        )


def _check_observe(control: Control, terms: ElboTerms, schedule: float) -> None:
    """Let the control see a batch, and refuse state that no checkpoint would hold."""
    before, buffers = attributes_of(control), tensors_of(control)
    with torch.no_grad():
        _tried(control, partial(control.observe, terms, schedule))
    after = tensors_of(control)
    lost = changed(before, attributes_of(control))
    lost += [name for name, value in after.items() if name not in buffers or value.shape != buffers[name].shape]
    if lost:
        what, it = (lost[0], "it a buffer") if len(lost) == 1 else (", ".join(lost), "them buffers")
        raise VaeklError(
            f"`observe` of control={control.name} changes {what}, which no checkpoint holds as it is then: make {it} "
            'in __init__, as in self.register_buffer("weight", torch.tensor(0.0)), of one shape.'
        )


def _tried(control: Control, method: Callable[[], T]) -> T:
    """What a method of the control gives.

    Raises:
        VaeklError: it failed; names the user's own line.
    """
    try:
        return method()
    except VaeklError:
        raise
    except Exception as error:
        function, place = users_line(error) or ("a method", "in a library")
        raise VaeklError(
            f"control={control.name} failed when it was tried ({function}: {type(error).__name__}: "
            f"{first_line(error)}, {place}): check it; --debug shows the traceback."
        ) from error


def _with_gradients(terms: ElboTerms) -> ElboTerms:
    """The same ledger, each part of it on its own."""

    def leaf(part: Tensor) -> Tensor:
        return part.detach().clone().requires_grad_()

    with torch.enable_grad():
        return ElboTerms(
            energy=leaf(terms.energy),
            log_norm_const=leaf(terms.log_norm_const),
            kl=leaf(terms.kl),
            dispersion=terms.dispersion.detach(),
            posterior=PosteriorSample(*map(leaf, terms.posterior)),
        )


@contextmanager
def _restored(control: Control) -> Iterator[None]:
    """In training inside the block; afterwards buffers, parameters and modes are what they were."""
    modes = [(part, part.training) for part in control.modules()]
    buffers = [(part, name, buffer) for part in control.modules() for name, buffer in part._buffers.items()]
    tensors = [*control.parameters(), *control.buffers()]
    values = [tensor.detach().clone() for tensor in tensors]
    control.train()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
        for part, name, buffer in buffers:
            part._buffers[name] = buffer
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)
