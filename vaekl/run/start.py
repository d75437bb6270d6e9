"""Config -> objects -> a run folder."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path
from typing import IO, Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from vaekl.config import compose, trust
from vaekl.config.instantiate import make
from vaekl.data import Data, seed_of
from vaekl.data.spec import Source
from vaekl.data.transforms import AutoTransform, Transform
from vaekl.model.likelihoods import Likelihood
from vaekl.model.nets import Nets
from vaekl.model.vae import VAE
from vaekl.model.weighting.base import Weighting
from vaekl.run import recovery
from vaekl.run.execute import Experiment, execute
from vaekl.store import RunFolder
from vaekl.system import distributed
from vaekl.system.checks import flag, is_number, number, one_of, optional, positive, whole
from vaekl.system.devices import enough_memory, half_precision, pick_device, prepare, take_threads
from vaekl.system.errors import StoppedError, VaeklError
from vaekl.system.workers import in_worker
from vaekl.training.callback import Callback
from vaekl.training.callbacks import Checkpoints, Heartbeat, Images, MetricsCsv, ProgressDisplay, TensorBoard
from vaekl.training.divergence import DivergedError
from vaekl.training.plan import Plan
from vaekl.training.trainer import Trainer

#: by then the learning rate is a thousandth
_MOST_RESTORES = 10
_SMALLER = "lower trainer.batch_size or the model's size, or free some"
#: often swept numbers that only some options have, or that may be null: columns for runs without them too
_COMPARED = (
    "weighting.beta", "weighting.dispersion", "likelihood.max_logit", "schedule.fraction", "model.latents", "optim.lr",
    "trainer.epochs", "trainer.steps", "trainer.ema", "trainer.clip_norm", "trainer.patience",
)  # fmt: skip
_NOT_COMPARED = ("choices", "data_dir", "output_dir", "run_name", "dataset.name", "dataset.root")


def train(cfg: DictConfig, path: Path, overrides: list[str], console: Console | None = None) -> float | None:
    """A new run, or the rest of the same one; returns the validation ELBO in nats, or None without validation.

    A finished run is left as it is: the same config would end at the same figures.

    Raises:
        VaeklError: for any mistake of the user's, or a folder that holds another run.
    """
    console = console or new_console()
    with enough_memory("the run", _SMALLER), distributed.joined():
        if distributed.on_first(lambda: RunFolder(path).is_run_of(compose.plain(cfg))):
            return _go_on(path, console, typed=compose.plain(cfg))
        runs = [distributed.on_each(lambda: build(cfg, path, console))]
        facts = _facts(runs[0].trainer)
        with _held(path):
            distributed.on_first(lambda: RunFolder(path).claim(OmegaConf.to_yaml(cfg), overrides, facts))
            return _execute(runs, cfg, path, console)


def resume(path: Path, console: Console | None = None) -> float | None:
    """Go on with a run that was stopped or killed, as if it never had been.

    Raises:
        VaeklError: if the folder holds no run, or its checkpoint does not fit.
    """
    with enough_memory("the run", _SMALLER), distributed.joined():
        return _go_on(path, console or new_console())


def _go_on(path: Path, console: Console, typed: dict[str, Any] | None = None) -> float | None:
    cfg = DictConfig(distributed.on_first(lambda: trust.config(path, typed)))
    with _held(path):
        if (results := distributed.on_first(lambda: RunFolder(path).results())) is not None:
            console.print(f"{path} is finished: nothing to resume.")
            return results.validation_elbo
        return _execute([_restored(cfg, path, console)], cfg, path, console)


def _restored(cfg: DictConfig, path: Path, console: Console) -> Experiment:
    """The run as it was at its last checkpoint."""
    with trust.as_written(path):
        run = distributed.on_each(lambda: build(cfg, path, console))
    state = distributed.on_first(lambda: recovery.saved(run.trainer, path, console))
    distributed.on_each(lambda: recovery.load(run.trainer, path, state, console))
    return run


def _execute(runs: list[Experiment], cfg: DictConfig, path: Path, console: Console) -> float | None:
    """Train to the end. A run that diverges says what went first, and may go back with half the learning rate.

    Args:
        runs: the run alone, which is taken out: once it has diverged nobody may hold its memory.
        cfg: it is built from this again.
        path: the run folder.
        console: where it speaks.
    """
    while True:
        run = runs.pop()
        restores = run.trainer.restores
        try:
            return execute(run)
        except DivergedError as error:
            diverged = error.with_traceback(None)
        asked_to_stop = run.trainer.stop_requested
        del run
        if asked_to_stop:  # there may be no time to look further
            if cfg.trainer.on_nan == "stop":
                raise diverged
            raise StoppedError(f"stopped as it diverged ({diverged.what}): `vaekl resume {path}` goes on from there.")
        diverged = _explained(diverged, restores, cfg, path, console)
        if cfg.trainer.on_nan == "stop":
            raise diverged
        if restores >= _MOST_RESTORES:
            raise DivergedError(f"{diverged.what}, after {restores} times with half the learning rate", diverged.step)
        times = f"half the learning rate ({restores + 1} of {_MOST_RESTORES})"
        console.print(f"  {diverged.what}: back to the last checkpoint with {times}.")
        runs.append(_restored(cfg, path, console))
        runs[0].trainer.restores = restores + 1


def _explained(diverged: DivergedError, restores: int, cfg: DictConfig, path: Path, console: Console) -> DivergedError:
    """The same with what was the first to go, if the steps since the last checkpoint show it once more."""
    if distributed.size() > 1:
        return diverged
    console.print("  training diverged: looking for the first bad step since the last checkpoint")
    try:
        trainer = build(cfg, path, new_console(StringIO())).trainer
        recovery.load(trainer, path, recovery.saved(trainer, path, console), console)
        trainer.callbacks, trainer.restores = [], restores
        return diverged.beginning_with(recovery.first_fault(trainer, diverged.step))
    except Exception:  # the data are gone, the memory is full: what is known is said in any case
        return diverged


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """The folder, made if need be, for this run alone; of several processes the first one holds it."""
    with ExitStack() as stack:
        distributed.on_first(lambda: stack.enter_context(RunFolder(path).held()))
        yield


def build(cfg: DictConfig, path: Path, console: Console) -> Experiment:
    """Every object of a run; nothing is written yet."""
    device = pick_device(cfg.trainer.device)
    prepare(device, tf32=cfg.trainer.autocast == "tf32")
    take_threads(cfg.trainer.threads)
    seed = whole(cfg.seed, "seed", 0)
    likelihood = build_likelihood(cfg)
    data = build_data(cfg, likelihood).to(device)
    model = build_model(cfg, likelihood, data).to(device)
    plan = _plan(cfg, data)
    if plan.compile is not False and distributed.size() > 1:
        raise VaeklError("trainer.compile has not been tried with several processes: set trainer.compile=false.")
    if one_of(cfg.trainer.on_nan, "trainer.on_nan", ("stop", "restore")) == "restore" and distributed.size() > 1:
        raise VaeklError("trainer.on_nan=restore has not been tried with several processes: set trainer.on_nan=stop.")
    if plan.ema is not None and model.weighting.observes:
        raise VaeklError(
            f"trainer.ema does not fit weighting={model.weighting.name}, whose φ belongs to the weights in training, "
            "not to their average: use weighting=learned_precision, or trainer.ema=null."
        )
    tensorboard = TensorBoard(path, OmegaConf.to_yaml(cfg), _settings(cfg))
    callbacks: list[Callback] = [MetricsCsv(path), tensorboard, Images(path, tensorboard), ProgressDisplay(console)]
    callbacks += [*([Heartbeat(path)] if in_worker() else []), Checkpoints(path)]
    trainer = Trainer(
        model,
        _optimizer(cfg, model),
        _made("schedule", cfg, Callable, total_steps=plan.total_steps),
        _made("lr_schedule", cfg, Callable, total_steps=plan.total_steps),
        data,
        plan,
        seed,
        callbacks,
    )
    choices = {str(group): str(name or "none") for group, name in cfg.choices.items()}
    return Experiment(trainer, choices, path, console)


def _facts(trainer: Trainer) -> dict[str, Any]:
    """What `vaekl audit RUN` and the report say of a run without building it again."""
    model = trainer.model
    return {
        "data": trainer.data.spec.facts(),
        "likelihood": model.likelihood.facts(),
        "weighting": model.weighting.facts(),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def build_likelihood(cfg: DictConfig) -> Likelihood:
    """The family of p(x|z)."""
    likelihood: Likelihood = _made("likelihood", cfg, Likelihood)
    return likelihood


def build_data(cfg: DictConfig, likelihood: Likelihood) -> Data:
    """The data set as the likelihood sees it, on the CPU; refused if it lies outside the support."""
    split_seed = whole(cfg.split_seed, "split_seed", 0)
    source = _made("dataset", cfg, Source)
    transform = _made("transform", cfg, (Transform, AutoTransform))
    data = Data.from_source(source, transform, likelihood.accepts, cfg.valid, split_seed)
    likelihood.check_spec(data.spec)
    generator = torch.Generator().manual_seed(seed_of("support", 0))
    for split in (data.train, data.valid, data.test):
        if split is not None:
            likelihood.check_support(split.batch(slice(None, 1000), generator))
    return data


def build_model(cfg: DictConfig, likelihood: Likelihood, data: Data) -> VAE:
    """The networks with fresh weights, and the weighting."""
    torch.manual_seed(seed_of("weights", cfg.seed))
    weighting = _made("weighting", cfg, Weighting, likelihood=likelihood, shape=data.spec.shape)
    nets = _made("model", cfg, Nets, shape=data.spec.shape, outputs=likelihood.outputs)
    return VAE(data.spec, nets, likelihood, weighting, cfg.model.latents, half_precision(cfg.trainer.autocast))


def _made(group: str, cfg: DictConfig, kind: Any, **objects: Any) -> Any:
    settings: Any = OmegaConf.to_container(cfg[group])
    return make(group, settings, kind, **objects)


def _plan(cfg: DictConfig, data: Data) -> Plan:
    options = cfg.trainer
    batch_size = min(whole(options.batch_size, "trainer.batch_size", 1), len(data.train))
    if options.steps is not None:
        total_steps = whole(options.steps, "trainer.steps", 1)
    else:
        total_steps = whole(options.epochs, "trainer.epochs", 1) * (len(data.train) // batch_size)
    patience = optional(whole, options.patience, "trainer.patience", 1)
    if patience is not None and data.valid is None:
        raise VaeklError("trainer.patience needs validation images, but valid=0 holds out none: set valid=0.1.")
    return Plan(
        total_steps=total_steps,
        batch_size=batch_size,
        # one row for each step is kept until they are logged
        log_every=min(whole(options.log_every, "trainer.log_every", 1), total_steps),
        valid_every=whole(options.valid_every, "trainer.valid_every", 1),
        clip_norm=optional(positive, options.clip_norm, "trainer.clip_norm"),
        ema=optional(number, options.ema, "trainer.ema", 0, 1),
        compile=None if options.compile == "auto" else flag(options.compile, "trainer.compile", also="auto, "),
        patience=patience,
    )


def new_console(file: IO[str] | None = None) -> Console:
    """Where a run speaks: the terminal, or a file."""
    return Console(file=file, highlight=False, markup=False, soft_wrap=True)


def _settings(cfg: DictConfig) -> dict[str, str | float | None]:
    """What runs are compared by: the choices, and every key that can be swept; None for what this run lacks."""
    found: dict[str, str | float | None] = {str(group): str(name or "none") for group, name in cfg.choices.items()}
    found |= dict.fromkeys(_COMPARED)
    for key, value in _leaves(OmegaConf.to_container(cfg, resolve=True), ""):
        if not key.startswith(_NOT_COMPARED):
            # TensorBoard would show a seed's number as 0.0000
            as_it_is = value is None or isinstance(value, str) or (is_number(value) and not key.endswith("seed"))
            found[key] = value if as_it_is else json.dumps(value, ensure_ascii=False)
    return found


def _leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """The dotted keys of a config with their values, without what Hydra instantiates."""
    if not isinstance(node, dict):
        yield key, node
        return
    for name, child in node.items():
        if not str(name).startswith("_"):
            yield from _leaves(child, f"{key}.{name}" if key else str(name))


def _optimizer(cfg: DictConfig, model: VAE) -> torch.optim.Optimizer:
    """The optimiser, with the weighting's own parameters at their own learning rate."""
    rate = positive(OmegaConf.select(cfg, "optim.lr"), "optim.lr")
    networks = [p for name, p in model.named_parameters() if not name.startswith("weighting.")]
    optimizer: torch.optim.Optimizer = _made("optim", cfg, torch.optim.Optimizer, params=networks)
    if own := list(model.weighting.parameters()):
        # a decay of ln φ would pull φ towards 1
        optimizer.add_param_group({"params": own, "lr": rate * model.weighting.lr_factor, "weight_decay": 0.0})
    return optimizer
