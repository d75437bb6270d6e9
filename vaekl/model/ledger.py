"""The ledger: the parts of the ELBO, before any of them is weighted.

ELBO = −E/φ + ln C(η, φ) − KL(q(z|x) ‖ p(z))                (nats; a lower bound on ln p(x))
"""

from dataclasses import InitVar, dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor


class PosteriorSample(NamedTuple):
    """q(z|x) of a batch, and one sample z = mean + exp(log_std) · noise of each image; all [B, Z], float32.

    Args:
        z: the sample.
        mean: of q(z|x).
        log_std: the logarithm of its standard deviation.
        noise: standard normal.
    """

    z: Tensor
    mean: Tensor
    log_std: Tensor
    noise: Tensor


@dataclass
class ElboTerms:
    """The parts of a batch's ELBO under its implied density.

    Args:
        energy: E summed over every axis along which φ is constant, [B, *dispersion.shape]; not divided by φ.
        log_norm_const: ln C(η, φ) summed over the image, [B], nats.
        kl: KL(q(z|x) ‖ N(0, 1)) of each latent, [B, Z], nats.
        dispersion: φ of the implied density, with as many axes as S: all of length 1, [C, 1, ...], or S.
        posterior: q(z|x) and the sample from which the energy was computed.
        tempered: whether φ may differ from 1.

    Attributes:
        energy_nats: E/φ, [B], nats.
        total_energy: E, [B], in units of φ: the reconstruction loss of other programs.
        total_kl: KL summed over the latents and never weighted, [B], nats.

    >>> one = torch.ones
    >>> posterior = PosteriorSample(one(2, 3), one(2, 3), one(2, 3), one(2, 3))
    >>> ElboTerms(one(2, 1, 1, 1), one(2), one(2, 3), one(1, 1, 1) / 2, posterior).elbo
    tensor([-4., -4.])
    """

    energy: Tensor
    log_norm_const: Tensor
    kl: Tensor
    dispersion: Tensor
    posterior: PosteriorSample
    tempered: InitVar[bool] = field(default=True, kw_only=True)

    energy_nats: Tensor = field(init=False)
    total_energy: Tensor = field(init=False)
    total_kl: Tensor = field(init=False)

    def __post_init__(self, tempered: bool) -> None:
        # computed once, for the loss and for the log
        self.total_energy = _total(self.energy)
        self.energy_nats = _total(self.energy / self.dispersion) if tempered else self.total_energy
        self.total_kl = self.kl.sum(1)

    @property
    def elbo(self) -> Tensor:
        """The ELBO of the implied density, [B], nats; higher is better, whatever loss was minimised."""
        return self.log_norm_const - self.energy_nats - self.total_kl


def _total(values: Tensor) -> Tensor:
    """values [B, ...] summed over all but the first axis, [B]; one value an image needs no kernel for a sum."""
    flat = values.flatten(1)
    return flat.squeeze(1) if flat.shape[1] == 1 else flat.sum(1)


def gaussian_kl(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(m, s²) ‖ N(0, 1)) = ½(m² + s² − 1) − ln s of each element, nats; mean and log_std of any one shape.

    Source: Kingma, Welling 2014, appendix B.

    >>> gaussian_kl(torch.tensor([1.0]), torch.tensor([0.0]))
    tensor([0.5000])
    """
    return 0.5 * (mean.square() + torch.exp(2 * log_std) - 1) - log_std
