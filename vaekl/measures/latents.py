"""What the posterior tells: active units, and how the KL splits into information and mismatch.

    E_x KL(q(z|x) ‖ p(z)) = I_q(x; z) + KL(q(z) ‖ p(z)),    q(z) = 1/N Σ q(z|x_n)                             (nats)

I is the mutual information between an image's index and its latent, at most ln N; the rest is the marginal KL, the
price of an aggregate posterior that is not the prior.

Source: Hoffman, Johnson 2016, section 2; active units: Burda, Grosse, Salakhutdinov 2016, section 3.
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
        """Those of the first images."""
        return Posterior(self.mean[:images], self.log_std[:images], self.noise[:images])


def kl(found: Posterior) -> Tensor:
    """KL(q(z|x) ‖ p(z)) averaged over the images, nats."""
    return gaussian_kl(found.mean.double(), found.log_std.double()).sum(1).mean()


@torch.inference_mode()
def posterior(model: VAE, split: Split, generator: torch.Generator) -> Posterior:
    """Encode a split and sample, drawing as `evaluate` does: equal seeds give its KL again. On the CPU."""
    parts = []
    for part in batch_slices(len(split), batch_limit(model), drop_last=False):
        x = split.batch(part, generator)
        parts.append(model.sample_posterior(x, generator)[1:])
    mean, log_std, noise = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    return Posterior(mean, log_std, noise)


def mutual_information(found: Posterior) -> float:
    """I_q(x; z) in nats by one sample of each image: the average of ln q(z|x) − ln q(z), q(z) over all N images."""
    mean, log_std, noise = found.mean.double(), found.log_std.double(), found.noise.double()
    z = mean + log_std.exp() * noise
    own = (-0.5 * noise.square() - log_std).sum(1)
    # Σ (z − m)²/s² for all pairs as three matrix products; (2π)^(−Z/2) cancels
    weight = torch.exp(-2 * log_std)
    constant = (-0.5 * mean.square() * weight - log_std).sum(1)
    aggregate = [
        torch.logsumexp(constant + part @ (mean * weight).T - 0.5 * part.square() @ weight.T, 1) - log(len(mean))
        for part in z.split(_BATCH)
    ]
    return (own - torch.cat(aggregate)).mean().item()
