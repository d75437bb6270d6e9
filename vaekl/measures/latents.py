"""The KL in two parts: what z says about its image, and how far the latents of all images are from the prior.

    E_x KL(q(z|x) ‖ p(z)) = I_q(x; z) + KL(q(z) ‖ p(z)),    q(z) = 1/N Σ q(z|x_n)                             (nats)

I is the mutual information between an image's index and its latent, at most ln N; the rest is the marginal KL, the KL
of the aggregate posterior q(z) from the prior.

Source: Hoffman, Johnson 2016, section 2.
"""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from vaekl.data import Split, batch_slices
from vaekl.measures.elbo import batch_limit
from vaekl.model.ledger import gaussian_kl
from vaekl.model.vae import VAE

_BATCH = 500


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
