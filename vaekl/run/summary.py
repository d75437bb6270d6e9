"""What a run says of itself at its start and at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log, log2
from pathlib import Path

import torch
from rich.table import Table

from vaekl import __version__
from vaekl.data import Data
from vaekl.measures.elbo import Evaluation
from vaekl.measures.held import held
from vaekl.measures.trend import Trend, trend
from vaekl.store import RunFolder
from vaekl.store.schema import ControlFacts
from vaekl.system import distributed
from vaekl.system.terminal import command, printable
from vaekl.training.plan import Plan
from vaekl.training.trainer import Trainer

#: of how many channels, or columns of a table, figures are printed
MOST_CHANNELS = 60
_ABOVE_0 = "no mistake: a density may be larger than 1, so that its logarithm is above 0; a probability's never is"


def start(
    trainer: Trainer, choices: Mapping[str, str], path: Path, init: str | None = None, notes: Sequence[str] = ()
) -> str:
    """The data, the model's size, the loss as an equation, and which weighting `auto` took."""
    model, data, plan = trainer.model, trainer.data, trainer.plan
    likelihood, weighting, objective = model.likelihood, model.weighting, model.objective
    shape, examples = "×".join(map(str, data.spec.shape)), f"{data.spec.example}s"
    counts = f"{len(data.train):,} train, {len(data.valid or []):,} valid, {len(data.test):,} test"
    parameters = sum(p.numel() for p in model.parameters())
    name = f"auto → {weighting.name}" if choices["weighting"] == "auto" else weighting.name
    why = likelihood.chosen_because
    family = f"auto → {likelihood.name}, since {why}" if why else likelihood.name
    machine = trainer.device.type + (f", threads: {torch.get_num_threads()}" if trainer.device.type == "cpu" else "")
    if model.autocast is not None:
        machine += f", {str(model.autocast).removeprefix('torch.')}"
    if torch.get_float32_matmul_precision() == "high":
        machine += ", tf32"
    if distributed.size() > 1:
        machine += f", {distributed.size()} processes"
    multiplied = f" · schedule={choices['schedule']}" if choices["schedule"] != "constant" else ""
    if trainer.recorder is not None:
        machine += ", steps played from a recording" if trainer.device.type == "cpu" else ", each step a CUDA graph"
    if trainer.compiler.decision is not False:
        machine += f", torch.compile{'' if trainer.compiler.decision else ' if it pays'}"
    lines = {
        "data": f"{choices['dataset']}: {counts} {examples} of {shape}; {data.spec.protocol}",
        "model": f"{choices['model']}, {model.latents} latents, {parameters:,} parameters",
        **({"init": f"the networks begin with the weights of {init}"} if init else {}),
        "likelihood": f"{family}: E = {likelihood.energy_text}, ln C = {likelihood.log_norm_const_text}"
        f"; {likelihood.full_protocol}",
        "loss": model.equation() + multiplied + f", averaged over {examples}",
        "weighting": f"{name}: {weighting.explanation()}",
        **({"control": f"{model.control.name}: {model.control.explanation()}"} if model.control.weighs else {}),
        **({"objective": f"{objective.name}: {objective.explanation()}"} if objective.name != "elbo" else {}),
        "training": f"{plan.total_steps:,} steps of {plan.batch_size} {examples}, "
        f"{choices['optim']}, seed {trainer.seed}, {machine}",
        "run": printable(str(path)),
    }
    head = f"vaekl {__version__}" + (f", resumed at step {trainer.step}" if trainer.step else "")
    rows = list(lines.items())
    rows[-1:-1] = [("note", note) for note in notes]
    rows[1:1] = _origin(data)
    return "\n".join([head, *(f"  {name:<11} {text}" for name, text in rows)])


def _origin(data: Data) -> list[tuple[str, str]]:
    """Where the images are from, what was left out of what was there, and what was decided about the rest.

    Names of a stranger's files must not speak to the terminal.
    """
    counts = {"train": len(data.train), "valid": len(data.valid or []), "test": len(data.test)}
    inventory = data.inventory
    return [
        ("from", printable(inventory.sentence(counts))),
        *(("left out", printable(line)) for line in inventory.left_out),
        *(("note", printable(line)) for line in inventory.remarks),
        *(("column", printable(line)) for line in inventory.columns),
    ]


