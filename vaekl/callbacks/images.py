"""Pictures: inputs beside reconstructions, samples from the prior, a latent traversal; on TensorBoard and as PNG.

A reconstruction is the *mean* of the density, which for the continuous Bernoulli is not its logit's sigmoid.
"""

from pathlib import Path

import torch
from torch import Tensor

from vaekl.callbacks.tensorboard import TensorBoard
from vaekl.data import seed_of
from vaekl.evaluate import Evaluation
from vaekl.libraries import torchvision
from vaekl.model import VAE
from vaekl.trainer import Callback, Trainer

_COLUMNS = 8
_SHARE = 10


class Images(Callback):
    """About ten times in a run, from the same latents and the same held-out images each time; at its end as PNG.

    Args:
        folder: the run folder; pictures of the tested weights stay there as PNG.
        tensorboard: the callback whose writer is used.
    """

    def __init__(self, folder: Path, tensorboard: TensorBoard) -> None:
        self.folder, self.tensorboard = folder, tensorboard

    def validated(self, trainer: Trainer, evaluation: Evaluation | None, improved: bool) -> None:
        before, total = trainer.step - trainer.plan.valid_every, trainer.plan.total_steps
        due = trainer.step * _SHARE // total > before * _SHARE // total
        if (due or trainer.finished) and self.tensorboard.writer is not None:
            kl = evaluation.kl_per_latent if evaluation is not None else None
            for name, grid in pictures(trainer, kl).items():
                self.tensorboard.writer.add_image(f"images/{name}", grid, trainer.step)

    def tested(self, trainer: Trainer, evaluation: Evaluation) -> None:
        for name, grid in pictures(trainer, evaluation.kl_per_latent).items():
            torchvision("utils").save_image(grid, self.folder / f"{name}.png")


@torch.no_grad()
def pictures(trainer: Trainer, kl_per_latent: Tensor | None) -> dict[str, Tensor]:
    """Grids [3, H, W] in [0, 1] under the names of their tags."""
    model, device = trainer.judged, trainer.device
    training = model.training
    model.eval()
    generator = torch.Generator(device).manual_seed(seed_of("pictures", trainer.seed))
    # test images are looked at only in the test
    split = trainer.data.valid if trainer.data.valid is not None else trainer.data.train
    x = split.batch(slice(0, 2 * _COLUMNS), generator)
    posterior, _ = model.encode(x)
    prior = torch.randn(_COLUMNS**2, model.latents, generator=generator, device=device)
    prior_eta = model.decode(prior)
    shown = model.spec.to_unit(x)
    grids = {
        "inputs_above_reconstructions": _beside(shown, _mean(model, posterior)),
        "prior_means": model.moments(prior_eta)[0],
        "prior_samples": model.spec.to_unit(model.likelihood.sample(prior_eta, model.weighting.dispersion, generator)),
        "latent_traversal": _mean(model, _traversal(model.latents, kl_per_latent, device)),
    }
    model.train(training)
    low, high = (shown.min(), shown.max()) if model.spec.support == "real" else (0.0, 1.0)
    return {name: _grid((picture - low) / (high - low)) for name, picture in grids.items()}


def _mean(model: VAE, z: Tensor) -> Tensor:
    return model.moments(model.decode(z))[0]


def _beside(x: Tensor, reconstruction: Tensor) -> Tensor:
    rows = zip(torch.split(x, _COLUMNS), torch.split(reconstruction, _COLUMNS), strict=True)
    return torch.cat([part for pair in rows for part in pair])


def _traversal(latents: int, kl_per_latent: Tensor | None, device: torch.device) -> Tensor:
    """Rows of z along the latents that carry most, from −3 to 3 with all others at 0."""
    kl = kl_per_latent if kl_per_latent is not None else torch.zeros(latents)
    chosen = kl.argsort(descending=True)[:_COLUMNS].to(device)
    z = torch.zeros(len(chosen), _COLUMNS, latents, device=device)
    steps = torch.linspace(-3, 3, _COLUMNS, device=device)
    z[torch.arange(len(chosen), device=device), :, chosen] = steps
    return z.flatten(0, 1)


def _grid(images: Tensor) -> Tensor:
    images = images.float().clamp(0, 1).cpu()
    if images.shape[1] not in (1, 3):
        images = images[:, :1]
    # an 8 × 8 digit would be a speck on the page
    factor = max(1, 32 // images.shape[-1])
    images = images.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    grid: Tensor = torchvision("utils").make_grid(images, nrow=_COLUMNS, padding=2, pad_value=0.5)
    return grid
