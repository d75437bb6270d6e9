"""Config -> objects -> a run folder. With `config`, the only file that knows Hydra and OmegaConf."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from vaekl import checkpoint, folder, summary
from vaekl.callbacks import BEST, LAST, Checkpoints, Images, MetricsCsv, ProgressDisplay, TensorBoard
from vaekl.data import Data
from vaekl.devices import pick_device, prepare
from vaekl.errors import StoppedError, VaeklError
from vaekl.evaluate import Evaluation, evaluate
from vaekl.model import VAE
from vaekl.trainer import Cadence, Trainer

_COMPARED = (
    "weighting.beta", "weighting.dispersion", "likelihood.max_logit", "schedule.fraction", "model.latents", "optim.lr",
    "trainer.batch_size", "trainer.epochs", "trainer.steps", "trainer.ema", "seed",
)  # fmt: skip


@dataclass
class Run:
    """A trainer and what belongs around it."""

    cfg: DictConfig
    path: Path
    trainer: Trainer
    console: Console


def train(cfg: DictConfig, path: Path, overrides: list[str], console: Console | None = None) -> float | None:
    """A new run in a folder that holds none yet; returns the validation ELBO in nats, or None without validation.

    Raises:
        VaeklError: for any mistake of the user's; a folder with nothing in it is taken away again.
    """
    claimed = False
    try:
        run = build(cfg, path, console or _console())
        folder.claim(path, OmegaConf.to_yaml(cfg), overrides)
        claimed = True
        return execute(run)
    finally:
        if not claimed:
            folder.remove_if_empty(path)


def resume(path: Path, console: Console | None = None) -> float | None:
    """Go on with a run that was stopped or killed, as if it never had been.

    Raises:
        VaeklError: if the folder holds no run, or its checkpoint does not fit.
    """
    console = console or _console()
    cfg = OmegaConf.create(folder.config(path))
    if (results := folder.results(path)) is not None:
        console.print(f"{path} is finished: nothing to resume.")
        elbo = results.get("valid", {}).get("elbo_nats")
        return float(elbo) if elbo is not None else None
    assert isinstance(cfg, DictConfig)
    run = build(cfg, path, console)
    if (path / LAST).exists():
        state = checkpoint.load(path / LAST, run.trainer.device)
        try:
            run.trainer.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError) as error:
            raise VaeklError(
                f"the checkpoint {path / LAST} does not fit the model of {path / folder.CONFIG}: "
                "restore the two as they were, or train afresh."
            ) from error
    return execute(run)


def build(cfg: DictConfig, path: Path, console: Console) -> Run:
    """Every object of a run; nothing is written yet."""
    options, seed = cfg.trainer, _whole(cfg.seed, "seed", 0)
    device = pick_device(options.device)
    prepare(device)
    likelihood = _make("likelihood", cfg)
    transform = _make("transform", cfg)
    data = Data.from_source(_make("dataset", cfg), transform, likelihood.accepts, cfg.valid, cfg.split_seed)
    likelihood.check_spec(data.spec)
    for split in (data.train, data.valid, data.test):
        if split is not None:
            likelihood.check_support(split.batch(slice(None, 1000), torch.Generator().manual_seed(seed)))
    data = data.to(device)

    torch.manual_seed(seed)
    weighting = _make("weighting", cfg, likelihood=likelihood, shape=data.spec.shape)
    nets = _make("model", cfg, shape=data.spec.shape, outputs=likelihood.outputs)
    model = VAE(data.spec, nets, likelihood, weighting, cfg.model.latents, _autocast(options.autocast)).to(device)
    if options.compile:
        model.compile()

    batch_size = min(_whole(options.batch_size, "trainer.batch_size", 1), len(data.train))
    if options.steps is not None:
        total_steps = _whole(options.steps, "trainer.steps", 1)
    else:
        total_steps = _whole(options.epochs, "trainer.epochs", 1) * (len(data.train) // batch_size)
    if options.patience is not None and data.valid is None:
        raise VaeklError("trainer.patience needs validation images, but valid=0 holds out none: set valid=0.1.")
    cadence = Cadence(
        total_steps=total_steps,
        batch_size=batch_size,
        log_every=_whole(options.log_every, "trainer.log_every", 1),
        valid_every=_whole(options.valid_every, "trainer.valid_every", 1),
        clip_norm=_number(options.clip_norm, "trainer.clip_norm", float("inf")),
        ema=_number(options.ema, "trainer.ema", 1.0),
        patience=options.patience and _whole(options.patience, "trainer.patience", 1),
    )
    tensorboard = TensorBoard(path, OmegaConf.to_yaml(cfg), _settings(cfg))
    trainer = Trainer(
        model,
        _optimizer(cfg, model),
        _make("schedule", cfg, total_steps=total_steps),
        _make("lr_schedule", cfg, total_steps=total_steps),
        data,
        cadence,
        seed,
        [tensorboard, MetricsCsv(path), Images(path, tensorboard), ProgressDisplay(console), Checkpoints(path)],
    )
    return Run(cfg, path, trainer, console)


def execute(run: Run) -> float | None:
    """Train, test, and write `results.json`, whose presence means that the run is finished."""
    trainer, console = run.trainer, run.console
    console.print(summary.start(trainer, run.cfg.choices, run.path))
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask_to_stop(number: int, frame: Any) -> None:
        trainer.stop_requested = True
        signal.signal(number, handlers[number])  # a second one stops at once

    try:
        for number in handlers:
            signal.signal(number, ask_to_stop)
        trainer.fit()
    except OSError as error:
        raise VaeklError(checkpoint.unwritable(run.path, "run folder", error)) from error
    except Exception as error:
        if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
            reason = str(error).splitlines()[0]
            raise VaeklError(
                f"torch.compile failed ({reason}): install a C++ compiler such as g++, or set trainer.compile=false."
            ) from error
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if not trainer.finished:
        raise StoppedError(f"stopped at step {trainer.step}: `vaekl resume {run.path}` goes on from there.")

    if trainer.cadence.patience is not None and (run.path / BEST).exists():
        step = trainer.step
        trainer.load_state_dict(checkpoint.load(run.path / BEST, trainer.device))
        console.print(f"  the best validation ELBO was at step {trainer.step} of {step}")
    data, seed = trainer.data, trainer.seed
    valid = evaluate(trainer.judged, data.valid, seed=seed) if data.valid is not None else None
    test = evaluate(trainer.judged, data.test, seed=seed)
    try:
        for callback in trainer.callbacks:
            callback.finished(trainer, test)
        folder.finish(run.path, _results(run, valid, test))
    except OSError as error:
        raise VaeklError(checkpoint.unwritable(run.path, "run folder", error)) from error
    console.print(summary.end(trainer, test))
    console.print(summary.closing(trainer, run.path))
    return valid.elbo if valid is not None else None


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


def _results(run: Run, valid: Evaluation | None, test: Evaluation) -> dict[str, Any]:
    trainer = run.trainer
    return {
        "choices": OmegaConf.to_container(run.cfg.choices),
        "weighting": trainer.model.weighting.name,
        "protocol": {"data": trainer.data.spec.protocol, "likelihood": trainer.model.likelihood.protocol},
        "seed": trainer.seed,
        "step": trainer.step,
        "images": {"train": len(trainer.data.train), "valid": valid.images if valid else 0, "test": test.images},
        **({"valid": _figures(valid)} if valid else {}),
        "test": _figures(test),
    }


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    return evaluation.figures() | {
        "kl_per_latent_nats": evaluation.kl_per_latent.tolist(),
        "dispersions": evaluation.dispersions.tolist() if len(evaluation.dispersions) <= 64 else None,
    }


def _make(group: str, cfg: DictConfig, **objects: Any) -> Any:
    """The object that a config group describes, with the objects that it needs."""
    try:
        # in two steps, because Hydra would make config nodes of the objects
        return instantiate(cfg[group], _partial_=True, _convert_="all")(**objects)
    except VaeklError:
        raise
    except Exception as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise VaeklError(
            f"the {group} settings {OmegaConf.to_container(cfg[group])} do not fit ({reason}): check {group}.*."
        ) from error


def _settings(cfg: DictConfig) -> dict[str, str | float | None]:
    """What runs are compared by: the choices, and numbers that are often swept; None for a key that this run lacks."""
    numbers = {key: OmegaConf.select(cfg, key) for key in _COMPARED}
    return {str(group): str(name or "none") for group, name in cfg.choices.items()} | numbers


def _optimizer(cfg: DictConfig, model: VAE) -> torch.optim.Optimizer:
    """The optimiser, with the weighting's own parameters at their own learning rate."""
    networks = [p for name, p in model.named_parameters() if not name.startswith("weighting.")]
    optimizer: torch.optim.Optimizer = _make("optim", cfg, params=networks)
    if own := list(model.weighting.parameters()):
        optimizer.add_param_group({"params": own, "lr": cfg.optim.lr * model.weighting.lr_factor})
    return optimizer


def _autocast(name: str | None) -> torch.dtype | None:
    names = {None: None, "bfloat16": torch.bfloat16, "bf16": torch.bfloat16}
    if name not in names:
        raise VaeklError(f"trainer.autocast must be null or bfloat16, not {name!r}.")
    return names[name]


def _whole(value: Any, key: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise VaeklError(f"{key} must be a whole number from {least}, not {value!r}.")
    return value


def _number(value: Any, key: str, below: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, (str, bool)) or not 0 < value < below:
        raise VaeklError(f"{key} must be null or a number between 0 and {below:g}, not {value!r}.")
    return float(value)
