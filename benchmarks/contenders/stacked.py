"""A sweep of β and seeds as one loop written by hand.

python -m benchmarks.contenders.stacked RUNS STEPS HIDDEN LATENTS FILE

Weights of all runs are tensors [N, ...], a layer is one `baddbmm`, and Adam sees one tensor. It draws what vaekl draws
and tests at the end, but keeps no logs, no pictures and no checkpoints, and has one loss: a limit, not a program.
"""

import itertools
import sys
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from vaekl.data.sources.embedded import digits
from vaekl.model.likelihoods.continuous_bernoulli import parts
from vaekl.system.devices import prepare

_BATCH = 100


def layers_of(widths: list[int]) -> list[tuple[int, int]]:
    """Inputs and outputs of each layer of an encoder and its decoder; `widths` are D, the hidden layers and Z."""
    pairs = [*itertools.pairwise(widths)]
    return [*pairs[:-1], (pairs[-1][0], 2 * pairs[-1][1]), *((b, a) for a, b in reversed(pairs))]


class Stack:
    """N VAEs with equal layers.

    Args:
        runs: N.
        widths: D, the hidden layers and Z.
    """

    def __init__(self, runs: int, widths: list[int]) -> None:
        self.runs, self.encoders = runs, len(widths) - 1
        self.shapes = [shape for wide, narrow in layers_of(widths) for shape in ((wide, narrow), (1, narrow))]
        self.sizes = [prod(shape) for shape in self.shapes]
        scale = torch.cat([torch.full((prod(shape),), 1 / max(shape) ** 0.5) for shape in self.shapes])
        self.flat = (torch.rand(runs, sum(self.sizes)) * 2 - 1).mul_(scale).requires_grad_()

    def __call__(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Energy, ln C and KL of x [N, B, D] with noise [N, B, Z], each [N, B]."""
        parts_of = zip(self.flat.split(self.sizes, 1), self.shapes, strict=True)
        own = [part.view(self.runs, *shape) for part, shape in parts_of]
        layers = [*zip(own[::2], own[1::2], strict=True)]
        h = x
        for number, (weight, bias) in enumerate(layers):
            h = torch.baddbmm(bias, h, weight)
            if number == self.encoders - 1:
                mean, log_std = h.chunk(2, 2)
                h = mean + log_std.exp() * noise
            elif number < len(layers) - 1:
                h = h.relu_()
        energy, constant = (part.view(x.shape[:2]) for part in parts(h.flatten(0, 1), x.flatten(0, 1)))
        return energy, constant, (0.5 * (mean.square() + (2 * log_std).exp() - 1) - log_std).sum(2)


def main(runs: int, steps: int, hidden: list[int], latents: int, out: Path) -> None:
    """Train, test, and write the ELBOs and the weights."""
    prepare(torch.device("cpu"), tf32=False)
    source = digits()
    images, test = (torch.as_tensor(part).flatten(1) for part in (source.train, source.test))
    betas = torch.logspace(-3, 1, runs).view(-1, 1)
    stack = Stack(runs, [images.shape[1], *hidden, latents])
    optimizer = torch.optim.Adam([stack.flat], lr=1e-3, fused=True)
    draws = [torch.Generator().manual_seed(number) for number in range(runs)]

    def batch(of: Tensor, indices: list[Tensor]) -> tuple[Tensor, Tensor]:
        x, noise = torch.empty(runs, len(indices[0]), of.shape[1]), torch.empty(runs, len(indices[0]), latents)
        for number, draw in enumerate(draws):
            torch.rand(x.shape[1:], generator=draw, out=x[number])
            torch.randn(noise.shape[1:], generator=draw, out=noise[number])
        return x.add_(of.index_select(0, torch.cat(indices)).view_as(x)).div_(17), noise

    ledger = torch.zeros(50, runs, 3)
    for step in range(steps):
        place = step % (len(images) // _BATCH)
        if place == 0:
            orders = [torch.randperm(len(images), generator=draw) for draw in draws]
        slices = [order[place * _BATCH : (place + 1) * _BATCH] for order in orders]
        terms = stack(*batch(images, slices))
        optimizer.zero_grad()
        (terms[0] + betas * terms[2]).mean(1).sum().backward()
        optimizer.step()
        ledger[step % 50] = torch.stack(terms, 2).detach().mean(1)
    with torch.no_grad():
        energy, constant, kl = stack(*batch(test, [torch.arange(len(test))] * runs))
    torch.save({"elbos": (constant - energy - kl).mean(1), "weights": stack.flat, "ledger": ledger}, out)


if __name__ == "__main__":
    main(
        int(sys.argv[1]),
        int(sys.argv[2]),
        [int(w) for w in sys.argv[3].split(",")],
        int(sys.argv[4]),
        Path(sys.argv[5]),
    )
