"""A control decides what stands for the KL in the loss: λ · KL, or a penalty that moves λ.

    loss = [E/φ − ln C] + λ · KL,     effective β_KL = φ · λ

The noise level φ belongs to the density, and the weighting decides it. The information weight λ belongs to no density:
it trades rate for distortion in training, and never changes what is reported, the ELBO with its KL at weight 1.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vaekl.data.spec import DataSpec
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.system import distributed


class Control(nn.Module, ABC):
    """Base class. Its buffers and parameters are part of the model, and so of every checkpoint.

    What it holds, where it holds something, is in `target_kl`, `target_rmse` or `target_distortion`: runs log it and
    reports compare it with what was reached.

    Args:
        likelihood: of p(x|z).
        spec: the data as the likelihood sees them.
        images: how many there are to train on.
    """

    #: what the control is called; a class that sets no name of its own is called as the class
    name: ClassVar[str]
    #: the family of p(x|z)
    likelihood: Likelihood
    #: the learning rate of the control's own parameters, over that of the networks
    lr_factor: float = 1.0
    #: whether λ may differ from 1, so that the loss is not the ELBO's
    weighs: bool = True
    #: the KL that it holds, nats; None where it holds none
    target_kl: float | None = None
    #: the same of the RMSE, on the scale that is reported, and of the distortion E/φ − ln C, nats
    target_rmse: float | None = None
    target_distortion: float | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" not in vars(cls):
            cls.name = cls.__name__

    def __init__(self, likelihood: Likelihood, spec: DataSpec, images: int) -> None:
        super().__init__()
        # no part of this module: the parameters that it may have are the family's
        self.__dict__["likelihood"] = likelihood
        self.spec, self.images = spec, images

    def observe(self, terms: ElboTerms, schedule: Tensor | float) -> None:
        """Called with each training batch before its loss, without gradients: the place to move λ.

        Args:
            terms: the parts of the batch's ELBO.
            schedule: the KL's multiplier at this step, a number or [].
        """

    @abstractmethod
    def penalty(self, terms: ElboTerms, schedule: Tensor | float) -> tuple[Tensor | float, Tensor]:
        """What stands for the KL in the loss: a coefficient, and the [B] that it multiplies, nats.

        Args:
            terms: the parts of the batch's ELBO.
            schedule: the KL's multiplier at this step, a number or [].
        """

    @abstractmethod
    def multiplier(self, schedule: float) -> float:
        """λ with the schedule in it: the KL's coefficient in the loss as it is now; 0 where it has none.

        Args:
            schedule: the KL's multiplier at this step.
        """

    def equation(self) -> str:
        """What stands for the KL in the loss, as text."""
        return "λ · KL"

    def explanation(self) -> str:
        """What this control does with λ, in one line; here with the numbers and words that it was made with."""
        options = [f"{name}={value}" for name, value in vars(self).items() if self._is_option(name, value)]
        return "λ is no fixed number" + (f" ({', '.join(options)})" if options else "")

    def _is_option(self, name: str, value: object) -> bool:
        return name[0] != "_" and name not in ("training", "images") and isinstance(value, int | float | str)

    def facts(self) -> dict[str, Any]:
        """What is true of this control, as values of JSON: a run's folder holds it for those who have not the class.

        Returns:
            `name`; `penalty`, what stands for the KL in the loss; `target_kl_nats`, `target_rmse` and
            `target_distortion_nats`, what it holds, or None.
        """
        return {
            "name": self.name,
            "penalty": self.equation(),
            "target_kl_nats": self.target_kl,
            "target_rmse": self.target_rmse,
            "target_distortion_nats": self.target_distortion,
        }


def batch_mean(values: Tensor) -> Tensor:
    """The mean of [B] over a training batch, all processes' shares of it together, []; without a gradient."""
    return distributed.mean(values.detach().sum(), len(values))


def scalar(value: float) -> Tensor:
    """A number that moves in training, []; as a buffer it is part of every checkpoint."""
    return torch.tensor(float(value))
