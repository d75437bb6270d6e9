"""A Lagrange multiplier that holds the distortion at a target."""

from math import log

from torch import Tensor

from vaekl.data.spec import DataSpec
from vaekl.model.control.base import Control, batch_mean, scalar
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.system.checks import number, optional, positive
from vaekl.system.errors import VaeklError

#: c at most: how fast λ may fall
_LARGEST_EXCESS = 0.03
#: of |ln λ|, for a target that no λ reaches
_LARGEST_LOG = log(1e6)


class Geco(Control):
    """λ · KL, where λ falls while the distortion is above its target and rises while it is below.

        c = distortion/target − 1 (of an RMSE), or (distortion − target)/N (of nats, N values an image)
        ln λ ← ln λ − speed · c̄, with c̄ a running mean of c within −1 and 0.03

    While the networks still learn, the distortion is above its target at any λ, which would fall and then take as many
    steps to come back (windup): c counts as 0.03 at most there. λ stays between 1e-6 and 1e6.

    The effective β_KL = φ·λ ends where the optimum of the ELBO has the target's distortion; at φ = 1 that is the
    reciprocal of the source's multiplier. It is τ² only where the RMSE τ is the calibrated one.

    Args:
        rmse: τ, the target of the root mean square error in the data's own unit; or
        nats: of E/φ − ln C per image.
        speed: of ln λ in a step.
        momentum: of the running mean.

    Source: Rezende, Viola 2018 ("Taming VAEs"), algorithm 1; c is relative here, so that one speed fits all data.
    """

    name = "geco"
    log_weight: Tensor
    excess: Tensor

    def __init__(
        self,
        likelihood: Likelihood,
        spec: DataSpec,
        images: int,
        rmse: float | None = None,
        nats: float | None = None,
        speed: float = 0.1,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(likelihood, spec, images)
        if (rmse is None) == (nats is None):
            raise VaeklError("control=geco holds one target: give control.rmse, or control.nats.")
        self.target_rmse = optional(positive, rmse, "control.rmse")
        self.target_distortion = optional(number, nats, "control.nats", -1e9, 1e9)
        self.energy = self._energy_at(self.target_rmse) if self.target_rmse is not None else None
        if self.target_rmse is not None and self.energy is None:
            raise VaeklError(
                f"control.rmse does not fit likelihood={likelihood.name}, whose energy does not say the squared error: "
                "give control.nats, the distortion."
            )
        self.speed, self.momentum = positive(speed, "control.speed"), number(momentum, "control.momentum", 0, 1)
        self.register_buffer("log_weight", scalar(0))
        self.register_buffer("excess", scalar(0))

    def _energy_at(self, rmse: float) -> float | None:
        """The mean energy of values with this error; the likelihood sees standardized ones in another unit."""
        scaling = self.spec.scaling
        if scaling is None:
            return self.likelihood.energy_at_rmse(rmse)
        if scaling.spread.numel() > 1:
            raise VaeklError(
                "control.rmse is in one unit, but these data are standardized in several: give control.nats, the "
                "distortion, or transform.per=data."
            )
        return self.likelihood.energy_at_rmse(rmse / scaling.spread.item())

    def observe(self, terms: ElboTerms, schedule: Tensor | float) -> None:
        if self.energy is not None:
            excess = batch_mean(terms.total_energy) / (self.energy * self.spec.dims) - 1
        else:
            assert self.target_distortion is not None
            excess = (batch_mean(terms.energy_nats - terms.log_norm_const) - self.target_distortion) / self.spec.dims
        self.excess.copy_(self.excess.lerp(excess.clamp(-1, _LARGEST_EXCESS), self.momentum))
        self.log_weight.copy_((self.log_weight - self.speed * self.excess).clamp(-_LARGEST_LOG, _LARGEST_LOG))

    def penalty(self, terms: ElboTerms, schedule: Tensor | float) -> tuple[Tensor | float, Tensor]:
        return self.log_weight.exp() * schedule, terms.total_kl

    def multiplier(self, schedule: float) -> float:
        return float(self.log_weight.exp()) * schedule

    def explanation(self) -> str:
        if self.target_rmse is not None:
            return f"λ is moved until the RMSE is {self.target_rmse:g}"
        return f"λ is moved until the distortion is {self.target_distortion:g} nats"
