"""`vaekl eval`: every measure of finished runs, as `eval.json` and a table."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from math import isfinite, log
from pathlib import Path
from typing import Any

import joblib
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from vaekl.config import verb_options
from vaekl.data import Split, batch_slices, generator
from vaekl.measures import annealing, calibration, classifier, features, latents, neighbours, quality, ruler
from vaekl.measures.elbo import batch_limit, evaluate
from vaekl.measures.importance import Bounds, LogLikelihood, importance_bounds, mean_and_error
from vaekl.model.vae import VAE
from vaekl.run.load import Loaded, find, load
from vaekl.store import RunFolder
from vaekl.system.cores import allowed_cores
from vaekl.system.devices import enough_memory
from vaekl.system.errors import VaeklError, sentence
from vaekl.verbs.eval_table import many, one

_PAIRWISE_IMAGES = 10_000
_TABLE_WIDTH = 170


@dataclass(frozen=True)
class Asked:
    """The keys of `conf/eval.yaml`, checked; their meanings stand there."""

    split: str
    images: int | None
    k: list[int]
    ruler_k: list[int]
    ais_steps: int
    ais_images: int
    knn: bool
    features: str
    generated: int
    seed: int
    checkpoint: str | None
    chunk: int | None
    device: str
    jobs: int | None
    threads: int

    @classmethod
    def checked(cls, given: dict[str, Any]) -> "Asked":
        """Refuse what makes no sense, before anything is loaded."""

        def whole(key: str, least: int = 0, optional: bool = False) -> Any:
            return verb_options.whole(given, "eval", key, least, optional)

        if not isinstance(given["knn"], bool):
            raise VaeklError(f"eval.knn must be true or false, not {given['knn']!r}.")
        return cls(
            split=verb_options.one_of(given, "eval", "split", ("test", "valid", "train")),
            images=whole("images", 1, optional=True),
            k=verb_options.wholes(given, "eval", "k", 1),
            ruler_k=verb_options.wholes(given, "eval", "ruler_k", 1),
            ais_steps=whole("ais_steps"),
            ais_images=whole("ais_images", 1),
            knn=given["knn"],
            features=verb_options.one_of(given, "eval", "features", ("none", "classifier", "inception")),
            generated=whole("generated", 2),
            seed=whole("seed"),
            checkpoint=verb_options.one_of_or_none(given, "eval", "checkpoint", ("last", "best")),
            chunk=whole("chunk", 1, optional=True),
            device=str(given["device"]),
            jobs=whole("jobs", 1, optional=True),
            threads=whole("threads", 1),
        )


def main(words: verb_options.Words) -> int:
    """Measure the runs, write `eval.json` into each, print a table; returns the exit code."""
    asked = Asked.checked(words.options)
    runs = list(dict.fromkeys(run for path in words.runs for run in find(path)))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    # a figure that is cut is worse than a line that wraps
    console.width = max(console.width, _TABLE_WIDTH)
    if len(runs) == 1:
        console.print(one(measure_and_write(runs[0], asked, words.changes, console)))
        console.print(f"  written     {_target(runs[0], asked, words.changes)}")
        return 0
    jobs = min(len(runs), asked.jobs or max(1, (1 if _on_gpu(asked) else allowed_cores()) // asked.threads))
    console.print(f"{len(runs)} runs, {jobs} at a time")
    work = (joblib.delayed(_quietly)(run, asked, words.changes) for run in runs)
    answers = joblib.Parallel(n_jobs=jobs)(work)
    done = [answer for answer in answers if isinstance(answer, dict)]
    if done:
        console.print(many(done))
    failures = [f"{run}: {answer}" for run, answer in zip(runs, answers, strict=True) if isinstance(answer, str)]
    if failures:
        raise VaeklError(f"{len(failures)} of {len(runs)} runs could not be measured: {'; '.join(failures)}")
    return 0


def measure(run: Loaded, asked: Asked, say: Callable[[str, int], Callable[[int], None]]) -> dict[str, Any]:
    """Every figure of `eval.json`.

    Args:
        run: the model and its data.
        asked: what to measure, on what.
        say: is told what comes next and its length in decoder passes; what it returns is told of passes made.
    """
    model, split = run.model, run.split(asked.split, asked.images)
    spec, likelihood = model.spec, model.likelihood

    def stream(purpose: str, device: torch.device | str = run.device) -> torch.Generator:
        return generator(f"eval {purpose}", asked.seed, device)

    def test_stream() -> torch.Generator:
        """As the run's own test drew: equal seeds give the ELBO of its results.json again."""
        return generator(asked.split, asked.seed, run.device)

    def bounds(log_likelihood: LogLikelihood, ks: list[int], what: str) -> Bounds:
        done = say(what, len(split) * ks[-1])
        return importance_bounds(model, split, log_likelihood, ks, test_stream(), asked.chunk, done)

    say("ELBO", 0)
    ledger = evaluate(model, split, test_stream())
    if not isfinite(ledger.elbo):
        raise VaeklError(f"the ELBO of {run.path} is not finite: its weights or its data are not either.")
    density = bounds(ruler.log_density(model), asked.k, "importance-weighted bound")
    missing = ruler.why_no_ruler(spec, likelihood)
    report: dict[str, Any] = {
        "run": str(run.path),
        "choices": run.choices,
        "weighting": model.weighting.name,
        "run_seed": run.config["seed"],
        "weights": run.weights,
        "step": run.step,
        "finished": run.results is not None,
        "split": asked.split,
        "images": len(split),
        "seed": asked.seed,
        "protocol": {
            "data": spec.protocol,
            "likelihood": likelihood.protocol,
            "bits_per_dim": _density_protocol(run),
            "ruler": missing or ruler.protocol(spec, likelihood),
        },
        "elbo": ledger.figures() | {"kl_per_latent_nats": ledger.kl_per_latent.tolist()},
        "iwae": _bounds(density, None),
    }
    if missing is None:
        masses = density if likelihood.discrete else bounds(ruler.log_mass(model), asked.ruler_k, "fair ruler")
        report["ruler"] = _ruler_figures(masses, spec.dims)
    if asked.ais_steps:
        images = min(asked.ais_images, len(split))
        few = split.first(images)
        found = annealing.annealed_bound(model, few, stream("annealing"), asked.ais_steps, say("annealing", images))
        nats, error = mean_and_error(found)
        report["ais"] = {
            "nats": nats,
            "standard_error_nats": error,
            "images": images,
            "steps": asked.ais_steps,
            "iwae_of_these_images_nats": mean_and_error(density.bound[asked.k[-1]][:images])[0],
        }

    say("latents, calibration, pictures", 0)
    posterior = latents.posterior(model, split, test_stream())
    few_images = posterior.first(_PAIRWISE_IMAGES)
    information = latents.mutual_information(few_images)
    report["rate"] = {
        "mutual_information_nats": information,
        "marginal_kl_nats": float(latents.kl(few_images)) - information,
        "largest_mutual_information_nats": log(len(few_images.mean)),
        "images": len(few_images.mean),
    }
    report["calibration"] = calibration.figures(calibration.calibration(model, split, test_stream()))
    curve = calibration.reliability(model, split, stream("reliability"))
    report["reliability"] = vars(curve) if curve is not None else None
    report["quality"] = quality.figures(model, split, stream("quality"))
    train = run.data.train
    if asked.knn and train.labels is not None and split.labels is not None and asked.split != "train":
        train_means = latents.posterior(model, train, stream("neighbours")).mean
        report["knn_accuracy"] = neighbours.knn_accuracy(train_means, train.labels, posterior.mean, split.labels)
    if asked.features != "none":
        report["features"] = _features(run, asked, split, stream("features"))
    return report


