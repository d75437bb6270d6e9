"""Every figure that `vaekl eval` writes into `eval.json`."""

from collections.abc import Callable, Sequence
from math import isfinite, log
from typing import Any

import torch
from torch import Tensor

from vaekl.data import Split, batch_slices, generator
from vaekl.measures import annealing, calibration, classifier, features, latents, neighbours, quality, ruler
from vaekl.measures.curve import curve, spread
from vaekl.measures.elbo import Evaluation, batch_limit, evaluate
from vaekl.measures.importance import Bounds, LogLikelihood, importance_bounds, mean_and_error
from vaekl.measures.trend import run_trend
from vaekl.model.vae import VAE
from vaekl.model.weighting import Multirate
from vaekl.run.load import TrainedRun
from vaekl.run.own_model import OwnModel
from vaekl.system.errors import VaeklError
from vaekl.verbs.eval.options import EvalOptions
from vaekl.verbs.left_out import left_out

#: starts a progress bar, given its title and its length in decoder passes; returns what advances it by some passes
StartBar = Callable[[str, int], Callable[[int], None]]

#: images of the estimate of I(x; z), which compares each of them with each other one
_PAIRWISE_IMAGES = 10_000
#: points of the curve of a multi-rate VAE
_THETAS = 9


def figures_of(run: TrainedRun, options: EvalOptions, start_bar: StartBar) -> dict[str, Any]:
    """What `eval.json` holds, but for the changes that were made to the run's data.

    Args:
        run: the model and its data.
        options: what to measure, on which images.
        start_bar: is called as each part begins.

    Raises:
        VaeklError: the ELBO is not finite, or a score of features needs pictures and the data are none.
    """
    model, split = run.model, run.split(options.split, options.images)
    spec, likelihood = model.spec, model.likelihood

    def stream(purpose: str) -> torch.Generator:
        return generator(f"eval {purpose}", options.seed, run.device)

    def test_stream() -> torch.Generator:
        """As the run's own test drew: equal seeds give the ELBO of its results.json again."""
        return generator(options.split, options.seed, run.device)

    def bounds(log_likelihood: LogLikelihood, ks: list[int], title: str) -> Bounds:
        advance = start_bar(title, len(split) * ks[-1])
        return importance_bounds(model, split, log_likelihood, ks, test_stream(), options.chunk, advance)

    try:
        moving = "" if isinstance(run, OwnModel) else run_trend(run.folder, run.folder.facts(), run.config).sentence
    except VaeklError as unreadable:  # a log is not needed for what is measured here
        moving = f"whether it still moved cannot be said: {unreadable}"
    _check_thetas(run, options.theta or ())
    start_bar("ELBO", 0)
    ledger = evaluate(model, split, test_stream())
    if not isfinite(ledger.elbo):
        raise VaeklError(f"the ELBO of {run.title} is not finite: its weights or its data are not either.")
    density = bounds(ruler.log_density(model), options.k, "importance-weighted bound")
    no_ruler = ruler.why_no_ruler(spec, likelihood)
    report: dict[str, Any] = {
        "run": run.title,
        "choices": run.choices | _own_names(model, run.choices),
        "weighting": model.weighting.name,
        "run_seed": run.config["seed"],
        "weights": run.weights,
        "step": run.step,
        "finished": run.is_finished,
        "moving": moving,
        "split": options.split,
        "images": len(split),
        "left_out": left_out(run, options.split, "eval"),
        "other_data": run.looks_at,
        "example": spec.example,
        "units_differ": spec.units_differ,
        "seed": options.seed,
        "digests": run.data.digests,
        "protocol": {
            "data": spec.figures_protocol,
            "likelihood": likelihood.full_protocol,
            "bits_per_dim": _density_protocol(model),
            "ruler": no_ruler or ruler.protocol(spec, likelihood),
        },
        "elbo": ledger.record(),
        "iwae": _bound_rows(density),
    }
    if no_ruler is None:
        masses = density if likelihood.discrete else bounds(ruler.log_mass(model), options.ruler_k, "fair ruler")
        report["ruler"] = _ruler_figures(masses, spec.dims)
    if isinstance(model.weighting, Multirate):
        thetas = options.theta or spread(*model.weighting.rate.range, _THETAS)
        start_bar("rate–distortion curve", 0)
        report["curve"] = [_curve_row(*point) for point in curve(model, split, test_stream, thetas)]
    if options.ais_steps:
        images = min(options.ais_images, len(split))
        advance = start_bar("annealing", images)
        few_images = split.first(images)
        annealed = annealing.annealed_bound(model, few_images, stream("annealing"), options.ais_steps, advance)
        nats, error = mean_and_error(annealed)
        report["ais"] = {
            "nats": nats,
            "standard_error_nats": error,
            "images": images,
            "steps": options.ais_steps,
            "iwae_of_these_images_nats": mean_and_error(density.bound[options.k[-1]][:images])[0],
        }

    start_bar("latents, calibration, pictures", 0)
    posterior = latents.posterior(model, split, test_stream())
    report["rate"] = _rate_figures(posterior.first(_PAIRWISE_IMAGES))
    report["calibration"] = calibration.figures(calibration.calibration(model, split, test_stream()), spec.channels)
    levels = calibration.reliability(model, split, stream("reliability"))
    report["reliability"] = vars(levels) if levels is not None else None
    report["quality"] = quality.figures(model, split, stream("quality"))
    train, digests = run.data.train, run.data.digests
    # an image must not be its own neighbour
    apart = options.split in ("test", "valid") and digests.get(options.split) != digests["train"]
    if options.knn and apart and train.labels is not None and split.labels is not None:
        train_means = latents.posterior(model, train, stream("neighbours")).mean
        report["knn_accuracy"] = neighbours.knn_accuracy(train_means, train.labels, posterior.mean, split.labels)
    if options.features != "none":
        report["features"] = _feature_scores(run, options, split, stream("features"))
    return report


