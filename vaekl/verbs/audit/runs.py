"""The card of a run, from the files in its folder: neither its data nor its weights are needed."""

import csv
import shlex
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from vaekl import __version__
from vaekl.store import RunFolder
from vaekl.system.errors import VaeklError
from vaekl.verbs.audit.sigma import PixelScale
from vaekl.verbs.audit.text import lines, number


@dataclass(frozen=True)
class Run:
    """What a run folder says of the run.

    Args:
        path: the folder.
        config: its resolved config.
        figures: measured last: of the test if the run is finished, else the last row of metrics.csv; may be empty.
        where: where the figures are from, in words.
        facts: what the run wrote at its start: the data's shape, the family, the weighting that `auto` took.
    """

    path: Path
    config: dict[str, Any]
    figures: dict[str, float]
    where: str
    facts: dict[str, Any]

    @property
    def likelihood(self) -> str:
        """The family's name."""
        return str(self.facts["likelihood"]["name"])

    @property
    def resolved(self) -> str:
        """The weighting's name, whatever `auto` took."""
        return str(self.facts["weighting"]["name"])

    @property
    def scale(self) -> bool:
        """Whether φ is a scale of the family, so that ln C does not depend on the decoder."""
        return bool(self.facts["likelihood"]["scale"])

    @property
    def values(self) -> int:
        """N, the number of values in an image."""
        return prod(self.facts["data"]["shape"])

    @property
    def pixels(self) -> PixelScale:
        """What σ is compared with."""
        return PixelScale.of_data(self.facts["data"])

    @property
    def latents(self) -> int | None:
        """Z."""
        found = self.config.get("model", {}).get("latents")
        return found if isinstance(found, int) else None

    @property
    def dispersion(self) -> tuple[float, str] | None:
        """φ and where it is from; None before anything was measured of a φ that the run finds for itself."""
        key = {"fixed_beta": "beta", "fixed_dispersion": "dispersion"}.get(self.resolved)
        given = self.config.get("weighting", {}).get(key, 1.0) if key else None
        if given is not None:
            return float(given), f"weighting.{key}" if key in self.config["weighting"] else "φ = 1 for this family"
        if self.resolved == "cb_normalizer":
            return 1.0, "φ = 1, nothing to weigh"
        if "dispersion" in self.figures:
            return self.figures["dispersion"], f"{self.resolved}, {self.where}"
        return None