def measure_and_write(path: Path, asked: Asked, changes: tuple[str, ...], console: Console | None) -> dict[str, Any]:
    """The figures of a run, which are then in its `eval.json`; the console, if there is one, shows how far it is."""
    prior_threads = torch.get_num_threads()
    torch.set_num_threads(asked.threads)
    try:
        run = load(path, asked.device, asked.checkpoint, changes)
        with (
            enough_memory(f"measuring {path}", "set eval.chunk to fewer passes at once, or lower eval.images"),
            Progress(
                TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console, transient=True,
                disable=console is None or not console.is_terminal,
            ) as display,
        ):  # fmt: skip

            def say(what: str, total: int) -> Callable[[int], None]:
                task = display.add_task(what, total=total or None)
                return lambda passes: display.advance(task, passes)

            report = measure(run, asked, say)
    finally:
        torch.set_num_threads(prior_threads)
    report["changes"] = list(changes)
    RunFolder(run.path).write_evaluation(_target(path, asked, changes), report)
    return report


def _quietly(path: Path, asked: Asked, changes: tuple[str, ...]) -> dict[str, Any] | str:
    """One run of several, in a process of its own; a sentence instead of figures where it fails."""
    try:
        return measure_and_write(path, asked, changes, None)
    except Exception as error:  # it must not stop the others
        return sentence(error)


