"""The categorical distribution over a pixel's levels."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vaekl.model.likelihoods.levels import OnLevels


class Categorical(OnLevels):
    """Categorical over {0..K−1}: E = −ln softmax(a)[x], ln C = 0 at φ = 1; tempered: logits a/φ.

    The decoder gives K logits for each value; K comes from the data, so call `check_spec` first.

    >>> eta, x, phi = torch.zeros(1, 2, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(Categorical(levels=2).energy(eta, x, phi).item(), 6)
    0.693147
    """

    name = "categorical"
    energy_text = "−ln softmax(a)[x]"

    def set_levels(self, levels: int) -> None:
        super().set_levels(levels)
        self.outputs = levels

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return cross_entropy(eta, x.long(), reduction="none")

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        # both terms from the same shifted logits, so that their difference at φ = 1 is exactly 0
        shifted = eta - eta.amax(1, keepdim=True)
        return shifted.logsumexp(1) / dispersion - (shifted / dispersion.unsqueeze(0)).logsumexp(1)

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return (self._mass(eta, dispersion) * self.every_level(eta)).sum(1)

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        distance = self.every_level(eta) - self.mean(eta, dispersion).unsqueeze(1)
        return (self._mass(eta, dispersion) * distance.square()).sum(1)

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mass = self._mass(eta, dispersion).movedim(1, -1)
        draw = torch.multinomial(mass.reshape(-1, self.outputs), 1, generator=generator)
        return draw.view(mass.shape[:-1])

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        levels = self.every_level(eta)
        inside = (levels > lower.unsqueeze(1)) & (levels <= upper.unsqueeze(1))
        return (eta / dispersion.unsqueeze(0)).log_softmax(1).masked_fill(~inside, -torch.inf).logsumexp(1)

    def _mass(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return (eta / dispersion.unsqueeze(0)).softmax(1)
