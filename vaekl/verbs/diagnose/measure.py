"""The evidence of a run: its files read, and its model measured on some images."""

from copy import deepcopy
from math import prod
from typing import Any

import numpy as np
import torch

from vaekl.data import Split, batch_slices, generator
from vaekl.measures import latents
from vaekl.measures.calibration import calibration
from vaekl.measures.elbo import batch_limit, evaluate
from vaekl.measures.importance import importance_bounds, mean_and_error
from vaekl.measures.ruler import log_density
from vaekl.measures.trend import run_trend
from vaekl.model.control import InformationWeight
from vaekl.model.vae import VAE
from vaekl.run.build import build_optimizer, build_plan
from vaekl.run.config import RunConfig
from vaekl.run.load import TrainedRun
from vaekl.run.summary import longer_command
from vaekl.store import checkpoint
from vaekl.store.exported import EXPORTED
from vaekl.store.match import MisfitError
from vaekl.training.plan import Plan
from vaekl.training.saved_state import check_optimizer_state
from vaekl.verbs.diagnose.evidence import Aggregate, Evidence, Judged, Log, Settings, Trial
from vaekl.verbs.diagnose.options import DiagnoseOptions
from vaekl.verbs.diagnose.reference import fitted_posterior_gain, linear
from vaekl.verbs.diagnose.structure import Residuals, structure
from vaekl.verbs.diagnose.thresholds import is_gap
from vaekl.verbs.diagnose.trial import FACTORS, trial

#: images whose importance-weighted bound is taken
_BOUND_IMAGES = 200
#: latents that are decoded to be compared with images, and those images
_SAMPLES, _NEIGHBOURS = 200, 2000
#: training images among which test images are looked for
_COMPARED = 50_000
#: the most values of all images whose covariance is taken
_MOST_VALUES = 2**24


