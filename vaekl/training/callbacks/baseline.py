"""Whether a run does better than no model at all: than taking every image for the mean of the training images."""

from collections.abc import Callable

import torch
from torch import Tensor

from vaekl.data import Split, generator
from vaekl.data.spec import DataSpec
from vaekl.measures.elbo import Evaluation
from vaekl.system.console import Console
from vaekl.training.callback import Callback, TrainerView

#: steps before anything is expected of a run, and of one that is at its end
_PATIENCE, _LEAST = 1000, 200
#: training images by which the mean's error is judged
_IMAGES = 2000
#: values that are held at a time
_VALUES = 2**24
#: a model without latents gives the mean, but for what its validation images happen to be
_CLOSE = 0.99


class Baseline(Callback):
    """Says once that the RMSE is no better than the mean's."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._silent = False
        self._mean: float | None = None

    def validated(self, trainer: TrainerView, evaluation: Evaluation | None, improved: bool) -> None:
        if evaluation is not None and trainer.step >= _PATIENCE:
            self._compare(trainer, evaluation)

    def tested(self, trainer: TrainerView, evaluation: Evaluation) -> None:
        if trainer.step >= _LEAST:
            self._compare(trainer, evaluation)

    def _compare(self, trainer: TrainerView, evaluation: Evaluation) -> None:
        if self._silent:
            return
        if self._mean is None:
            self._mean = rmse_of_mean(trainer.data.train, trainer.data.spec, trainer.device)
        mean = self._mean
        if evaluation.rmse > _CLOSE * mean:
            self._silent = True
            self.console.print(
                f"  warning: after {trainer.step:,} steps the RMSE, {evaluation.rmse:.4g}, is no better than that of "
                f"the training mean, {mean:.4g}: nothing is known of single {trainer.data.spec.example}s; train "
                "longer, raise optim.lr, or give the KL less weight, unless they are noise."
            )


@torch.no_grad()
def rmse_of_mean(split: Split, spec: DataSpec, device: torch.device) -> float:
    """The root mean square deviation of some images from their mean, on the scale that is reported.

    Where rates are in proportion to totals it is that from the share of the total that each value has in all of them.

    Args:
        split: the images.
        spec: what they are.
        device: where they are served.
    """
    some = min(len(split), _IMAGES)
    index = torch.arange(some, device=device) * len(split) // some

    def summed(answer: Callable[[Tensor, Tensor | float], Tensor]) -> Tensor:
        """Summed over the images, [*S]: an answer for x [B, *S] and what multiplies the rates of each of its rows."""
        noise, parts = generator("baseline", 0, device), index.split(max(1, _VALUES // spec.dims))
        batches = (split.batch(part, noise) for part in parts)
        exposed = ((x, 1.0 if (offset := spec.offset(x)) is None else offset.exp()) for x in batches)
        return torch.stack([answer(spec.to_data(x), exposure).double().nansum(0) for x, exposure in exposed]).sum(0)

    count = summed(lambda x, _: ~x.isnan())
    exposures = summed(lambda x, exposure: ~x.isnan() * exposure)
    mean = (summed(lambda x, _: x) / exposures.clamp(min=1e-9)).float()
    return float((summed(lambda x, exposure: (x - mean * exposure).double().square()).sum() / count.sum()).sqrt())