def _own_names(model: VAE, choices: dict[str, str]) -> dict[str, str]:
    """What stands where the option is only `custom` or `auto`."""
    named = {"likelihood": model.likelihood.name, "control": model.control.name, "weighting": model.weighting.name}
    open_to = {"likelihood": ("custom", "auto"), "control": ("custom",), "weighting": ("custom",)}
    return {group: name for group, name in named.items() if choices.get(group) in open_to[group]}


def _bound_rows(bounds: Bounds) -> list[dict[str, Any]]:
    rows = []
    for k, values in bounds.bound.items():
        nats, error = mean_and_error(values)
        rows.append({"k": k, "nats": nats, "standard_error_nats": error})
    return rows


def _check_thetas(run: TrainedRun, thetas: Sequence[float]) -> None:
    weighting = run.model.weighting
    if thetas and not isinstance(weighting, Multirate):
        raise VaeklError(f"eval.theta is for runs with weighting=multirate, and {run.title} has one θ: leave it out.")
    if isinstance(weighting, Multirate):
        smallest, largest = weighting.rate.range
        for theta in thetas:
            if not 0.999 * smallest <= theta <= 1.001 * largest:
                raise VaeklError(
                    f"eval.theta={theta:g} is outside the range in which {run.title} was trained: take θ from "
                    f"{smallest:.4g} to {largest:.4g}."
                )


def _curve_row(theta: float, point: Evaluation) -> dict[str, Any]:
    """One θ of a multi-rate VAE: rate R = KL and distortion D = E/φ − ln C, whose sum is minus the ELBO."""
    return {
        "theta": theta,
        "rate_nats": point.kl,
        "distortion_nats": point.energy_nats - point.log_norm_const,
        "elbo_nats": point.elbo,
        "rmse": point.rmse,
        "active_units": point.active_units,
    }


def _ruler_figures(bounds: Bounds, dims: int) -> dict[str, Any]:
    nats, error = mean_and_error(bounds.elbo)
    nats_per_bit_per_dim = dims * log(2)
    return {
        "nats": nats,
        "standard_error_nats": error,
        "bits_per_dim": -nats / nats_per_bit_per_dim,
        "standard_error_bits_per_dim": None if error is None else error / nats_per_bit_per_dim,
        "iwae": [row | {"bits_per_dim": -row["nats"] / nats_per_bit_per_dim} for row in _bound_rows(bounds)],
    }


def _rate_figures(posterior: latents.Posterior) -> dict[str, Any]:
    """The mean KL in its parts: I(x; z), and KL(q(z) ‖ p(z)), which is total correlation and each latent's own KL."""
    information, single = latents.mutual_information(posterior), latents.dimension_wise_kl(posterior)
    marginal = float(latents.kl(posterior)) - information
    return {
        "mutual_information_nats": information,
        "marginal_kl_nats": marginal,
        "total_correlation_nats": marginal - single,
        "dimension_wise_kl_nats": single,
        "largest_mutual_information_nats": log(len(posterior.mean)),
        "images": len(posterior.mean),
    }


def _density_protocol(model: VAE) -> str:
    """What bits/dim from the ELBO are, in words."""
    if model.likelihood.discrete:
        return "−ELBO/(D ln 2): a probability"
    if model.spec.dequantized:
        return f"−ELBO/(D ln 2) + log2 {model.spec.levels}: another bound on the same bits"
    return "none: a density on values that were not dequantized has no bits/dim"


def _feature_scores(run: TrainedRun, options: EvalOptions, split: Split, generator: torch.Generator) -> dict[str, Any]:
    """Distances between the features of real and of generated pictures."""
    model, spec = run.model, run.model.spec
    if not spec.is_picture:
        raise VaeklError(
            f"eval.features={options.features} needs pictures in [0, 1], which {spec.name} does not hold: set "
            "eval.features=none."
        )
    network: torch.nn.Module
    if options.features == "inception":
        network, protocol = features.inception().to(run.device), "InceptionV3"
    else:
        network = trained = classifier.classifier(run.data)
        protocol = f"a classifier of {run.data.stored.name}, accuracy {trained.accuracy:.3f}"
    images = min(options.generated, len(split))
    parts = batch_slices(images, batch_limit(model), drop_last=False)
    # real pictures are those that the likelihood sees: a warp or a threshold changes what a sample can look like
    real = (spec.to_data(split.batch(part, generator)) for part in parts)
    generated = (_prior_means(model, part.stop - part.start, generator) for part in parts)
    scores = features.scores(real, generated, network, options.seed)
    return scores.figures() | {"protocol": f"{protocol}; {images:,} images each; generated: mean of p(x|z), z ~ p(z)"}


@torch.inference_mode()
def _prior_means(model: VAE, images: int, generator: torch.Generator) -> Tensor:
    """The mean of p(x|z) for z ~ p(z), [images, *S]."""
    z = torch.randn(images, model.latents, generator=generator, device=generator.device)
    return model.moments(model.decode(z))[0]
