"""A run's config -> its objects. Nothing is written."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from vaekl.config.files import files_digest
from vaekl.config.instantiate import make
from vaekl.data import Data, generator, seed_of
from vaekl.data.order import shuffled
from vaekl.data.spec import Source
from vaekl.data.stored import stored_facts
from vaekl.model.beginning import begin_at_data
from vaekl.model.control import Control
from vaekl.model.control.check import check_control
from vaekl.model.likelihoods import Likelihood
from vaekl.model.likelihoods.density_check import check_density
from vaekl.model.modes import evaluating
from vaekl.model.nets import Nets
from vaekl.model.objective import Objective
from vaekl.model.rate import Rate, connect
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedBeta, Multirate, Weighting
from vaekl.run.build_data import build_likelihood_and_data, is_vaekls, on_device
from vaekl.run.config import DataConfig, ModelConfig, RunConfig, Settings, TrainingConfig
from vaekl.run.execute import Run
from vaekl.run.settings import compared
from vaekl.system import distributed
from vaekl.system.console import Console
from vaekl.system.devices import half_precision, pick_device, prepare, take_threads
from vaekl.system.errors import VaeklError
from vaekl.system.workers import in_worker
from vaekl.training.callback import Callback
from vaekl.training.callbacks import (
    Baseline,
    Checkpoints,
    Heartbeat,
    Images,
    MetricsCsv,
    ProgressDisplay,
    Projector,
    TensorBoard,
)
from vaekl.training.plan import Plan
from vaekl.training.trainer import Trainer

#: images whose mean a decoder begins with
_BEGUN_WITH = 2000
#: and how many values of them at most
_MOST_VALUES = 2**24


def build(
    cfg: RunConfig,
    path: Path,
    console: Console,
    source: Source | None = None,
    callbacks: Sequence[Callback] | None = None,
) -> Run:
    """Every object of a run, on the device where it will be trained.

    Args:
        cfg: what the run is made of.
        path: the run folder.
        console: where the run speaks.
        source: its data where they are there already; None for those that the config names.
        callbacks: what looks at the training; None for all that writes and shows.

    Raises:
        VaeklError: settings that do not fit each other, the data or this machine.
    """
    if source is None:
        _check_test_images(cfg.data.dataset)
    device = pick_device(cfg.machine.device)
    prepare(device, tf32=cfg.machine.tf32)
    take_threads(cfg.machine.threads)
    likelihood, data = build_likelihood_and_data(cfg, source=source)
    if likelihood.scale_power is not None:
        # before a first φ is solved from its energies
        _check_own_family(likelihood, (0.1, 1.0, 10.0), data)
    model = build_model(cfg.model, likelihood, data)
    if likelihood.scale_power is None:
        _check_own_family(likelihood, {1.0, *model.weighting.dispersion.flatten().tolist()}, data)
    _check_own_control(model, data)
    model, data = model.to(device), on_device(data, device)
    model.spec = data.spec  # whose scaling is there too
    plan = build_plan(cfg.training, data)
    _check_combinations(cfg, plan, model)
    trainer = Trainer(
        model,
        build_optimizer(cfg.training, model),
        *build_schedules(cfg.training, plan),
        data,
        plan,
        cfg.training.seed,
        _callbacks(cfg, path, console) if callbacks is None else callbacks,
    )
    notes = []
    if cfg.training.batch_size > plan.batch_size:
        size, examples = cfg.training.batch_size, f"{data.spec.example}s"
        notes.append(
            f"trainer.batch_size={size} is more than the {plan.batch_size:,} training {examples}: each step takes all"
        )
    return Run(trainer, cfg.choices, path, console, notes=notes)


def build_model(cfg: ModelConfig, likelihood: Likelihood, data: Data) -> VAE:
    """The networks with fresh weights, the weighting and the control.

    Raises:
        VaeklError: settings that do not fit each other.
    """
    torch.manual_seed(seed_of("weights", cfg.seed))
    weighting: Weighting = make("weighting", cfg.weighting, Weighting, likelihood=likelihood, shape=data.spec.shape)
    nets: Nets = make("model", cfg.nets, Nets, shape=data.spec.shape, outputs=likelihood.outputs)
    # test images alone are only looked at, by a model whose weights come from a run
    seen = data.train if len(data.train) else data.test
    images = len(seen)
    control: Control = make("control", cfg.control, Control, likelihood=likelihood, spec=data.spec, images=images)
    if isinstance(weighting, FixedBeta) and weighting.beta_kl != 1 and control.weighs:
        raise VaeklError(
            f"weighting=fixed_beta with β = {weighting.beta_kl:g} and control={control.name} both weigh the KL: leave "
            "one of them at 1."
        )
    objective: Objective = make("objective", cfg.objective, Objective)
    objective.check(weighting, control)
    _connect_rate(nets, weighting, control)
    if cfg.begin_at_data:
        count = max(1, min(_BEGUN_WITH, _MOST_VALUES // data.spec.dims))
        some = shuffled(images, "begin", cfg.seed)[:count].sort().values
        x = seen.batch(some, generator("begin", cfg.seed))
        begin_at_data(likelihood, weighting, getattr(nets.decoder, "last_bias", None), x)
    return VAE(data.spec, nets, likelihood, weighting, cfg.latents, half_precision(cfg.autocast), control, objective)


def _connect_rate(nets: Nets, weighting: Weighting, control: Control) -> None:
    """Let networks that depend on θ depend on the θ that the weighting draws.

    Raises:
        VaeklError: one of them is there without the other, or a control moves λ too.
    """
    rate = weighting.rate if isinstance(weighting, Multirate) else Rate()
    depends = [connect(network, rate) for network in nets]
    if any(depends) != isinstance(weighting, Multirate):
        raise VaeklError(
            "model=multirate and weighting=multirate need each other, the networks for every θ and the θ of each step: "
            "set both, or neither."
        )
    if any(depends) and control.weighs:
        raise VaeklError(
            f"weighting={weighting.name} and control={control.name} both move the KL's weight: use control=none."
        )


def build_plan(cfg: TrainingConfig, data: Data) -> Plan:
    """How long a run of these data is, and how often something happens in it.

    Raises:
        VaeklError: early stopping without validation images.
    """
    batch_size = min(cfg.batch_size, len(data.train))
    total_steps = cfg.steps if cfg.steps is not None else (cfg.epochs or 0) * (len(data.train) // batch_size)
    if cfg.patience is not None and data.valid is None:
        raise VaeklError(
            f"trainer.patience needs validation {data.spec.example}s, but valid=0 holds out none: set valid=0.1."
        )
    return Plan(
        total_steps=total_steps,
        batch_size=batch_size,
        # one row for each step is kept until they are logged
        log_every=min(cfg.log_every, total_steps),
        valid_every=cfg.valid_every,
        clip_norm=cfg.clip_norm,
        ema=cfg.ema,
        compile=cfg.compile,
        patience=cfg.patience,
        # a run that diverges goes back to its last checkpoint, which must not depend on the speed of the machine
        save_minutes=cfg.save_minutes if cfg.on_nan == "stop" else None,
    )


def build_schedules(cfg: TrainingConfig, plan: Plan) -> tuple[Any, Any]:
    """The KL's multiplier and the learning rates' factor as functions of the step, made for the length of the run."""
    return (
        make("schedule", cfg.schedule, Callable, total_steps=plan.total_steps),
        make("lr_schedule", cfg.lr_schedule, Callable, total_steps=plan.total_steps),
    )


def facts(trainer: Trainer, cfg: DataConfig) -> dict[str, Any]:
    """What the config leads to and does not say, for `vaekl audit RUN` and the report: they need not build the run."""
    model, data = trainer.model, trainer.data
    return {
        "data": {
            **data.spec.facts(),
            "digests": data.digests,
            "files": files_digest(cfg.dataset),
            "stored": stored_facts(data.stored, by_total=data.spec.mean_total is not None),
        },
        "likelihood": model.likelihood.facts(),
        "weighting": model.weighting.facts() | {"loss": model.equation()},
        "control": model.control.facts(),
        "objective": model.objective.facts(),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def _check_test_images(dataset: Settings) -> None:
    """Refuse to train on all images of a file, which may only be looked at."""
    if dataset.get("test_fraction", 0) is None and str(dataset.get("_target_")).startswith("vaekl."):
        raise VaeklError(
            "dataset.test_fraction=null holds out nothing to test on, which is for looking at a file by sample and "
            "eval: set a number between 0 and 1."
        )


def _check_own_family(likelihood: Likelihood, dispersions: Iterable[float], data: Data) -> None:
    """Try a user's own family at some φ."""
    if likelihood.checked and not is_vaekls(likelihood):
        check_density(likelihood, dispersions, data.spec.shape)


