"""The tasks, and their networks written by hand with plain modules."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

LATENTS = 20


@dataclass(frozen=True)
class Workload:
    """What every contender trains.

    Args:
        name: mlp or conv, or growth, which is vaekl's alone.
        batch: images a step.
        shape: (C, H, W).
        words: what `vaekl train` calls it.
    """

    name: str
    batch: int
    shape: tuple[int, int, int]
    words: tuple[str, ...]


MLP = Workload(
    "mlp",
    100,
    (1, 28, 28),
    ("dataset=mnist", "transform=binarize", "likelihood=bernoulli", "trainer.batch_size=100"),
)
CONV = Workload(
    "conv",
    128,
    (3, 32, 32),
    (
        "dataset=npz",
        "transform=scale",
        "likelihood=gaussian",
        "weighting=fixed_beta",
        "model=conv",
        "trainer.batch_size=128",
    ),
)
GROWTH = Workload("growth", 100, (1, 28, 28), ("dataset=npz", "likelihood=cb", "model=mlp"))
WORKLOADS = {workload.name: workload for workload in (MLP, CONV, GROWTH)}


class Net(nn.Module):
    """x [B, C, H, W] and noise [B, Z] -> the loss: BCE or half the squared error, and the KL, averaged over images."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self.binary = workload.name == "mlp"
        self.encoder, self.decoder = (_mlp if self.binary else _conv)()

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        eta = self.decoder(mean + log_std.exp() * noise)
        if self.binary:
            energy = binary_cross_entropy_with_logits(eta, x, reduction="sum")
        else:
            energy = 0.5 * (eta - x).square().sum()
        kl = 0.5 * (mean.square() + (2 * log_std).exp() - 2 * log_std - 1).sum()
        return (energy + kl) / len(x)


def noise(x: Tensor) -> Tensor:
    """For the reparameterisation, [B, Z]."""
    return torch.randn(len(x), LATENTS, device=x.device)


def _mlp() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 500), nn.ReLU(),
        nn.Linear(500, 500), nn.ReLU(),
        nn.Linear(500, 2 * LATENTS),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(LATENTS, 500), nn.ReLU(),
        nn.Linear(500, 500), nn.ReLU(),
        nn.Linear(500, 784),
        nn.Unflatten(1, (1, 28, 28)),
    )  # fmt: skip
    return encoder, decoder


def _conv() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(
        nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(64, 128, 3, 2, 1), nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2048, 256), nn.ReLU(),
        nn.Linear(256, 2 * LATENTS),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(LATENTS, 256), nn.ReLU(),
        nn.Linear(256, 2048), nn.ReLU(),
        nn.Unflatten(1, (128, 4, 4)),
        nn.ConvTranspose2d(128, 64, 3, 2, 1, 1), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 3, 2, 1, 1), nn.ReLU(),
        nn.ConvTranspose2d(32, 3, 3, 2, 1, 1),
    )  # fmt: skip
    return encoder, decoder
