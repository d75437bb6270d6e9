"""How good a run is: a bound on the probability of validation examples, and what the aim of the suggestion goes by."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import torch

from vaekl.data import Split, generator
from vaekl.measures import latents, neighbours, ruler
from vaekl.measures.elbo import evaluate
from vaekl.measures.importance import importance_bounds
from vaekl.measures.pictures import decoded, prior
from vaekl.model.modes import evaluating
from vaekl.model.vae import VAE
from vaekl.store.read import SCHEMA, read_record
from vaekl.store.suggest_schema import Judged, Point
from vaekl.store.write import record, write_record
from vaekl.training.callback import Callback, TrainerView

JUDGED = "judged.json"
_MOST_BYTES = 1 << 26
_CURE = "take the run's folder away, and the same command trains it again"
#: posterior samples in the bound of a density; the fair ruler takes one, as `vaekl eval` does
_SAMPLES = 50
#: examples for φ, σ, the error and the latents in use; those of a mixture take many times as long as its bound
FIGURED = 100


def points(path: Path) -> dict[int, Point]:
    """What is known of a run so far, by the step.

    Raises:
        UnreadableError: its file is damaged.
    """
    try:
        judged = read_record(path / JUDGED, Judged, _MOST_BYTES, _CURE)
    except FileNotFoundError:
        return {}
    return {point.step: point for point in judged.points}


class Judge(Callback):
    """Judges a run at some steps, and ends it after the last of them, or when its time is over.

    Args:
        path: the run's folder.
        steps: after which it is judged, multiples of the steps between training figures.
        aim: of the suggestion.
        images: validation examples, the first ones.
        deadline: seconds of `time.time`, after which it ends.
        stop: ends the run.

    Attributes:
        first: the step at which it began.
        fitting: seconds between its first step and its last, `judging` included.
        judging: seconds that it was judged for.
        looks: how often that was.
    """

    def __init__(
        self, path: Path, steps: Sequence[int], aim: str, images: int, deadline: float, stop: Callable[[], None]
    ) -> None:
        self.path, self.steps, self.aim, self.images = path, tuple(steps), aim, images
        self.deadline, self.stop = deadline, stop
        self.first = self.looks = 0
        self.begun = self.fitting = self.judging = 0.0

    def started(self, trainer: TrainerView) -> None:
        self.first, self.begun = trainer.step, time.perf_counter()

    def logged(self, trainer: TrainerView, figures: dict[str, float]) -> None:
        if trainer.step in self.steps and trainer.step not in points(self.path):
            begun = time.perf_counter()
            write(self.path, judged(trainer, self.aim, self.images))
            self.judging += time.perf_counter() - begun
            self.looks += 1
        if trainer.step >= self.steps[-1] or time.time() > self.deadline:
            self.stop()

    def paused(self, trainer: TrainerView) -> None:
        self.fitting = time.perf_counter() - self.begun


def write(path: Path, point: Point) -> None:
    """Add a point to what is known of a run."""
    before = [other for step, other in points(path).items() if step != point.step]
    ordered = sorted([*before, point], key=lambda one: one.step)
    # the scores of each example are wanted of the last point alone
    lean = [msgspec.structs.replace(one, scores=[]) for one in ordered[:-1]] + ordered[-1:]
    write_record(path / JUDGED, Judged(schema=SCHEMA, points=lean))


def judged(trainer: TrainerView, aim: str, images: int) -> Point:
    """How good the model is at this step; the run does not notice that it was looked at.

    Args:
        trainer: with validation examples.
        aim: of the suggestion.
        images: how many of them.
    """
    assert trainer.data.valid is not None
    model, split = trainer.judged, trainer.data.valid.first(images)
    figured = split if aim == "reconstruction" else split.first(FIGURED)
    with evaluating(model):
        figures = evaluate(model, figured, generator("valid", 0, trainer.device))
        scores = bound(model, split)
        goal = _goal(trainer, model, split, aim, scores.mean().item(), figures.rmse)
    content = {
        "step": trainer.step,
        "nats": scores.mean().item(),
        "goal": goal,
        "elbo_nats": figures.elbo,
        "kl_nats": figures.kl,
        "dispersion": figures.dispersion,
        "implied_sigma": figures.implied_sigma,
        "rmse": figures.rmse,
        "effective_beta_kl": figures.effective_beta_kl,
        "active_units": figures.active_units,
        "scores": [round(score, 4) for score in scores.tolist()],
    }
    return record(Point, content, JUDGED)


def bound(model: VAE, split: Split) -> torch.Tensor:
    """A bound on ln P of each example's levels or counts, else on ln p(x), [N], nats.

    Args:
        model: in evaluation mode.
        split: N examples.
    """
    noise = generator("valid", 0, next(model.parameters()).device)
    if ruler.why_no_ruler(model.spec, model.likelihood) is None:
        return importance_bounds(model, split, ruler.log_mass(model), [1], noise).elbo
    return importance_bounds(model, split, ruler.log_density(model), [_SAMPLES], noise).bound[_SAMPLES]


def _goal(trainer: TrainerView, model: VAE, split: Split, aim: str, nats: float, rmse: float) -> float:
    if aim == "reconstruction":
        return -rmse
    if aim == "representation" and split.labels is not None and trainer.data.train.labels is not None:
        train = trainer.data.train.first(10 * len(split))
        means = [
            latents.posterior(model, part, generator("neighbours", 0, trainer.device)).mean for part in (train, split)
        ]
        assert train.labels is not None
        return neighbours.knn_accuracy(means[0], train.labels, means[1], split.labels)
    if aim == "samples":
        return -_moments_distance(model, split)
    return nats


@torch.no_grad()
def _moments_distance(model: VAE, split: Split) -> float:
    """The Fréchet distance between draws from the model and examples: of means and covariances of their values.

    Args:
        model: in evaluation mode.
        split: N examples.

    Source: Dowson, Landau 1982.
    """
    device = next(model.parameters()).device
    z = prior(len(split), model.latents, generator("suggest prior", 0))[: len(split)]
    draws = decoded(model, z, generator("suggest draws", 0, device)).flatten(1).double()
    real = (
        model.spec.to_data(split.batch(slice(0, len(split)), generator("valid", 0, device))).flatten(1).double().cpu()
    )
    means, covariances = [rows.mean(0) for rows in (draws, real)], [torch.cov(rows.T) for rows in (draws, real)]
    # tr √(AB) = the sum of the singular values of the product of the square roots
    roots = [_root(covariance) for covariance in covariances]
    shared = torch.linalg.matrix_norm(roots[0] @ roots[1], "nuc")
    traces = covariances[0].trace() + covariances[1].trace() - 2 * shared
    distance: float = ((means[0] - means[1]).square().sum() + traces).clamp(min=0).item()
    return distance


def _root(covariance: torch.Tensor) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    root: torch.Tensor = vectors * values.clamp(min=0).sqrt() @ vectors.T
    return root