def _check_own_control(model: VAE, data: Data) -> None:
    """Try a user's own control on a few images."""
    if not is_vaekls(model.control):
        noise = generator("check", 0)
        x = data.train.batch(slice(0, 8), noise)
        with evaluating(model), torch.no_grad():
            terms = model(x, model.noise(len(x), noise))
        check_control(model.control, terms)


def _check_combinations(cfg: RunConfig, plan: Plan, model: VAE) -> None:
    if distributed.size() > 1:
        for key, alone, single in (
            ("trainer.compile", plan.compile is not False, "trainer.compile=false"),
            ("trainer.on_nan=restore", cfg.training.on_nan == "restore", "trainer.on_nan=stop"),
        ):
            if alone:
                raise VaeklError(f"{key} has not been tried with several processes: set {single}.")
    if plan.ema is not None and model.weighting.observes:
        raise VaeklError(
            f"trainer.ema does not fit weighting={model.weighting.name}, whose φ belongs to the weights in training, "
            "not to their average: use weighting=learned_precision, or trainer.ema=null."
        )


def build_optimizer(cfg: TrainingConfig, model: VAE) -> torch.optim.Optimizer:
    """The optimiser, with parameters of likelihood, weighting and control at their own learning rates."""
    networks = [*model.encoder.parameters(), *model.decoder.parameters()]
    optimizer: torch.optim.Optimizer = make("optim", cfg.optim, torch.optim.Optimizer, params=networks)
    for part in (model.likelihood, model.weighting, model.control):
        if own := list(part.parameters()):
            # a decay of ln φ would pull φ towards 1
            optimizer.add_param_group({"params": own, "lr": cfg.lr * part.lr_factor, "weight_decay": 0.0})
    return optimizer


def _callbacks(cfg: RunConfig, path: Path, console: Console) -> list[Callback]:
    """What a run writes and shows while it trains; the checkpoint comes last, when all else is written."""
    tensorboard = TensorBoard(path, cfg.yaml, compared(cfg.content))
    shown: list[Callback] = [
        MetricsCsv(path),
        tensorboard,
        Images(path, tensorboard),
        Projector(path),
        ProgressDisplay(console),
        Baseline(console),
    ]
    if cfg.tracker is not None:
        settings = {"folder": path, "parameters": compared(cfg.content), "console": console}
        shown.append(make("tracker", cfg.tracker, Callback, **settings))
    return [*shown, *([Heartbeat(path)] if in_worker() else []), Checkpoints(path)]