def end(trainer: Trainer, test: Evaluation) -> Table:
    """The test ELBO's parts in nats per example and in bits/dim, which add up in both columns."""
    model, spec = trainer.model, trainer.data.spec
    table = Table()
    table.add_column(f"test, {test.images:,} {spec.example}s")
    table.add_column(f"nats per {spec.example}", justify="right")
    table.add_column("bits/dim", justify="right")
    comparable = test.bits_per_dim is not None
    for name, nats in {"−E/φ": -test.energy_nats, "ln C": test.log_norm_const, "−KL": -test.kl}.items():
        table.add_row(name, f"{nats:z,.3f}", f"{-nats / (spec.dims * log(2)):+z.4f}" if comparable else "")
    if spec.dequantized and spec.levels:
        table.add_row(f"bins of width 1/{spec.levels}", "", f"{log2(spec.levels):+.4f}")
    bits = f"{test.bits_per_dim:.4f}" if test.bits_per_dim is not None else ""
    table.add_row("ELBO", with_error(test.elbo, test.elbo_standard_error, 3), bits, style="bold", end_section=True)
    if model.objective.samples > 1:
        name = f"{model.objective.name.upper()} bound, K = {model.objective.samples:,}"
        table.add_row(name, with_error(-test.loss, test.loss_standard_error, 3))
    distortion = test.energy_nats - test.log_norm_const
    if result := held(ControlFacts(**model.control.facts()), test.kl, test.rmse, distortion):
        table.add_row(*result)
    several = f", geometric mean of {len(test.dispersions):,}" if len(test.dispersions) > 1 else ""
    table.add_row(f"dispersion φ{several}", f"{test.dispersion:.5g}")
    for option, value in test.learned_options.items():
        table.add_row(f"learned likelihood.{option}", f"{value:.5g}")
    if not spec.units_differ:
        table.add_row("implied σ, RMSE", f"{test.implied_sigma:.4f}, {test.rmse:.4f}")
    table.add_row("effective β_KL", f"{test.effective_beta_kl:.5g}")
    table.add_row("information weight λ", f"{test.information_weight:.5g}")
    table.add_row("active units", f"{test.active_units} of {model.latents}")
    return table


def dispersions(test: Evaluation) -> Table | None:
    """φ and σ of each column of a table, or each channel, where these have a φ of their own; None where not."""
    channels = test.dispersion_by_channel
    if not channels:
        return None
    table = Table()
    has_kinds = any(channel.kind for channel in channels.values())
    table.add_column(next(iter(channels)).partition(" ")[0], overflow="fold")
    for title in [*(["kind"] if has_kinds else []), "φ", "implied σ, own unit"]:
        table.add_column(title, justify="left" if title == "kind" else "right", no_wrap=True)
    for name, channel in list(channels.items())[:MOST_CHANNELS]:
        kind = [channel.kind] if has_kinds else []
        bare = printable(name.partition(" ")[2])
        table.add_row(bare, *kind, f"{channel.dispersion:.5g}", f"{channel.implied_sigma:.5g}")
    if (more := len(channels) - MOST_CHANNELS) > 0:
        table.add_row(f"and {more:,} more in results.json")
    return table


def with_error(value: float, error: float | None, digits: int) -> str:
    """A figure with so many digits after the point, and ± its standard error where there is one."""
    return f"{value:,.{digits}f}" + (f" ± {error:,.{digits}f}" if error is not None else "")


def closing(trainer: Trainer, choices: Mapping[str, str], test: Evaluation, path: Path) -> str:
    """The protocol of the figures above, whether they still moved, where the run is, and how to look at it."""
    spec, likelihood = trainer.data.spec, trainer.model.likelihood
    none = "" if spec.dequantized or likelihood.discrete else "; no bits/dim, since a density on such values has none"
    result = distributed.on_first(lambda: _trend(trainer, path))
    longer = longer_command(path, trainer.plan, choices) if result.wants_more_steps else ""
    unfinished = f"{result.sentence}: {longer}" if longer else result.sentence
    lines = {
        "protocol": f"{spec.figures_protocol}; {likelihood.full_protocol}{none}",
        **({"above 0": _ABOVE_0} if test.elbo > 0 else {}),
        **({"unfinished": unfinished} if unfinished else {}),
        "run": printable(str(path)),
        "tensorboard": command("tensorboard", "--logdir", path.parent),
    }
    return "\n".join(f"  {name:<11} {text}" for name, text in lines.items())


def _trend(trainer: Trainer, path: Path) -> Trend:
    """What still moved, by the log that the run has just written."""
    model = trainer.model
    return trend(
        RunFolder(path).metrics,
        trainer.data.spec.dims,
        control=model.control.name,
        fits_dispersion=model.weighting.fits_dispersion,
        patience=trainer.plan.patience,
        samples=model.objective.samples,
        of_valid=model.weighting.draws,
    )


def longer_command(path: Path, plan: Plan, choices: Mapping[str, str]) -> str:
    """The command that gives a run twice its steps; empty where it is not sure to be taken.

    Args:
        path: its folder.
        plan: how long it is.
        choices: the option that was chosen in each config group.
    """
    # a run that ends between two validations may have kept a checkpoint there that a longer one would not have
    is_plain = plan.total_steps % plan.valid_every == 0 or (plan.patience is None and plan.save_minutes is not None)
    if not is_plain or not choices["schedule"] == choices["lr_schedule"] == "constant":
        return ""
    return RunFolder(path).command("resume", f"trainer.steps={2 * plan.total_steps}")
