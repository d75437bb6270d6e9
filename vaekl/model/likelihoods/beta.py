"""The beta density on (0, 1), with two parameters for each value."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from vaekl.data.order import numpy_generator
from vaekl.data.spec import DataSpec
from vaekl.model.likelihoods import beta_mass
from vaekl.model.likelihoods.base import Likelihood
from vaekl.model.likelihoods.beta_constant import log_norm_const
from vaekl.model.likelihoods.numerics import float32_at_least
from vaekl.system.checks import is_number
from vaekl.system.errors import VaeklError

#: the smallest α and β
_FLOOR = 1e-4
#: softplus(η) = η to the last digit of float64 from here on; torch's default is 20, which is exact in float32 only
_EXACT = 40.0


class Beta(Likelihood):
    """Beta(α, β): E = −(α−1) ln x − (β−1) ln(1−x), ln C = −ln B(α, β); tempered: (α−1)/φ + 1 and (β−1)/φ + 1.

    α and β are softplus(η) + 1e-4. For φ < 1 an exponent of exp(−E/φ) can be below −1, and its integral is infinite.

    >>> eta = torch.tensor([100.0, 100.0]).view(1, 2, 1, 1, 1)  # α = β = 100
    >>> round(Beta().log_prob(eta, torch.full((1, 1, 1, 1), 0.5), torch.ones(1, 1, 1)).item(), 3)
    2.422
    """

    name = "beta"
    accepts = ("unit_interval",)
    open_support = True
    outputs = 2
    min_dispersion = 1.0
    energy_text = "−(α−1) ln x − (β−1) ln(1−x)"
    log_norm_const_text = "−ln B(α, β)"

    def __init__(self, clamp: float = 0.0) -> None:
        """Fix the clamp that belongs to every reported figure.

        Args:
            clamp: 0 takes x as it is, which must lie strictly between 0 and 1, as dequantized data do. Any other
                number moves x into [clamp, 1 − clamp], so that data may hold 0 and 1; but then exp(ln p) is constant
                within `clamp` of the ends and does not integrate to 1 (at clamp=1e-4 its integral is 1.104 for α = 2,
                β = 10⁴ and 0.097 for α = β = 0.01), so that its ELBO is no bound on any ln p(x).
        """
        # in float32, 1 − clamp is 1 for a clamp below 3e-8
        if not is_number(clamp) or not (clamp == 0 or 1e-7 <= clamp < 0.5):
            raise VaeklError(f"likelihood.clamp must be 0 or a number in [1e-7, 0.5), not {clamp!r}.")
        self.clamp = clamp

    @property
    def protocol(self) -> str:
        if not self.clamp:
            return super().protocol
        return f"x clamped to [{self.clamp:g}, 1 − {self.clamp:g}], so p does not integrate to 1"

    def needs_every_value(self, spec: DataSpec) -> bool:
        # at a single 0 or 1 the energy is infinite; dequantized values lie inside (0, 1)
        return not self.clamp and not spec.dequantized

    def check_support(self, x: Tensor) -> None:
        super().check_support(x)
        if not self.clamp:
            self.check_open(x, ", or set likelihood.clamp=1e-4, with which p does not integrate to 1")

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return self._energy(*self.concentrations(eta), x)

    def _energy(self, alpha: Tensor, beta: Tensor, x: Tensor) -> Tensor:
        if self.clamp:
            x = x.clamp(self.clamp, 1 - self.clamp)
        return (1 - alpha) * x.log() + (1 - beta) * torch.log1p(-x)

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return log_norm_const(*self.concentrations(eta, dispersion)).to(eta.dtype)

    def parts(self, eta: Tensor, x: Tensor, dispersion: Tensor, tempered: bool = True) -> tuple[Tensor, Tensor]:
        if tempered:
            return super().parts(eta, x, dispersion)
        # one softplus for both
        alpha, beta = self.concentrations(eta)
        energy = self._energy(alpha, beta, x).sum_to_size((len(x), *dispersion.shape))
        return energy, log_norm_const(alpha, beta).to(eta.dtype).flatten(1).sum(1)

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        alpha, beta = self.concentrations(eta, dispersion)
        return alpha / (alpha + beta)

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        alpha, beta = self.concentrations(eta, dispersion)
        total = alpha + beta
        return alpha / total * (beta / total) / (total + 1)

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        # torch's samplers of gamma and beta take no generator
        alpha, beta = (p.detach().cpu().double().numpy() for p in self.concentrations(eta, dispersion))
        return torch.from_numpy(np.asarray(numpy_generator(generator).beta(alpha, beta))).to(eta)

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        """ln P(lower < X ≤ upper) as the base class says, under the beta density without its clamp."""
        alpha, beta = self.concentrations(eta.double(), dispersion.double())
        bins = torch.broadcast_tensors(alpha, beta, lower.clamp(0, 1), upper.clamp(0, 1))
        return float32_at_least(beta_mass.log_mass(*bins), eta.dtype)

    def concentrations(self, eta: Tensor, dispersion: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """α and β of η [B, 2, *S], each [B, *S]; of the tempered density where there is a dispersion."""
        alpha, beta = (softplus(eta, threshold=_EXACT) + _FLOOR).unbind(1)
        if dispersion is None:
            return alpha, beta
        # (α − 1)/φ + 1, written so that a small α keeps its digits
        return (alpha + (dispersion - 1)) / dispersion, (beta + (dispersion - 1)) / dispersion
