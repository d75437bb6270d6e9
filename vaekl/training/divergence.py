"""What is not finite, and since when."""

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from vaekl.model.vae import LEDGER, VAE
from vaekl.system.errors import VaeklError

#: where the data or the steps may be the cause
_CURE = (
    "train afresh with values of about 1 (rescale the data), a lower optim.lr, trainer.clip_norm or "
    "trainer.on_nan=restore"
)
#: the learning rate of every optimiser unless the user says otherwise, and how far above it nothing else is the cause
_USUAL_RATE, _FAR_ABOVE = 1e-3, 100


@dataclass(frozen=True)
class Fault:
    """What was the first to be not finite.

    Args:
        step: at which it was.
        part: a part of the ledger, or a gradient or a parameter, in words.
    """

    step: int
    part: str


class DivergedError(VaeklError):
    """The loss or the parameters stopped being finite.

    Args:
        what: is not finite, in words.
        step: at which it was seen.
        part: the part of the ledger that is not finite, if it is one.
        cure: what to do.
    """

    outcome = "diverged"

    def __init__(self, what: str, step: int, part: str | None = None, cure: str = _CURE) -> None:
        super().__init__(what, step, part, cure)
        self.what, self.step, self.part, self.cure = what, step, part, cure

    def __str__(self) -> str:
        return f"{self.what}; what was saved before is kept: {self.cure}."

    def beginning_with(self, fault: Fault | None) -> "DivergedError":
        """The same error, with what was the first to be not finite unless it says so already."""
        if fault is None or (fault.step, fault.part) == (self.step, self.part):
            return self
        return DivergedError(f"{self.what}; it began at step {fault.step}: {fault.part}", self.step)

    def at_rate(self, rate: float) -> "DivergedError":
        """The same error with the cure for the learning rate, where that is so large that nothing else is the cause."""
        if self.cure != _CURE or rate <= _FAR_ABOVE * _USUAL_RATE:
            return self
        cure = f"train afresh with a lower learning rate, optim.lr={rate:g} is far above the usual {_USUAL_RATE:g}"
        return DivergedError(self.what, self.step, self.part, cure)


def check_rows(rows: Tensor, step: int, model: VAE) -> None:
    """Refuse steps whose ledger is not finite.

    Args:
        rows: the values of `LEDGER` of some steps, [S, 5].
        step: the number of the last of them.
        model: as it is after that step.

    Raises:
        DivergedError: names the first such step, the part of the ledger and whether a parameter followed.
    """
    broken = ~rows.isfinite()
    if not broken.any():
        return
    first = int(broken.any(1).nonzero()[0])
    part = LEDGER[int(broken[first].nonzero()[0])]
    bad_step = step - len(rows) + first + 1
    if part == "loss":
        maker = f"control={model.control.name}" if model.control.weighs else f"weighting={model.weighting.name}"
        raise DivergedError(
            f"training diverged: what {maker} makes of the ELBO's parts is not finite at step {bad_step}, though they "
            "are",
            bad_step,
            part,
            f"check {maker} and its settings",
        )
    bad = _not_finite(model)
    raise DivergedError(
        f"training diverged: {part} is not finite at step {bad_step}"
        f"{f' and parameter {bad} followed' if bad else ', with every parameter still finite'}",
        bad_step,
        part,
    )


def check_gradient(norm: Tensor, step: int, model: VAE) -> None:
    """Refuse a gradient whose squares overflow: Adam divides by their average, and would not take a step again.

    Raises:
        DivergedError: its norm is not finite; names the first parameter that followed, if one did.
    """
    if not norm.isfinite():
        check_parameters(model, step)
        raise DivergedError(f"training diverged: the norm of the gradient is not finite at step {step}", step)


def check_validation(elbo: float, step: int) -> None:
    """Refuse a validation's ELBO that is not finite, though the training's were.

    Raises:
        DivergedError: says so.
    """
    if not isfinite(elbo):
        raise DivergedError(f"training diverged: the validation's elbo_nats is not finite at step {step}", step)


def check_parameters(model: VAE, step: int) -> None:
    """Refuse weights that are not finite after a step.

    Raises:
        DivergedError: names the first such parameter.
    """
    if bad := _not_finite(model):
        raise DivergedError(f"training diverged: parameter {bad} is not finite after step {step}", step)


def check_optimizer(optimizer: torch.optim.Optimizer, model: VAE, step: int) -> None:
    """Refuse an optimiser that remembers a gradient which was not finite: it would never move that parameter again.

    Raises:
        DivergedError: names the first such parameter.
    """
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor) and not value.isfinite().all():
                what = f"training diverged: the optimiser's {key} of parameter {name}"
                raise DivergedError(f"{what} is not finite after step {step}", step)


def _not_finite(model: VAE) -> str | None:
    return next((name for name, parameter in model.named_parameters() if not parameter.isfinite().all()), None)
