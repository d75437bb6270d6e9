"""What a report computes itself: figures that `vaekl eval` has not measured yet, pictures, and exact ELBOs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import log, pi

import numpy as np
import torch

from vaekl.config import verb_options
from vaekl.data import generator
from vaekl.measures import latents as latent_measures
from vaekl.measures.pictures import BLOCK, decoded, grid, most_kl, plane
from vaekl.measures.tiles import Tiles
from vaekl.model.ledger import gaussian_kl
from vaekl.model.likelihoods import Gaussian
from vaekl.model.nets.linear import LinearEncoder
from vaekl.model.vae import VAE
from vaekl.run.load import TrainedRun, load_run
from vaekl.system.errors import sentence
from vaekl.system.terminal import printable, show
from vaekl.verbs.audit import spectrum
from vaekl.verbs.audit.spectrum import Vector
from vaekl.verbs.audit.text import one
from vaekl.verbs.eval import jobs_for, measure_all
from vaekl.verbs.eval.options import EvalOptions
from vaekl.verbs.report.collect import NOT_MEASURED, Run, again
from vaekl.verbs.report.groups import Group

#: values of an example above which no covariance is computed here
_MOST_VALUES = 4096
_CHUNK = 1000
#: points of a plane of two latents, and steps along each side of what is decoded from it
_MOST_POINTS, _STEPS = 2000, 8


@dataclass(frozen=True)
class Plane:
    """The two latents with most KL, all others at 0.

    Args:
        latents: to the right and upwards.
        points: [N, 2], posterior means of test examples.
        labels: [N], or None.
        decoded: [H, W, C] in [0, 1], means of p(x|z) from −3 to 3.
    """

    latents: tuple[int, int]
    points: Vector
    labels: Vector | None
    decoded: Vector


@dataclass(frozen=True)
class Row:
    """A group's pictures on the scale [0, 1]; [N, H, W, C] each, of some data and what one example is called."""

    group: str
    data: str
    example: str
    inputs: Vector
    reconstructions: Vector
    means: Vector
    draws: Vector
    plane: Plane | None = None


@dataclass(frozen=True)
class Theory:
    """A linear VAE that is trained to its optimum: ELBO in nats per example by φ = β_KL.

    Args:
        name: which model and data.
        eigenvalues: λ₁ ≥ λ₂ ≥ ... of the training images' covariance.
        latents: Z.
        test: mean square of the test images along each eigenvector, around the training mean.
        log_volume: by how many nats a density is smaller on the user's scale than on the modelled one.
        density: what ELBOs it can be compared with.
    """

    name: str
    eigenvalues: Vector
    latents: int
    test: Vector
    log_volume: float = 0.0
    density: str = ""

    @property
    def noise_variance(self) -> float:
        """φ of probabilistic PCA, the best one for the training images."""
        return spectrum.noise_variance(self.eigenvalues, self.latents)

    def train_elbo(self, phi: float) -> float:
        """On the training images."""
        return spectrum.elbo(self.eigenvalues, phi, self.latents) - self.log_volume

    def test_elbo(self, phi: float) -> float:
        """The ELBO of the same optimum on the test images, where its bound is still tight.

        −½ [D ln 2π + Σ_{i≤k} (ln λᵢ + mᵢ/λᵢ) + Σ_{i>k} (ln φ + mᵢ/φ)], mᵢ the mean square along eigenvector i.
        """
        kept = spectrum.survivors(self.eigenvalues, phi, self.latents)
        variances = np.where(np.arange(len(self.eigenvalues)) < kept, self.eigenvalues, phi)
        density = -0.5 * (len(variances) * log(2 * pi) + (np.log(variances) + self.test / variances).sum())
        return float(density - self.log_volume)


@dataclass(frozen=True)
class Shown:
    """What is taken from one model of each group: pictures, exact ELBOs, sizes, and why a model is missing."""

    rows: list[Row] = field(default_factory=list)
    theories: list[Theory] = field(default_factory=list)
    parameters: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def measured(runs: Sequence[Run], device: str, jobs: int | None) -> list[Run]:
    """The runs with an `eval.json` for each finished one that lacks it; a failure is its reason."""
    missing = [run for run in runs if run.finished and run.evaluation is None and "other data" not in run.unmeasured]
    if not missing:
        return list(runs)
    options = EvalOptions.checked(verb_options.defaults("eval") | {"device": device, "jobs": jobs})
    at_once, at_a_time = jobs_for(len(missing), options)
    show(f"measuring {len(missing)} runs as `vaekl eval` does, {at_a_time}")
    answers = measure_all([run.path for run in missing], options, (), at_once)
    sentences = {
        run.path: answer if isinstance(answer, str) else "" for run, answer in zip(missing, answers, strict=True)
    }
    for run in missing:
        if sentences[run.path]:
            show(printable(f"  {run.name} could not be measured: {sentences[run.path]}"))
    return [
        again(run, f"{NOT_MEASURED}{answer}" if (answer := sentences[run.path]) else "")
        if run.path in sentences
        else run
        for run in runs
    ]


