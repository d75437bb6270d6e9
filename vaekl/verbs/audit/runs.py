"""The card of a run, from the files in its folder: neither its data nor its weights are needed."""

from collections import deque
from dataclasses import dataclass
from math import isclose, prod
from pathlib import Path
from typing import Any

import msgspec

from vaekl import __version__
from vaekl.config.command import train_command
from vaekl.measures.trend import Trend, run_trend
from vaekl.store import RunFolder
from vaekl.store.schema import Facts
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import printable
from vaekl.verbs.audit.sigma import PixelScale
from vaekl.verbs.audit.text import lines, number, one

_MEASURED = (
    "elbo_nats", "energy_nats", "log_norm_const_nats", "kl_nats", "dispersion", "effective_beta_kl", "implied_sigma",
    "rmse", "active_units",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run folder as its card shows it.

    Args:
        folder: its files.
        config: its resolved config.
        facts: what the run wrote at its start.
        figures: measured last: of the test if the run is finished, else the last row of metrics.csv; may be empty.
        where: where the figures are from, in words.
        trend: what still moved when the run ended.
    """

    folder: RunFolder
    config: dict[str, Any]
    facts: Facts
    figures: dict[str, float]
    where: str
    trend: Trend

    @property
    def values(self) -> int:
        """N, the number of values in one example."""
        return prod(self.facts.data.shape)

    @property
    def pixels(self) -> PixelScale:
        """What σ is compared with."""
        return PixelScale.of_data(msgspec.structs.asdict(self.facts.data))

    @property
    def latents(self) -> int | None:
        """Z."""
        latents = self.config["model"].get("latents")
        return latents if isinstance(latents, int) else None

    @property
    def dispersion(self) -> tuple[float, str] | None:
        """φ and where it is from; None before anything was measured of a φ that the run finds for itself."""
        weighting = self.facts.weighting
        if weighting.dispersion is not None:
            for key, value in self.config["weighting"].items():
                # the fact is what float32 makes of the option
                if type(value) in (int, float) and isclose(value, weighting.dispersion, rel_tol=1e-6):
                    return float(value), f"weighting.{key}"
            return weighting.dispersion, "fixed"
        if "dispersion" in self.figures:
            return self.figures["dispersion"], f"{weighting.name}, {self.where}"
        return None

    @property
    def sigma(self) -> float | None:
        """σ of the density on the scale of the data: as measured, else that of φ where φ is a scale."""
        likelihood = self.facts.likelihood
        if "implied_sigma" in self.figures:
            return self.figures["implied_sigma"]
        if self.dispersion and likelihood.unit_sigma is not None and likelihood.scale_power is not None:
            sigma = likelihood.unit_sigma * self.dispersion[0] ** likelihood.scale_power
            return float(sigma * (self.facts.data.spread or 1.0))
        return None


def run_card(path: Path) -> str:
    """What a run's loss assumes, and what was measured of it.

    Raises:
        VaeklError: if there is no run, or its files cannot be read.
    """
    run = read_run(path.parent if path.is_file() else path)
    return f"vaekl {__version__}, {printable(str(run.folder.path))}\n" + lines(
        {
            "run": _head(run),
            "loss": _loss(run),
            "likelihood": _likelihood(run),
            "σ": _sigma(run),
            "effective β_KL": _beta(run),
            "dropped": _dropped(run),
            "measured": _measured(run),
            "no answer yet": run.trend.sentence,
            "verdict": _verdict(run),
            "train it": _command(run),
        }
    )


def read_run(path: Path) -> Run:
    """The folder's files.

    Raises:
        VaeklError: if there is no run, or a file is damaged.
    """
    folder = RunFolder(path)
    config, facts, results = folder.config(), folder.facts(), folder.results()
    try:
        still = run_trend(folder, facts, config)
    except VaeklError:  # a log that cannot be read; a run without results is refused below
        still = Trend(None, None)
    if results is not None:
        figures = {name: getattr(results.test, name) for name in _MEASURED}
        return Run(folder, config, facts, figures, f"test, step {results.step:,}", still)
    rows = deque(folder.metrics(), maxlen=1)
    if not rows:
        return Run(folder, config, facts, {}, "nothing measured yet", still)
    last = rows[0]
    where = f"{folder.metrics_file.name}, last row: {last.split}, step {last.step}"
    return Run(folder, config, facts, last.figures(), where, still)


def _head(run: Run) -> str:
    choices, data = run.config["choices"], run.facts.data
    return (
        f"{choices.get('model')}, Z = {run.latents} latents; {choices.get('dataset')}, {data.protocol}, "
        f"N = {run.values:,} values {one(data.example)}"
    )


def _loss(run: Run) -> str:
    schedule = str(run.config["choices"].get("schedule") or "constant")
    multiplied = "" if schedule == "constant" else f" · schedule={schedule}"
    weighting, chosen = run.facts.weighting, str(run.config["choices"].get("weighting"))
    taken = f"weighting={chosen}" + (f" → {weighting.name}" if weighting.name != chosen else "")
    example = run.facts.data.example
    return f"{weighting.loss}{multiplied}, summed over {one(example)} and averaged over {example}s\n({taken})"


def _likelihood(run: Run) -> str:
    likelihood = run.facts.likelihood
    if run.dispersion is None:
        return f"{likelihood.name}, its φ is fitted in training, and {run.where}"
    phi, source = run.dispersion
    per = str(run.config["weighting"].get("per", "scalar"))
    # folders of earlier versions do not say how many there are
    count, each = run.facts.weighting.dispersions, f": there is one per {per}" if per not in ("scalar", "auto") else ""
    many = each if count is None else f" of {count:,}{each}" if count > 1 else ""
    several = f", a geometric mean{many}" if many else ""
    return f"{likelihood.name}, {likelihood.dispersion} φ = {number(phi)}   ({source}{several})"


def _sigma(run: Run) -> str:
    if run.sigma is None:
        return ""
    text = run.pixels.words(run.sigma)
    if "implied_sigma" not in run.figures:
        return text
    if "rmse" in run.figures:
        text += f", beside an RMSE of {run.figures['rmse']:.4g}"
    return f"{text}   ({run.where})"


def _beta(run: Run) -> str:
    beta, schedule = run.figures.get("effective_beta_kl"), run.figures.get("schedule", 1.0)
    if beta is None:
        beta = run.facts.weighting.implied_beta_kl
    if beta is None:
        return ""
    text = number(beta)
    if 0 < schedule < 1 and run.facts.control.name == "information_weight":
        # every schedule has ended at 1 when the run does
        text += f" at this step, {number(beta / schedule)} once the schedule ends"
    if run.facts.control.name != "information_weight":
        text += f", found by control={run.facts.control.name}" if run.figures else ""
    return text + (f"; normalised β_KL · Z/N = {number(beta * run.latents / run.values)}" if run.latents else "")


def _dropped(run: Run) -> str:
    constant = run.figures.get("log_norm_const_nats")
    amount = (
        f"{number(constant)} nats per {run.facts.data.example}   ({run.where})"
        if constant is not None
        else "not measured yet"
    )
    if not run.facts.weighting.drops_constant:
        return f"nothing; ln C = {amount}" if constant else "nothing"
    text = f"ln C = {amount}"
    if run.facts.likelihood.scale_power is not None:
        return f"{text}\nIt does not depend on the decoder, so the optimum stays where it is"
    return f"{text}\nIt depends on the decoder, so the optimum moves"


def _measured(run: Run) -> str:
    needed = ("energy_nats", "log_norm_const_nats", "kl_nats", "elbo_nats")
    if not all(name in run.figures for name in needed):
        return ""
    energy, constant, kl, elbo = (run.figures[name] for name in needed)
    sign = "+" if constant >= 0 else "−"
    return (
        f"ELBO = −E/φ + ln C − KL = −{energy:,.2f} {sign} {abs(constant):,.2f} − {kl:,.2f} = {elbo:,.2f} nats per "
        f"{run.facts.data.example}   ({run.where})"
    ).replace("= -", "= −")


def _verdict(run: Run) -> str:
    likelihood, sigma = run.facts.likelihood, run.sigma
    if run.facts.weighting.drops_constant and likelihood.scale_power is None:
        return f"{likelihood.energy} without its constant: not an ELBO of any density on {likelihood.support}"
    if likelihood.unit_sigma is None or likelihood.scale_power is None or not sigma:
        return ""
    units = run.figures.get("active_units")
    active = f"{units:.0f} of {run.latents} latents are active" if units is not None and run.latents else ""
    text = run.pixels.verdict(sigma, active)
    ratio = run.figures.get("rmse", sigma) / sigma
    if not 0.9 < ratio < 1.1:
        sure = "surer of its values than it may be" if ratio > 1 else "less sure of its values than it could be"
        text += f"\nThe RMSE is {ratio:.2f} σ: the density is {sure}"
        # σ grows as φ^power, whatever the unit of the data
        phi = run.dispersion[0] * ratio ** (1 / likelihood.scale_power) if run.dispersion else None
        text += f"; φ = {number(phi)} would give σ = RMSE." if phi is not None else "."
    return text.strip()


def _command(run: Run) -> str:
    """What trains it again, twice as long where it had not come to rest."""
    trainer = run.config["trainer"]
    length = "epochs" if trainer.get("steps") is None else "steps"
    longer = (
        {length: 2 * trainer[length]} if run.trend.wants_more_steps and isinstance(trainer.get(length), int) else {}
    )
    command = train_command({**run.config, "trainer": {**trainer, **longer}})
    return command or "not by vaekl's options alone: its config has classes or values of its own"
