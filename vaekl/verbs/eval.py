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
from vaekl.run.load import TrainedRun, load
from vaekl.store import RunFolder, find_runs
from vaekl.system.checks import flag, one_of, optional, whole
from vaekl.system.cores import allowed_cores
from vaekl.system.devices import enough_memory
from vaekl.system.errors import VaeklError, sentence
from vaekl.verbs.eval_table import many, one

_PAIRWISE_IMAGES = 10_000
_TABLE_WIDTH = 170


@dataclass(frozen=True)
class EvalOptions:
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
    def checked(cls, options: dict[str, Any]) -> "EvalOptions":
        """Refuse what makes no sense, before anything is loaded.

        Raises:
            VaeklError: names the key.
        """
        return cls(
            split=one_of(options["split"], "eval.split", ("test", "valid", "train")),
            images=optional(whole, options["images"], "eval.images", 1),
            k=sorted({whole(k, "eval.k", 1) for k in options["k"]}),
            ruler_k=sorted({whole(k, "eval.ruler_k", 1) for k in options["ruler_k"]}),
            ais_steps=whole(options["ais_steps"], "eval.ais_steps"),
            ais_images=whole(options["ais_images"], "eval.ais_images", 1),
            knn=flag(options["knn"], "eval.knn"),
            features=one_of(options["features"], "eval.features", ("none", "classifier", "inception")),
            generated=whole(options["generated"], "eval.generated", 2),
            seed=whole(options["seed"], "eval.seed"),
            checkpoint=optional(one_of, options["checkpoint"], "eval.checkpoint", ("last", "best")),
            chunk=optional(whole, options["chunk"], "eval.chunk", 1),
            device=str(options["device"]),
            jobs=optional(whole, options["jobs"], "eval.jobs", 1),
            threads=whole(options["threads"], "eval.threads", 1),
        )


