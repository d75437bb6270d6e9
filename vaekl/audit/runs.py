"""The card of a run, from the files in its folder: neither its data nor its weights are needed."""

import csv
import json
import re
from dataclasses import dataclass
from math import log, pi
from pathlib import Path
from typing import Any

from vaekl import __version__, folder
from vaekl.audit.card import gaussian_verdict, in_grey_levels, lines, number
from vaekl.errors import VaeklError

_METRICS = "metrics.csv"
_ENERGY = {
    "gaussian": "½(x − μ)²",
    "laplace": "|x − μ|",
    "bernoulli": "softplus(a) − a x",
    "cb": "softplus(a) − a x",
    "beta": "−(α−1) ln x − (β−1) ln(1−x)",
    "categorical": "−ln softmax(a)[x]",
}
_CONSTANT = {"gaussian": "−½ ln(2πφ)", "laplace": "−ln(2φ)", "cb": "ln(a / tanh(a/2)) at φ = 1", "beta": "−ln B(α, β)"}
_SCALES = ("gaussian", "laplace")
_DISCRETE = ("bernoulli", "categorical")


@dataclass(frozen=True)
class Run:
    """What a run folder says of the run.

    Args:
        path: the folder.
        config: its resolved config.
        figures: measured last: of the test if the run is finished, else the last row of metrics.csv; may be empty.
        where: where the figures are from, in words.
        protocol: what was done to the data, if the run is finished.
        resolved: the weighting that `auto` took.
    """

    path: Path
    config: dict[str, Any]
    figures: dict[str, float]
    where: str
    protocol: str
    resolved: str

    @property
    def likelihood(self) -> str:
        """The family's name; that of the class for one of the user's."""
        name = str(self.config["choices"].get("likelihood") or "")
        return name if name in _ENERGY else str(self.config["likelihood"]["_target_"]).split(".")[-1]

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
    config = folder.config(path)
    if not isinstance(config["choices"], dict) or not all(
        isinstance(config.get(group), dict) and "_target_" in config[group] for group in ("likelihood", "weighting")
    ):
        raise VaeklError(f"{path / folder.CONFIG} lacks the likelihood or the weighting: restore it, or train afresh.")
    results = folder.results(path)
    chosen = str(config["choices"].get("weighting"))
    likelihood = str(config["choices"].get("likelihood"))
    taken = {"gaussian": "learned_precision", "laplace": "learned_precision", "cb": "cb_normalizer"}
    if results is not None:
        figures = {name: value for name, value in results.get("test", {}).items() if isinstance(value, float | int)}
        where = f"test, step {results.get('step', 0):,}"
        protocol, resolved = str(results.get("protocol", {}).get("data", "")), str(results.get("weighting", chosen))
    else:
        figures, where = _last_row(path / _METRICS)
        protocol = ""
        resolved = taken.get(likelihood, "fixed_dispersion") if chosen == "auto" else chosen
    return Run(path, config, figures, where, protocol, resolved)


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
    return figures, f"{_METRICS}, last row: {row['split']}, step {row['step']}"


def values_per_image(run: Run) -> int | None:
    """N, which the config does not hold, from figures that are proportional to it; None where there are none.

    The Gaussian's ln C is −(N/2) ln(2πφ) and the Laplace's −N ln(2φ), with the geometric mean of φ where there are
    several; else bits/dim is −ELBO/(N ln 2), plus log2 K for data that were dequantized from K levels.
    """
    figures, found = run.figures, 0.0
    if run.likelihood in _SCALES and {"dispersion", "log_norm_const_nats"} <= figures.keys():
        phi = figures["dispersion"]
        each = -0.5 * log(2 * pi * phi) if run.likelihood == "gaussian" else -log(2 * phi)
        found = figures["log_norm_const_nats"] / each if each else 0.0
    elif {"bits_per_dim", "elbo_nats"} <= figures.keys():
        levels = re.search(r"^dequantized \(k \+ U\)/(\d+)$", run.protocol)
        if levels or run.likelihood in _DISCRETE:
            each = figures["bits_per_dim"] * log(2) - (log(int(levels[1])) if levels else 0.0)
            found = -figures["elbo_nats"] / each if each else 0.0
    whole = round(found)
    # a training row's ln C is an average over steps in which φ moved: then there is no whole number
    return whole if whole > 0 and abs(found - whole) < 1e-3 * whole else None


def _head(run: Run) -> str:
    choices = run.config["choices"]
    data = f"{choices.get('dataset')}" + (f", {run.protocol}" if run.protocol else "")
    size = values_per_image(run)
    shape = f", N = {size:,} values an image" if size else ""
    return f"{choices.get('model')}, Z = {run.latents} latents; {data}{shape}"


def _loss(run: Run) -> str:
    energy = _ENERGY.get(run.likelihood, "E(x, η)")
    schedule = str(run.config["choices"].get("schedule") or "constant")
    kl = "KL" if schedule == "constant" else f"schedule={schedule} · KL"
    weighting = str(run.config["choices"].get("weighting"))
    taken = f"weighting={weighting}" + (f" → {run.resolved}" if run.resolved != weighting else "")
    if run.resolved == "fixed_beta" and run.dispersion:
        text = f"Σ [{energy}] + {number(run.dispersion[0])} · {kl}"
    else:
        constant = _CONSTANT.get(run.likelihood, "" if run.likelihood in _DISCRETE else "ln C(η, φ)")
        text = f"Σ [{energy}]/φ" + (f" − Σ [{constant}]" if constant else "") + f" + {kl}"
    return f"{text}, averaged over images\n({taken})"


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
        text = in_grey_levels(run.figures["implied_sigma"])
        if "rmse" in run.figures:
            text += f", beside an RMSE of {run.figures['rmse']:.4g}"
        if run.protocol == "as stored":
            text += ", if the data span [0, 1]"
        return f"{text}   ({run.where})"
    if run.dispersion and run.likelihood in _SCALES:
        return in_grey_levels(_sigma_of(run.likelihood, run.dispersion[0]))
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
    size = values_per_image(run)
    return text + (f"; normalised β_KL · Z/N = {number(beta * run.latents / size)}" if size and run.latents else "")


def _dropped(run: Run) -> str:
    constant = run.figures.get("log_norm_const_nats")
    amount = f"{number(constant)} nats per image   ({run.where})" if constant is not None else "not measured yet"
    phi = run.dispersion[0] if run.dispersion else None
    if run.resolved != "fixed_beta":
        return f"nothing; ln C = {amount}" if constant else "nothing"
    if run.likelihood in _DISCRETE and phi == 1:
        return "nothing: at φ = 1 the distribution already sums to 1"
    text = f"ln C = {amount}"
    if run.likelihood in _SCALES:
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
    if run.likelihood not in _SCALES or run.dispersion is None:
        return ""
    sigma = run.figures.get("implied_sigma", _sigma_of(run.likelihood, run.dispersion[0]))
    text, rmse = gaussian_verdict(sigma), run.figures.get("rmse", sigma)
    if run.likelihood == "gaussian" and not 0.9 < rmse / sigma < 1.1:
        sure = "surer of its pixels than it may be" if rmse > sigma else "less sure of its pixels than it could be"
        text += f"\nThe RMSE is {rmse / sigma:.2f} σ: the density is {sure}; φ = RMSE² = {number(rmse**2)} would fit."
    return text


def _command(run: Run) -> str:
    try:
        content = json.loads((run.path / folder.VERSIONS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(content.get("command", "")) if isinstance(content, dict) else ""