def load_groups(groups: Sequence[Group], count: int, seed: int, device: str) -> Shown:
    """Load one run of each group: its size, its pictures from the same latents and images, and the theory if linear."""
    shown = Shown()
    failed: dict[str, list[str]] = {}
    for group in groups:
        for run in group.counted:
            try:
                loaded = load_run(run.path, device)
                shown.rows.append(_row(group.label, run.data, loaded, count, seed))
            except Exception as error:  # one model that cannot be loaded must not cost the report
                failed.setdefault(sentence(error), []).append(run.name)
                continue
            shown.parameters[group.name] = sum(p.numel() for p in loaded.model.parameters())
            name = f"linear VAE, {loaded.model.latents} latents, {run.data}, {loaded.model.spec.protocol}"
            if _has_theory(loaded.model) and name not in {theory.name for theory in shown.theories}:
                if loaded.model.spec.dims > _MOST_VALUES:
                    shown.failures.append(
                        f"no theory line for {name}: more than {_MOST_VALUES:,} values {one(loaded.model.spec.example)}"
                    )
                else:
                    shown.theories.append(replace(theory(loaded, name), density=run.density))
            break
    shown.failures.extend(f"no pictures of {', '.join(names)}: {reason}" for reason, names in failed.items())
    return shown


def latents(count: int, width: int, seed: int) -> torch.Tensor:
    """z ~ N(0, I), [count, width]; narrower latents are the first columns of wider ones."""
    columns = [torch.randn(count, generator=generator(f"report latent {column}", seed)) for column in range(width)]
    return torch.stack(columns, 1)


@torch.no_grad()
def _row(group: str, data: str, run: TrainedRun, count: int, seed: int) -> Row:
    model, split, device = run.model, run.split("test"), run.device

    def stream(purpose: str) -> torch.Generator:
        return generator(f"report {purpose}", seed, device)

    # always a block of the same size, so that the same images get the same noise
    x = split.batch(slice(0, BLOCK), stream("inputs"))
    inputs = model.spec.to_data(x).float().cpu()
    tiles = Tiles.of(model.spec, inputs)
    z = latents(count, model.latents, seed)

    def pixels(images: torch.Tensor) -> Vector:
        shades: Vector = tiles.drawn(images[:count]).permute(0, 2, 3, 1).numpy().astype(np.float64)
        return shades

    return Row(
        group,
        data,
        model.spec.example,
        pixels(inputs),
        pixels(decoded(model, model.encode(x)[0].cpu(), inputs=x)),
        pixels(decoded(model, z)),
        pixels(decoded(model, z, stream("draws"))),
        _plane(run, tiles, stream("plane")) if model.latents > 1 else None,
    )


def _plane(run: TrainedRun, tiles: Tiles, noise: torch.Generator) -> Plane:
    model, split = run.model, run.split("test").first(_MOST_POINTS)
    posterior = latent_measures.posterior(model, split, noise)
    kl = gaussian_kl(posterior.mean, posterior.log_std).mean(0)
    first, second = sorted(most_kl(kl, 2))
    images = tiles.drawn(decoded(model, plane(first, second, model.latents, _STEPS)))
    return Plane(
        (first, second),
        posterior.mean[:, [first, second]].double().numpy(),
        None if split.labels is None else split.labels.cpu().numpy(),
        grid(images, _STEPS).permute(1, 2, 0).double().numpy(),
    )


def theory(run: TrainedRun, name: str) -> Theory:
    """Eigenvalues of the training images as the likelihood sees them, and the test images along their vectors."""

    def batches(part: str) -> Iterator[Vector]:
        split = run.split(part)
        noise = generator("report theory", 0, run.device)
        for start in range(0, len(split), _CHUNK):
            images = split.batch(slice(start, start + _CHUNK), noise)
            yield images.flatten(1).cpu().double().numpy()

    train = np.concatenate(list(batches("train")))
    mean = train.mean(0)
    values, vectors = np.linalg.eigh((train - mean).T @ (train - mean) / len(train))
    along = (np.concatenate(list(batches("test"))) - mean) @ vectors
    test = np.square(along).mean(0)[::-1]
    return Theory(name, values[::-1].clip(0), run.model.latents, test, run.model.spec.log_volume)


def _has_theory(model: VAE) -> bool:
    """Whether the optimum is probabilistic PCA's: linear networks, and a Gaussian around their output with one φ."""
    likelihood = model.likelihood
    gaussian = type(likelihood) is Gaussian and likelihood.link == "identity" and not likelihood.by_decoder
    return gaussian and isinstance(model.encoder, LinearEncoder) and model.weighting.dispersion.numel() == 1


def with_parameters(groups: Sequence[Group], sizes: dict[str, int]) -> list[Group]:
    """The groups with the sizes of their models."""
    return [replace(group, parameters=sizes.get(group.name)) for group in groups]
