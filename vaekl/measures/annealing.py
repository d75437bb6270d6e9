"""Annealed importance sampling: ln p(x) where the encoder is too poor for importance weights alone.

    f_t(z) = q(z|x)^(1 − β_t) [p(x|z) p(z)]^(β_t),   0 = β_0 < ... < β_T = 1
    ln w = Σ_t ln f_t(z_{t−1}) − ln f_{t−1}(z_{t−1}),   E[w] = p(x)                                          (nats)

Each z_t comes from z_{t−1} by one Hamiltonian trajectory that leaves f_t invariant. The logarithm of an average of w is
a stochastic lower bound on ln p(x), the tighter the more distributions there are between.

Source: Neal 2001; Wu, Burda, Salakhutdinov, Grosse 2017, section 3 (theirs starts at the prior, this at q).
"""

from collections.abc import Callable
from math import log

import torch
from torch import Tensor

from vaekl.data import Split, batch_slices
from vaekl.measures.elbo import batch_limit
from vaekl.model.vae import VAE

#: chains per image, whose weights are averaged; leapfrog steps in a trajectory
CHAINS = 10
_LEAPFROG = 5
_ACCEPTED = 0.65
_FIRST_STEP = 0.3


def annealed_bound(
    model: VAE,
    split: Split,
    generator: torch.Generator,
    steps: int,
    done: Callable[[int], None] = lambda images: None,
) -> Tensor:
    """A lower bound on ln p(x) of each image, [N] nats, float64.

    Args:
        model: in evaluation mode.
        split: N images.
        generator: of all noise.
        steps: T, how many distributions.
        done: called with the number of images that are finished, after each batch.
    """
    parts = []
    for part in batch_slices(len(split), max(1, batch_limit(model) // CHAINS), drop_last=False):
        x = split.batch(part, generator).repeat_interleave(CHAINS, 0)
        path = _Path(model, x)
        # the step sizes are tuned in a first pass and fixed in the second: adapted to their own chain they would bias w
        _, sizes = _anneal(path, generator, steps, None)
        weights, _ = _anneal(path, generator, steps, sizes)
        parts.append(weights.view(-1, CHAINS).logsumexp(1) - log(CHAINS))
        done(len(x) // CHAINS)
    return torch.cat(parts).cpu()


class _Path:
    """The distributions between q(z|x) and p(x, z), for images x [B, *S].

    One image stands there once for each of its chains.
    """

    def __init__(self, model: VAE, x: Tensor) -> None:
        self.model, self.x = model, x
        with torch.no_grad():
            self.mean, log_std = model.encode(x)
        self.std, self.log_std = log_std.exp(), log_std

    def parts(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """ln q(z|x) and ln p(x, z) of z [B, Z], each [B]; the (2π)^(−Z/2) that both have is left out."""
        log_q = (-0.5 * ((z - self.mean) / self.std).square() - self.log_std).sum(1)
        log_px = self.model.log_prob(self.model.decode(z, self.x), self.x)
        return log_q, log_px - 0.5 * z.square().sum(1)

    def at(self, z: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        """ln f_β of z [B, Z], [B], and its gradient, [B, Z]."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            log_q, log_p = self.parts(z)
            value = (1 - beta) * log_q + beta * log_p
            (gradient,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), gradient


def _anneal(path: _Path, generator: torch.Generator, steps: int, sizes: Tensor | None) -> tuple[Tensor, Tensor]:
    """One pass from q(z|x) to p(x, z).

    Args:
        path: its distributions.
        generator: of all noise.
        steps: T.
        sizes: of the leapfrog steps, [T, B]; None adapts them on the way to the rate of acceptance.

    Returns:
        ln w of each chain, [B], float64, and the sizes that were used, [T, B].
    """

    def noise() -> Tensor:
        return torch.randn(path.mean.shape, generator=generator, device=path.mean.device)

    z = path.mean + path.std * noise()
    weights = torch.zeros(len(z), dtype=torch.float64, device=z.device)
    size = torch.full((len(z),), _FIRST_STEP, device=z.device)
    used = []
    for step in range(1, steps + 1):
        with torch.no_grad():
            log_q, log_p = path.parts(z)
        weights += (log_p.double() - log_q.double()) / steps
        if sizes is not None:
            size = sizes[step - 1]
        used.append(size)
        # drawn in the last step too, after which nothing moves, so that each step takes as many numbers from the stream
        momentum, uniform = noise(), torch.rand(len(z), generator=generator, device=z.device)
        if step == steps:
            break
        z, chance = _trajectory(path, z, step / steps, size, momentum, uniform)
        if sizes is None:
            size = size * torch.where(chance > _ACCEPTED, 1.05, 0.95)
    return weights, torch.stack(used)


def _trajectory(
    path: _Path, z: Tensor, beta: float, size: Tensor, momentum: Tensor, uniform: Tensor
) -> tuple[Tensor, Tensor]:
    """One Hamiltonian proposal, taken or not.

    Args:
        path: its distributions.
        z: where the chains are, [B, Z].
        beta: which distribution is left invariant.
        size: length of a leapfrog step in posterior standard deviations, [B].
        momentum: standard normal, [B, Z].
        uniform: on [0, 1), [B]; the proposal is taken where it lies below the chance of that.

    Returns:
        The new z, [B, Z], and the chance that the proposal was taken, [B].
    """
    scale = size.unsqueeze(1) * path.std
    value, gradient = path.at(z, beta)
    energy = value - 0.5 * momentum.square().sum(1)
    proposal = z
    for _ in range(_LEAPFROG):
        momentum = momentum + 0.5 * scale * gradient
        proposal = proposal + scale * momentum
        value, gradient = path.at(proposal, beta)
        momentum = momentum + 0.5 * scale * gradient
    gain = value - 0.5 * momentum.square().sum(1) - energy
    chance = gain.nan_to_num(nan=-torch.inf).clamp(max=0).exp()
    return torch.where((uniform < chance).unsqueeze(1), proposal, z), chance
