"""Pictures: inputs beside reconstructions, samples from the prior, a latent traversal; on TensorBoard and as PNG.

A reconstruction is the *mean* of the density at the posterior's mean.
"""

from pathlib import Path

import torch
from torch import Tensor

from vaekl.data import generator
from vaekl.measures.elbo import Evaluation
from vaekl.measures.pictures import as_image, beside, decoded, grid, most_kl, traversal, write_png
from vaekl.measures.tiles import Tiles
from vaekl.model.modes import evaluating
from vaekl.store import RunFolder
from vaekl.system.files import replacing
from vaekl.training.callback import Callback, TrainerView
from vaekl.training.callbacks.tensorboard import TensorBoard

_COLUMNS = 8
#: the names of the pictures, which are those of their files and tags
PICTURES = ("inputs_above_reconstructions", "prior_means", "prior_samples", "latent_traversal")
#: pictures are drawn at about so many validations of a run
_TIMES = 10


class Images(Callback):
    """About ten times in a run, from the same latents and the same held-out images each time; at its end as PNG.

    Args:
        folder: the run folder; pictures of the tested weights stay there as PNG.
        tensorboard: the callback whose writer is used.
    """

    def __init__(self, folder: Path, tensorboard: TensorBoard) -> None:
        self.folder, self.tensorboard = RunFolder(folder), tensorboard

    def validated(self, trainer: TrainerView, evaluation: Evaluation | None, improved: bool) -> None:
        before, total = trainer.step - trainer.plan.valid_every, trainer.plan.total_steps
        due = trainer.step * _TIMES // total > before * _TIMES // total
        if due or trainer.finished:
            kl = evaluation.kl_per_latent if evaluation is not None else None
            self.tensorboard.show(
                {f"images/{name}": drawn for name, drawn in pictures(trainer, kl).items()}, trainer.step
            )

    def tested(self, trainer: TrainerView, evaluation: Evaluation) -> None:
        for name, drawn in pictures(trainer, evaluation.kl_per_latent).items():
            with replacing(self.folder.picture(name), "picture") as partial:
                write_png(as_image(drawn), partial)


def pictures(trainer: TrainerView, kl_per_latent: Tensor | None) -> dict[str, Tensor]:
    """Grids [3, height, width] in [0, 1] under the names of their tags.

    Args:
        trainer: whose judged weights and held-out images are shown.
        kl_per_latent: [Z]; the latents with the largest are traversed. None takes the first latents.
    """
    with torch.no_grad(), evaluating(trainer.judged):
        grids = _images(trainer, kl_per_latent)
    return {name: grid(images, _COLUMNS) for name, images in grids.items()}


def _images(trainer: TrainerView, kl_per_latent: Tensor | None) -> dict[str, Tensor]:
    """What each grid shows, [N, C, H, W] in [0, 1]."""
    model = trainer.judged
    stream = generator("pictures", trainer.seed, trainer.device)
    # test images are looked at only in the test
    split = trainer.data.valid if trainer.data.valid is not None else trainer.data.train
    x = split.batch(slice(0, 2 * _COLUMNS), stream)
    inputs, posterior_mean = model.spec.to_data(x), model.encode(x)[0]
    prior = model.noise(_COLUMNS**2, stream)
    kl = kl_per_latent if kl_per_latent is not None else torch.zeros(model.latents)
    tiles = Tiles.of(model.spec, inputs)
    return {
        "inputs_above_reconstructions": beside(
            tiles.drawn(inputs), tiles.drawn(decoded(model, posterior_mean, inputs=x)), _COLUMNS
        ),
        "prior_means": tiles.drawn(decoded(model, prior)),
        "prior_samples": tiles.drawn(decoded(model, prior, stream)),
        "latent_traversal": tiles.drawn(
            decoded(model, traversal(most_kl(kl, _COLUMNS), model.latents, _COLUMNS))
        ),
    }  # fmt: skip