def run_card(path: Path) -> str:
    """What a run's loss assumes, and what was measured of it.

    Raises:
        VaeklError: if there is no run, or its files cannot be read.
    """
    run = read_run(path.parent if path.is_file() else path)
    return f"vaekl {__version__}, {run.path}\n" + lines(
        {
            "run": _head(run),
            "loss": _loss(run),
            "likelihood": _likelihood(run),
            "σ": _sigma(run),
            "effective β_KL": _beta(run),
            "dropped": _dropped(run),
            "measured": _measured(run),
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
    config, facts = folder.config(), folder.facts()
    if not {"data", "likelihood", "weighting"} <= facts.keys():
        raise VaeklError(f"{folder.facts_file} does not say what was trained: it is no run of this vaekl.")
    results = folder.results()
    if results is None:
        return Run(path, config, *_last_row(folder.metrics_file), facts)
    figures = {name: value for name, value in results.get("test", {}).items() if isinstance(value, float | int)}
    return Run(path, config, figures, f"test, step {results.get('step', 0):,}", facts)


def _last_row(file: Path) -> tuple[dict[str, float], str]:
    """The last whole row of metrics.csv as numbers, and its split and step in words."""
    if not file.is_file():
        return {}, "nothing measured yet"
    with file.open(newline="", encoding="utf-8") as source:
        # a killed writer may leave a torn last line
        whole = [row for row in csv.DictReader(source) if None not in row.values() and row.get("split")]
    if not whole:
        return {}, "nothing measured yet"
    row = whole[-1]
    try:
        figures = {name: float(value) for name, value in row.items() if value and name not in ("split", "step")}
    except (ValueError, TypeError) as error:
        raise VaeklError(f"{file} cannot be read as a table of numbers: restore it, or train afresh.") from error
    return figures, f"{file.name}, last row: {row['split']}, step {row['step']}"


def _head(run: Run) -> str:
    choices, data = run.config["choices"], run.facts["data"]
    return (
        f"{choices.get('model')}, Z = {run.latents} latents; {choices.get('dataset')}, {data['protocol']}, "
        f"N = {run.values:,} values an image"
    )


def _loss(run: Run) -> str:
    schedule = str(run.config["choices"].get("schedule") or "constant")
    multiplied = "" if schedule == "constant" else f" · schedule={schedule}"
    weighting = str(run.config["choices"].get("weighting"))
    taken = f"weighting={weighting}" + (f" → {run.resolved}" if run.resolved != weighting else "")
    return f"{run.facts['weighting']['loss']}{multiplied}, summed over an image and averaged over images\n({taken})"


def _likelihood(run: Run) -> str:
    if run.dispersion is None:
        return f"{run.likelihood}, its φ is found in training, and {run.where}"
    phi, source = run.dispersion
    kind = {"gaussian": "the variance", "laplace": "the scale"}.get(run.likelihood, "the dispersion")
    per = str(run.config["weighting"].get("per", "scalar"))
    several = f", a geometric mean: there is one per {per}" if per != "scalar" else ""
    return f"{run.likelihood}, {kind} φ = {number(phi)}   ({source}{several})"


def _sigma(run: Run) -> str:
    if "implied_sigma" in run.figures:
        text = run.pixels.words(run.figures["implied_sigma"])
        if "rmse" in run.figures:
            text += f", beside an RMSE of {run.figures['rmse']:.4g}"
        return f"{text}   ({run.where})"
    if run.dispersion and run.likelihood in ("gaussian", "laplace"):
        return run.pixels.words(_sigma_of(run.likelihood, run.dispersion[0]))
    return ""


def _sigma_of(likelihood: str, phi: float) -> float:
    return float(phi**0.5 if likelihood == "gaussian" else 2**0.5 * phi)


def _beta(run: Run) -> str:
    if run.dispersion is None:
        return ""
    # once a schedule has ended it is 1, which every one has at the run's end
    multiplier = run.figures.get("schedule", 1.0)
    beta = run.dispersion[0] * multiplier
    text = number(beta)
    if multiplier != 1:
        text += f" at this step, {number(run.dispersion[0])} once the schedule ends"
    return text + (f"; normalised β_KL · Z/N = {number(beta * run.latents / run.values)}" if run.latents else "")


def _dropped(run: Run) -> str:
    constant = run.figures.get("log_norm_const_nats")
    amount = f"{number(constant)} nats per image   ({run.where})" if constant is not None else "not measured yet"
    phi = run.dispersion[0] if run.dispersion else None
    if run.resolved != "fixed_beta":
        return f"nothing; ln C = {amount}" if constant else "nothing"
    if run.facts["likelihood"]["discrete"] and phi == 1:
        return "nothing: at φ = 1 the distribution already sums to 1"
    text = f"ln C = {amount}"
    if run.scale:
        return f"{text}\nIt does not depend on the decoder, so the optimum stays where it is"
    return f"{text}\nIt depends on the decoder, so the optimum moves"


def _measured(run: Run) -> str:
    needed = ("energy_nats", "log_norm_const_nats", "kl_nats", "elbo_nats")
    if not all(name in run.figures for name in needed):
        return ""
    energy, constant, kl, elbo = (run.figures[name] for name in needed)
    sign = "+" if constant >= 0 else "−"
    return (
        f"ELBO = −E/φ + ln C − KL = −{energy:,.2f} {sign} {abs(constant):,.2f} − {kl:,.2f} = {elbo:,.2f} nats per image"
        f"   ({run.where})"
    ).replace("= -", "= −")


def _verdict(run: Run) -> str:
    if run.resolved == "fixed_beta" and run.likelihood == "cb":
        return "binary cross-entropy on grey values without its constant: not an ELBO of any density on [0, 1]"
    if run.likelihood not in ("gaussian", "laplace") or run.dispersion is None:
        return ""
    sigma = run.figures.get("implied_sigma", _sigma_of(run.likelihood, run.dispersion[0]))
    text, rmse = run.pixels.verdict(sigma), run.figures.get("rmse", sigma)
    if run.likelihood == "gaussian" and not 0.9 < rmse / sigma < 1.1:
        sure = "surer of its pixels than it may be" if rmse > sigma else "less sure of its pixels than it could be"
        text += f"\nThe RMSE is {rmse / sigma:.2f} σ: the density is {sure}; φ = RMSE² = {number(rmse**2)} would fit."
    return text.strip()


def _command(run: Run) -> str:
    """To be pasted into a terminal, so that words of the shell's in it are none."""
    with suppress(ValueError):
        return shlex.join(shlex.split(str(run.facts.get("command", ""))))
    return ""