def main(words: verb_options.Words) -> int:
    """Measure the runs, write `eval.json` into each, print a table; returns the exit code."""
    options = EvalOptions.checked(words.options)
    runs = list(dict.fromkeys(run for path in words.runs for run in find_runs(path)))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    # a figure that is cut is worse than a line that wraps
    console.width = max(console.width, _TABLE_WIDTH)
    if len(runs) == 1:
        console.print(one(measure_and_write(runs[0], options, words.changes, console)))
        folder = RunFolder(runs[0].parent if runs[0].is_file() else runs[0])
        console.print(f"  written     {folder.evaluation_file(_label(runs[0], options, words.changes))}")
        return 0
    jobs = min(len(runs), options.jobs or max(1, (1 if _on_gpu(options) else allowed_cores()) // options.threads))
    console.print(f"{len(runs)} runs, {jobs} at a time")
    work = (joblib.delayed(_quietly)(run, options, words.changes) for run in runs)
    answers = joblib.Parallel(n_jobs=jobs)(work)
    done = [answer for answer in answers if isinstance(answer, dict)]
    if done:
        console.print(many(done))
    failures = [f"{run}: {answer}" for run, answer in zip(runs, answers, strict=True) if isinstance(answer, str)]
    if failures:
        raise VaeklError(f"{len(failures)} of {len(runs)} runs could not be measured: {'; '.join(failures)}")
    return 0


def measure(run: TrainedRun, options: EvalOptions, say: Callable[[str, int], Callable[[int], None]]) -> dict[str, Any]:
    """Every figure of `eval.json`.

    Args:
        run: the model and its data.
        options: what to measure, on what.
        say: is told what comes next and its length in decoder passes; what it returns is told of passes made.
    """
    model, split = run.model, run.split(options.split, options.images)
    spec, likelihood = model.spec, model.likelihood

    def stream(purpose: str, device: torch.device | str = run.device) -> torch.Generator:
        return generator(f"eval {purpose}", options.seed, device)

    def test_stream() -> torch.Generator:
        """As the run's own test drew: equal seeds give the ELBO of its results.json again."""
        return generator(options.split, options.seed, run.device)

    def bounds(log_likelihood: LogLikelihood, ks: list[int], what: str) -> Bounds:
        done = say(what, len(split) * ks[-1])
        return importance_bounds(model, split, log_likelihood, ks, test_stream(), options.chunk, done)

    say("ELBO", 0)
    ledger = evaluate(model, split, test_stream())
    if not isfinite(ledger.elbo):
        raise VaeklError(f"the ELBO of {run.path} is not finite: its weights or its data are not either.")
    density = bounds(ruler.log_density(model), options.k, "importance-weighted bound")
    missing = ruler.why_no_ruler(spec, likelihood)
    report: dict[str, Any] = {
        "run": str(run.path),
        "choices": run.choices,
        "weighting": model.weighting.name,
        "run_seed": run.config["seed"],
        "weights": run.weights,
        "step": run.step,
        "finished": run.results is not None,
        "split": options.split,
        "images": len(split),
        "seed": options.seed,
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
        masses = density if likelihood.discrete else bounds(ruler.log_mass(model), options.ruler_k, "fair ruler")
        report["ruler"] = _ruler_figures(masses, spec.dims)
    if options.ais_steps:
        images = min(options.ais_images, len(split))
        few = split.first(images)
        found = annealing.annealed_bound(model, few, stream("annealing"), options.ais_steps, say("annealing", images))
        nats, error = mean_and_error(found)
        report["ais"] = {
            "nats": nats,
            "standard_error_nats": error,
            "images": images,
            "steps": options.ais_steps,
            "iwae_of_these_images_nats": mean_and_error(density.bound[options.k[-1]][:images])[0],
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
    if options.knn and train.labels is not None and split.labels is not None and options.split != "train":
        train_means = latents.posterior(model, train, stream("neighbours")).mean
        report["knn_accuracy"] = neighbours.knn_accuracy(train_means, train.labels, posterior.mean, split.labels)
    if options.features != "none":
        report["features"] = _features(run, options, split, stream("features"))
    return report


def measure_and_write(
    path: Path, options: EvalOptions, changes: tuple[str, ...], console: Console | None
) -> dict[str, Any]:
    """The figures of a run, which are then in its `eval.json`; the console, if there is one, shows how far it is."""
    prior_threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        run = load(path, options.device, options.checkpoint, changes)
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

            report = measure(run, options, say)
    finally:
        torch.set_num_threads(prior_threads)
    report["changes"] = list(changes)
    run.folder.write_evaluation(report, _label(path, options, changes))
    return report


def _quietly(path: Path, options: EvalOptions, changes: tuple[str, ...]) -> dict[str, Any] | str:
    """One run of several, in a process of its own; a sentence instead of figures where it fails."""
    try:
        return measure_and_write(path, options, changes, None)
    except Exception as error:  # it must not stop the others
        return sentence(error)


def _label(path: Path, options: EvalOptions, changes: tuple[str, ...]) -> str:
    """Of the file that is written: none for all of the run's own test images, else what makes it not comparable."""
    other = [path.name if path.is_file() else None, options.checkpoint, options.images, *sorted(changes)]
    parts = [] if options.split == "test" else [options.split]
    if any(part is not None for part in other):
        parts.append(blake2b(repr(other).encode(), digest_size=3).hexdigest())
    return "_".join(parts)


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


def _density_protocol(run: TrainedRun) -> str:
    spec = run.model.spec
    if run.model.likelihood.discrete:
        return "−ELBO/(D ln 2): a probability"
    if spec.dequantized:
        return f"−ELBO/(D ln 2) + log2 {spec.levels}: another bound on the same bits"
    return "none: a density on values that were not dequantized has no bits/dim"


def _features(run: TrainedRun, options: EvalOptions, split: Split, generator: torch.Generator) -> dict[str, Any]:
    network: torch.nn.Module
    if run.model.spec.support == "real":
        raise VaeklError(
            f"eval.features={options.features} needs pictures, but {run.model.spec.name} holds real values."
        )
    if options.features == "inception":
        network, protocol = features.inception().to(run.device), "InceptionV3"
    else:
        trained = classifier.classifier(run.data)
        network, protocol = trained, f"a classifier of {run.data.stored.name}, accuracy {trained.accuracy:.3f}"
    images = min(options.generated, len(split))
    parts = batch_slices(images, batch_limit(run.model), drop_last=False)
    # as the likelihood sees them: a warp or a threshold changes what a sample can look like
    real = (run.model.spec.to_unit(split.batch(part, generator)) for part in parts)
    made = (_generated(run.model, part.stop - part.start, generator) for part in parts)
    found = features.scores(real, made, network, options.seed)
    return found.figures() | {"protocol": f"{protocol}; {images:,} images each; generated: mean of p(x|z), z ~ p(z)"}


@torch.inference_mode()
def _generated(model: VAE, images: int, generator: torch.Generator) -> Tensor:
    z = torch.randn(images, model.latents, generator=generator, device=generator.device)
    return model.moments(model.decode(z))[0]


def _on_gpu(options: EvalOptions) -> bool:
    return options.device.startswith("cuda") or (options.device == "auto" and torch.cuda.is_available())