def evidence(run: TrainedRun, options: DiagnoseOptions) -> Evidence:
    """Read and measure.

    Args:
        run: the model and its data.
        options: on how many images.

    Raises:
        VaeklError: the log cannot be read.
    """
    model, facts = run.model, run.folder.facts()
    cfg = RunConfig.of(run.config, run.folder.config_file)
    most = max(2, _MOST_VALUES // model.spec.dims)
    images = min(options.images, most)
    test, train = run.data.test.first(images), run.data.train.first(images)
    seed = options.seed
    held = run.data.valid.first(images) if run.data.valid is not None else test
    seen_before, all_alike = _repeated(run.data.train.first(_COMPARED), test)
    return Evidence(
        name=run.title,
        resume=run.folder.command("resume"),
        example=model.spec.example,
        dims=prod(facts.data.shape),
        latents=model.latents,
        train_images=len(run.data.train),
        looked_at=(len(test), len(train)),
        settings=_settings(run, cfg, build_plan(cfg.training, run.data)),
        test=_judged(model, test, options),
        train=_judged(model, train, options, is_trained_on=True),
        aggregate=_aggregate(model, train, test, run.data.train.first(min(_NEIGHBOURS, most)), seed),
        structure=structure(residuals(model, train, seed), residuals(model, held, seed)),
        trial=_trial(run, cfg, options),
        log=_log(run),
        seen_before=seen_before,
        all_alike=all_alike,
        linear=linear(model, train, test, _noise(model, "linear", seed)),
    )


def _noise(model: VAE, purpose: str, seed: int) -> torch.Generator:
    return generator(f"diagnose {purpose}", seed, next(model.parameters()).device)


def _trial(run: TrainedRun, cfg: RunConfig, options: DiagnoseOptions) -> Trial | None:
    if not options.trial_steps:
        return None
    state = checkpoint.load(run.path / run.weights) if run.weights != EXPORTED else None
    plan = build_plan(cfg.training, run.data)
    return trial(
        run.model,
        run.data.train,
        run.data.valid,
        lambda copy: _optimizer(run, cfg, copy, state),
        [factor for factor in FACTORS if cfg.training.lr * factor < 1],
        plan.batch_size,
        plan.clip_norm,
        options.trial_steps,
        options.seed,
    )


def _optimizer(run: TrainedRun, cfg: RunConfig, copy: VAE, state: dict[str, Any] | None) -> torch.optim.Optimizer:
    """The run's at its full learning rate, with what it remembers at the checkpoint; an exported run has none."""
    optimizer = build_optimizer(cfg.training, copy)
    if state is None:
        return optimizer
    full = [group["lr"] for group in optimizer.param_groups]
    try:
        check_optimizer_state(state, copy, optimizer)
        # its tensors would be changed by the steps
        optimizer.load_state_dict(deepcopy(state["optimizer"]))
    except MisfitError as error:
        raise MisfitError(error.place, error.what, run.path / run.weights) from error
    for group, rate in zip(optimizer.param_groups, full, strict=True):
        group["lr"] = rate
    return optimizer


def _settings(run: TrainedRun, cfg: RunConfig, plan: Plan) -> Settings:
    facts, likelihood = run.folder.facts(), run.model.likelihood
    rows = [row.figures() for row in run.folder.metrics() if row.split == "train" and row.step <= run.step]
    last = rows[-1] if rows else {}
    return Settings(
        likelihood=likelihood.name,
        scale_power=None if likelihood.energy_depends_on_dispersion else likelihood.scale_power,
        has_constant=likelihood.has_constant,
        discrete=likelihood.discrete,
        weighting=run.model.weighting.name,
        fits_dispersion=run.model.weighting.fits_dispersion,
        drops_constant=run.model.weighting.drops_constant,
        weighs_kl=run.model.weighting.information_weight != 1,
        control=run.model.control.name,
        has_one_weight=isinstance(run.model.control, InformationWeight),
        holds_target=any(
            target is not None
            for target in (
                facts.control.target_kl_nats,
                facts.control.target_rmse,
                facts.control.target_distortion_nats,
            )
        ),
        support=run.data.stored.support if run.data.spec.support != "binary" else "binary",
        dequantized=run.data.spec.dequantized,
        learning_rate=cfg.training.lr,
        step=run.step,
        steps=plan.total_steps,
        longer=longer_command(run.path, plan, run.choices),
        finished=run.is_finished,
        schedule=last.get("schedule", 1.0),
        restores=int(last.get("restores", 0)),
    )


def _judged(model: VAE, split: Split, options: DiagnoseOptions, is_trained_on: bool = False) -> Judged:
    seed = options.seed
    whole = evaluate(model, split, _noise(model, "judge", seed))
    fit = calibration(model, split, _noise(model, "judge", seed)).calibrated_dispersion
    few = split.first(_BOUND_IMAGES)
    bounds = importance_bounds(model, few, log_density(model), [options.k], _noise(model, "judge", seed))
    iwae, iwae_elbo = mean_and_error(bounds.bound[options.k])[0], mean_and_error(bounds.elbo)[0]
    # how well an encoder could do is told by what it was trained on
    is_wanted = is_trained_on and is_gap(iwae - iwae_elbo, whole.kl)
    return Judged(
        elbo=whole.elbo,
        kl=whole.kl,
        kl_per_latent=tuple(whole.kl_per_latent.tolist()),
        dispersion=whole.dispersion,
        calibrated_dispersion=fit[0] if fit is not None else None,
        implied_sigma=whole.implied_sigma,
        rmse=whole.rmse,
        active=whole.active_units,
        information_weight=whole.information_weight,
        iwae=iwae,
        iwae_elbo=iwae_elbo,
        fitted_gain=fitted_posterior_gain(model, split, _noise(model, "fit", seed)) if is_wanted else None,
    )


def _aggregate(model: VAE, train: Split, test: Split, neighbours: Split, seed: int) -> Aggregate:
    posterior = latents.posterior(model, train, _noise(model, "latents", seed))
    mean, std = posterior.mean.double(), posterior.log_std.double().exp()
    variance = mean.var(0, correction=0) + std.square().mean(0)
    covariance = torch.cov(mean.T, correction=0).reshape(len(variance), -1) + std.square().mean(0).diag()
    center = mean.mean(0)
    log_det = torch.linalg.slogdet(covariance).logabsdet
    normal = 0.5 * (covariance.trace() + center.square().sum() - len(variance) - log_det)
    information = latents.mutual_information(posterior)
    return Aggregate(
        information=information,
        marginal_kl=float(latents.kl(posterior)) - information,
        gaussian_kl=float(normal),
        mean=tuple(center.tolist()),
        std=tuple(variance.sqrt().tolist()),
        std_of_means=tuple(mean.std(0, correction=0).tolist()),
        overall_std=float(variance.mean().sqrt()),
        samples_distance=_samples_distance(model, test, neighbours, seed),
    )


@torch.inference_mode()
def _samples_distance(model: VAE, test: Split, train: Split, seed: int) -> float:
    """How far decoded prior samples are from the nearest training example, over how far reconstructions are."""
    count, noise = min(_SAMPLES, len(test), batch_limit(model)), _noise(model, "samples", seed)
    x = test.batch(slice(0, count), noise)
    own, free = model.sample_posterior(x, noise).z, model.noise(count, noise)
    examples = model.spec.to_data(train.batch(slice(0, len(train)), noise)).flatten(1).nan_to_num()
    decoded = [model.moments(model.decode(z, x))[0].flatten(1) for z in (free, own)]
    samples, again = (torch.cdist(part, examples.to(part)).min(1).values.square().mean() for part in decoded)
    return float((samples / again.clamp(min=1e-12)).sqrt())


@torch.inference_mode()
def residuals(model: VAE, split: Split, seed: int) -> Residuals:
    """x, and the mean and the variance of p(x|z) for a sample of each posterior."""
    noise, parts = _noise(model, "structure", seed), []
    for part in batch_slices(len(split), batch_limit(model), drop_last=False):
        x = split.batch(part, noise)
        mean, variance = model.moments(model.decode(model.sample_posterior(x, noise).z, x))
        parts.append(
            [each.flatten(1).float().cpu() for each in (model.spec.to_data(x), mean, variance.expand_as(mean))]
        )
    x, mean, variance = (torch.cat(column) for column in zip(*parts, strict=True))
    return x, mean, variance


def _log(run: TrainedRun) -> Log:
    rows = [row for row in run.folder.metrics() if row.step <= run.step]
    elbos, valid = (
        [row.figures()["elbo_nats"] for row in rows if row.split == split and "elbo_nats" in row.figures()]
        for split in ("train", "valid")
    )
    judged = run.results.valid if run.results is not None else None
    rising = valid if run.model.weighting.draws else elbos
    return Log(
        trend=run_trend(run.folder, run.folder.facts(), run.config),
        valid_trend=run_trend(run.folder, run.folder.facts(), run.config, of_valid=True).elbo,
        progress=rising[-1] - rising[0] if len(rising) > 1 else None,
        best_valid=max(valid, default=None),
        judged_valid=judged.elbo_nats if judged is not None else (valid[-1] if valid else None),
    )


def _repeated(train: Split, test: Split) -> tuple[float, bool]:
    """The share of test images that are training images too, and whether all training images are one and the same.

    Where training images repeat themselves, so may those of test: then the share is 0.
    """
    own, others = (_hashes(split) for split in (train, test))
    distinct = len(set(own))
    share = float(np.isin(others, own).mean()) if distinct >= 0.9 * len(own) else 0.0
    return share, distinct == 1 < len(own)


def _hashes(split: Split) -> "np.typing.NDArray[np.int64]":
    stored = (split.stored(part).cpu().numpy() for part in batch_slices(len(split), 1000, drop_last=False))
    return np.array([hash(row.tobytes()) for part in stored for row in part], dtype=np.int64)
