"""What is not finite, and since when."""

from torch import Tensor

from vaekl.errors import VaeklError
from vaekl.model import LEDGER, VAE

_LAST_GOOD = "what was saved before is kept: train afresh with a lower optim.lr, or with trainer.clip_norm."


class DivergedError(VaeklError):
    """The loss or the parameters stopped being finite."""

    outcome = "diverged"


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
    bad = _not_finite(model)
    raise DivergedError(
        f"training diverged: {part} is not finite at step {step - len(rows) + first + 1}"
        f"{f' and parameter {bad} followed' if bad else ', with every parameter still finite'}; {_LAST_GOOD}"
    )


def check_parameters(model: VAE, step: int) -> None:
    """Refuse weights that are not finite after a step.

    Raises:
        DivergedError: names the first such parameter.
    """
    if bad := _not_finite(model):
        raise DivergedError(f"training diverged: parameter {bad} is not finite after step {step}; {_LAST_GOOD}")


def _not_finite(model: VAE) -> str | None:
    return next((name for name, parameter in model.named_parameters() if not parameter.isfinite().all()), None)
