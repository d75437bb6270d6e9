"""The importance-weighted bound (IWAE): tighter than the ELBO, and the tighter the more samples it takes.

    L_K = E_{z₁..z_K ~ q(z|x)} [ ln 1/K Σ p(x, z_k)/q(z_k|x) ] ≤ ln p(x),    L_1 = ELBO, L_K ≤ L_{K+1}     (nats)

Source: Burda, Grosse, Salakhutdinov 2016, equation 8 and theorem 1.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log, sqrt

import torch
from torch import Tensor

from vaekl.data import Split, batch_slices, order
from vaekl.data.row_noise import RowNoise, normal
from vaekl.measures.elbo import batch_limit
from vaekl.model.ledger import gaussian_kl
from vaekl.model.vae import VAE
from vaekl.system.cores import free_memory

#: images that are decoded at once
_CHUNK = 500
#: memory for each value of η: itself, and what its log-likelihood needs; four numbers in float32
_BYTES_A_VALUE = 16

#: ln p(x|z) from η [B, P, *S] and x [B, *S]: nats per image, [B]
LogLikelihood = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Bounds:
    """A bound on ln p(x) of every image, for several K.

    Args:
        elbo: with the KL in closed form and the first of the samples, [N], nats.
        bound: K -> [N], nats, from the first K of the same samples.
    """

    elbo: Tensor
    bound: dict[int, Tensor]


def importance_bounds(
    model: VAE,
    split: Split,
    log_likelihood: LogLikelihood,
    ks: Sequence[int],
    generator: torch.Generator,
    chunk: int | None = None,
    done: Callable[[int], None] = lambda passes: None,
) -> Bounds:
    """L_K of every image for each K, with memory that does not grow with K.

    Args:
        model: in evaluation mode.
        split: N images.
        log_likelihood: of a density on x, or of the mass of x's levels.
        ks: numbers of samples, ascending.
        generator: of all noise.
        chunk: images that are decoded at once; None for as many as fit a processor's caches.
        done: called with the number of decoder passes that were made, now and then.

    Raises:
        MemoryError: the decoder's outputs would need more memory than is free.
    """
    needed = _BYTES_A_VALUE * model.likelihood.outputs * model.spec.dims * min(chunk or 0, ks[-1] * len(split))
    if needed > free_memory():
        raise MemoryError(f"{needed / 1e9:,.0f} GB for the decoder's outputs, {free_memory() / 1e9:,.0f} GB are free")
    elbos: list[Tensor] = []
    columns: dict[int, list[Tensor]] = {k: [] for k in ks}
    for part in batch_slices(len(split), batch_limit(model), drop_last=False):
        # x and the first sample are drawn as `evaluate` draws them, so that both give one ELBO
        x = split.batch(part, generator)
        first = model.noise(len(x), generator)
        # the others have a stream for each batch, so that L_K depends neither on the other K nor on the chunks
        stream = order.generator(f"samples {part.start}", generator.initial_seed(), x.device)
        further = generator if isinstance(generator, RowNoise) else stream
        samples = _Samples(first, further, chunk or _CHUNK)
        elbo, bounds = _batch_bounds(model, x, log_likelihood, ks, samples, done)
        elbos.append(elbo)
        for k, bound in bounds.items():
            columns[k].append(bound)
    return Bounds(torch.cat(elbos), {k: torch.cat(column) for k, column in columns.items()})


def mean_and_error(values: Tensor) -> tuple[float, float | None]:
    """The average of values [N] and its standard error, which is None for a single value."""
    values = values.double()
    return values.mean().item(), values.std().item() / sqrt(len(values)) if len(values) > 1 else None


@dataclass(frozen=True)
class _Samples:
    """Standard normal noise [K, B, Z] of one batch, some samples at a time.

    Args:
        first: the first sample, [B, Z].
        further: draws the others; always one [B, Z] after the other, so that chunks change nothing.
        chunk: images that are decoded at once.
    """

    first: Tensor
    further: torch.Generator
    chunk: int

    def between(self, start: int, end: int) -> Iterator[Tensor]:
        """The samples start..end−1, as many at a time as make a chunk."""
        at_once = max(1, self.chunk // len(self.first))
        if start == 0:
            yield self.first.unsqueeze(0)
            start = 1
        for begin in range(start, end, at_once):
            yield torch.stack([self._next() for _ in range(min(at_once, end - begin))])

    def _next(self) -> Tensor:
        return normal(self.first.shape, self.further)


@torch.inference_mode()
def _batch_bounds(
    model: VAE,
    x: Tensor,
    log_likelihood: LogLikelihood,
    ks: Sequence[int],
    samples: _Samples,
    done: Callable[[int], None],
) -> tuple[Tensor, dict[int, Tensor]]:
    mean, log_std = model.encode(x)
    std, entropy_part, kl = log_std.exp(), log_std.sum(1), gaussian_kl(mean, log_std).sum(1)
    elbo: Tensor | None = None
    # a log-sum-exp in float64: 5,000 float32 terms would lose the fourth decimal of small gains
    total = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
    bounds: dict[int, Tensor] = {}
    for start, end in pairwise([0, *ks]):
        for noise in samples.between(start, end):
            z = mean + std * noise
            log_px = _decoded(model, x, z, log_likelihood, samples.chunk)
            # ln p(z) − ln q(z|x): the two (2π)^(−Z/2) cancel
            log_ratio = 0.5 * (noise.square() - z.square()).sum(2) + entropy_part
            elbo = log_px[0] - kl if elbo is None else elbo
            total = total.logaddexp((log_px + log_ratio).double().logsumexp(0))
            done(len(noise) * len(x))
        bounds[end] = total - log(end)
    assert elbo is not None
    return elbo.double().cpu(), {k: bound.cpu() for k, bound in bounds.items()}


def _decoded(model: VAE, x: Tensor, z: Tensor, log_likelihood: LogLikelihood, chunk: int) -> Tensor:
    """ln p(x|z), [K, B], of x [B, *S] and z [K, B, Z], decoding at most `chunk` at once."""
    if len(z) == 1 and len(x) <= chunk:
        return log_likelihood(model.decode(z[0], x), x).unsqueeze(0)
    image = torch.arange(len(x), device=x.device).repeat(len(z))
    parts = zip(z.flatten(0, 1).split(chunk), image.split(chunk), strict=True)
    rows = ((part, x[which]) for part, which in parts)
    return torch.cat([log_likelihood(model.decode(part, row), row) for part, row in rows]).view(z.shape[:2])
