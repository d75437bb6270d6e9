"""The forecast as a picture: the spectrum, probabilistic PCA's noise, and what each β_KL cuts off."""

from math import log
from pathlib import Path

from vaekl.system.errors import VaeklError
from vaekl.verbs.audit.prediction import Forecast

_KEPT, _LOST, _NOISE = "#1f5fa8", "#b8bec6", "#c0392b"


def draw(forecast: Forecast, path: Path) -> None:
    """Write a PNG.

    Raises:
        VaeklError: if matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise VaeklError("matplotlib is missing: `pip install matplotlib`, and audit again.") from error

    values = [value for value in forecast.eigenvalues if value > 0]
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(xscale="log", yscale="log", xlabel="index i of the eigenvalue", ylabel="eigenvalue λᵢ, and φ = β_KL")
    axes.set_title(f"{forecast.dataset} ({forecast.protocol}): which of {forecast.latents} linear latents survive")
    ranks = range(1, len(values) + 1)
    most = forecast.latents
    axes.plot(ranks[most:], values[most:], ".", color=_LOST, label="beyond the latents")
    axes.plot(ranks[:most], values[:most], "o", color=_KEPT, label=f"the first {most}: survive while λ > φ")
    if forecast.noise_variance > 0:
        text = f"probabilistic PCA's φ = {forecast.noise_variance:.4g}"
        axes.axhline(forecast.noise_variance, color=_NOISE, linewidth=1.5, label=text)
    # a little air on the right: β_KL's lines end there and their labels begin
    right = len(values) * 1.15
    axes.set_xlim(0.9, right)
    # what lies far below every φ is rounding or empty border, and would press the rest together
    lowest = min([row.beta_kl for row in forecast.rows] + [forecast.noise_variance or values[-1]])
    highest = max([row.beta_kl for row in forecast.rows] + [values[0]])
    axes.set_ylim(max(values[-1], lowest / 30) * 0.8, highest * 1.6)
    rows = sorted(forecast.rows, key=lambda row: -row.beta_kl)
    low, high = axes.get_ylim()
    heights = _apart([log(row.beta_kl / low) / log(high / low) for row in rows])
    for row, height in zip(rows, heights, strict=True):
        axes.axhline(row.beta_kl, color="black", linewidth=0.6, linestyle=":")
        axes.annotate(
            f"β = {row.beta_kl:.3g}: {row.survivors} survive",
            (right, row.beta_kl),
            xytext=(1.04, height),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": "#777777", "relpos": (0, 0.5)},
        )
    axes.legend(loc="lower left", fontsize=8)
    figure.savefig(path, format="png", dpi=130)


def _apart(heights: list[float]) -> list[float]:
    """Falling heights in [0, 1] pushed down until labels at them do not lie on each other."""
    gap = min(0.042, 1 / max(1, len(heights)))
    placed: list[float] = []
    for height in heights:
        placed.append(min(height, placed[-1] - gap) if placed else height)
    lift = max(0.0, -placed[-1]) if placed else 0.0
    return [height + lift for height in placed]
