"""The KL in its parts: what z says about its image, and how far the latents of all images are from the prior.

    E_x KL(q(z|x) ‖ p(z)) = I_q(x; z) + KL(q(z) ‖ p(z)),    q(z) = 1/N Σ q(z|x_n)                             (nats)
    KL(q(z) ‖ p(z)) = KL(q(z) ‖ ∏ q(z_j)) + Σ_j KL(q(z_j) ‖ p(z_j))

I is the mutual information between an image's index and its latent, at most ln N; the rest is the marginal KL, the KL
of the aggregate posterior q(z) from the prior. Its first part is the total correlation of the latents, its second what
each latent by itself differs from the prior by.

Source: Hoffman, Johnson 2016, section 2; Chen et al. 2018, equation 2.
"""

from dataclasses import dataclass
from math import log, pi, sqrt

import torch
from torch import Tensor

from vaekl.data import Split, batch_slices
from vaekl.measures.elbo import batch_limit
from vaekl.model.ledger import gaussian_kl
from vaekl.model.vae import VAE

_BATCH = 500
#: standard deviations beyond which a posterior is nothing, and the most points of a grid
_WIDE, _MOST_POINTS = 8, 4000


@dataclass(frozen=True)
class Posterior:
    """q(z|x) of every image of a split, in its order, and one sample of each.

    Args:
        mean: [N, Z].
        log_std: [N, Z].
        noise: [N, Z]; z = mean + exp(log_std) · noise.
    """

    mean: Tensor
    log_std: Tensor
    noise: Tensor

    def first(self, images: int) -> "Posterior":
        """The posterior of the first images alone."""
        return Posterior(self.mean[:images], self.log_std[:images], self.noise[:images])


def kl(posterior: Posterior) -> Tensor:
    """KL(q(z|x) ‖ p(z)) averaged over the images, nats; a float64 scalar."""
    return gaussian_kl(posterior.mean.double(), posterior.log_std.double()).sum(1).mean()


@torch.inference_mode()
def posterior(model: VAE, split: Split, generator: torch.Generator) -> Posterior:
    """Encode a split and sample.

    Args:
        model: in evaluation mode.
        split: N images.
        generator: of all noise, which is drawn as `evaluate` draws it: equal generators give its KL again.

    Returns:
        On the CPU.
    """
    parts = []
    for part in batch_slices(len(split), batch_limit(model), drop_last=False):
        x = split.batch(part, generator)
        parts.append(model.sample_posterior(x, generator)[1:])
    mean, log_std, noise = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    return Posterior(mean, log_std, noise)


def mutual_information(posterior: Posterior) -> float:
    """I_q(x; z) in nats, from one sample of each image: the average of ln q(z|x) − ln q(z) over the images."""
    mean, log_std, noise = (part.double() for part in (posterior.mean, posterior.log_std, posterior.noise))
    z = mean + log_std.exp() * noise
    own = (-0.5 * noise.square() - log_std).sum(1)
    # Σ (z − m)²/s² of all pairs of images by matrix products; the (2π)^(−Z/2) of q(z|x) and q(z) cancel
    weight = torch.exp(-2 * log_std)
    constant = (-0.5 * mean.square() * weight - log_std).sum(1)
    aggregate = [
        torch.logsumexp(constant + part @ (mean * weight).T - 0.5 * part.square() @ weight.T, 1) - log(len(mean))
        for part in z.split(_BATCH)
    ]
    return (own - torch.cat(aggregate)).mean().item()


def dimension_wise_kl(posterior: Posterior) -> float:
    """Σ_j KL(q(z_j) ‖ p(z_j)) in nats, each an integral over a grid instead of an average over samples.

    The grid's step is half of the standard deviation that one image in a hundred is below, or as much more as makes the
    grid no longer than 4,000 points.
    """
    return sum(
        _kl_from_prior(mean, std)
        for mean, std in zip(posterior.mean.double().T, posterior.log_std.double().exp().T, strict=True)
    )


def _kl_from_prior(mean: Tensor, std: Tensor) -> float:
    """KL(1/N Σ N(m_n, s_n²) ‖ N(0, 1)) of [N] means and standard deviations, nats."""
    std = std.clamp(min=1e-12)
    step = std.quantile(0.01) / 2
    while len(grid := _cells(mean, std, step)) > _MOST_POINTS:
        step = step * 2
    parts = []
    for z in grid.split(_BATCH):
        density = (torch.exp(-0.5 * ((z[:, None] - mean) / std).square()) / std).mean(1) / sqrt(2 * pi)
        parts.append(torch.special.xlogy(density, density) + density * 0.5 * (z.square() + log(2 * pi)))
    return float(torch.cat(parts).sum() * step)


def _cells(mean: Tensor, std: Tensor, step: Tensor) -> Tensor:
    """The multiples of the step that any of the densities reaches; gaps between them cost nothing."""
    first, order = torch.sort(torch.floor((mean - _WIDE * std) / step))
    last = torch.cummax(torch.ceil((mean + _WIDE * std) / step)[order], 0).values
    begins = torch.cat([torch.ones(1, dtype=torch.bool), first[1:] > last[:-1]])
    ends = torch.cat([begins[1:], torch.ones(1, dtype=torch.bool)])
    pieces = [
        torch.arange(min(int(b - a), _MOST_POINTS) + 1) + a for a, b in zip(first[begins], last[ends], strict=True)
    ]
    return torch.cat(pieces) * step