def _target(path: Path, asked: Asked, changes: tuple[str, ...]) -> Path:
    """`eval.json` for all of the run's own test images, another name for what is not comparable with it."""
    run = path.parent if path.is_file() else path
    other = [path.name if path.is_file() else None, asked.checkpoint, asked.images, *sorted(changes)]
    parts = ["eval"] + ([] if asked.split == "test" else [asked.split])
    if any(part is not None for part in other):
        parts.append(blake2b(repr(other).encode(), digest_size=3).hexdigest())
    return run / f"{'_'.join(parts)}.json"


def _bounds(found: Bounds, dims: int | None) -> list[dict[str, Any]]:
    rows = []
    for k, values in found.bound.items():
        nats, error = mean_and_error(values)
        row = {"k": k, "nats": nats, "standard_error_nats": error}
        rows.append(row if dims is None else row | {"bits_per_dim": -nats / (dims * log(2))})
    return rows


def _ruler_figures(found: Bounds, dims: int) -> dict[str, Any]:
    nats, error = mean_and_error(found.elbo)
    bits = dims * log(2)
    return {
        "nats": nats,
        "standard_error_nats": error,
        "bits_per_dim": -nats / bits,
        "standard_error_bits_per_dim": None if error is None else error / bits,
        "iwae": _bounds(found, dims),
    }


def _density_protocol(run: Loaded) -> str:
    spec = run.model.spec
    if run.model.likelihood.discrete:
        return "−ELBO/(D ln 2): a probability"
    if spec.dequantized:
        return f"−ELBO/(D ln 2) + log2 {spec.levels}: another bound on the same bits"
    return "none: a density on values that were not dequantized has no bits/dim"


def _features(run: Loaded, asked: Asked, split: Split, generator: torch.Generator) -> dict[str, Any]:
    network: torch.nn.Module
    if run.model.spec.support == "real":
        raise VaeklError(f"eval.features={asked.features} needs pictures, but {run.model.spec.name} holds real values.")
    if asked.features == "inception":
        network, protocol = features.inception().to(run.device), "InceptionV3"
    else:
        trained = classifier.classifier(run.data)
        network, protocol = trained, f"a classifier of {run.data.stored.name}, accuracy {trained.accuracy:.3f}"
    images = min(asked.generated, len(split))
    parts = batch_slices(images, batch_limit(run.model), drop_last=False)
    # as the likelihood sees them: a warp or a threshold changes what a sample can look like
    real = (run.model.spec.to_unit(split.batch(part, generator)) for part in parts)
    made = (_generated(run.model, part.stop - part.start, generator) for part in parts)
    found = features.scores(real, made, network, asked.seed)
    return found.figures() | {"protocol": f"{protocol}; {images:,} images each; generated: mean of p(x|z), z ~ p(z)"}


@torch.inference_mode()
def _generated(model: VAE, images: int, generator: torch.Generator) -> Tensor:
    z = torch.randn(images, model.latents, generator=generator, device=generator.device)
    return model.moments(model.decode(z))[0]


def _on_gpu(asked: Asked) -> bool:
    return asked.device.startswith("cuda") or (asked.device == "auto" and torch.cuda.is_available())
