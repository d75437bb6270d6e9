"""The figure of σ over the root mean square error, while runs were trained."""

from collections.abc import Sequence
from typing import Any

import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaekl.verbs.report.figures import beta_of, legend_of, series_of
from vaekl.verbs.report.groups import Group
from vaekl.verbs.report.style import GREY, GRID, MOST_PANELS, Colours, hover, panel, plain_ticks
from vaekl.verbs.report.verdict import CALIBRATED

#: of a line
_MOST_POINTS = 400


def calibration(groups: Sequence[Group], colours: Colours, width: float) -> Figure | None:
    """σ/RMSE while it was trained, a line a run; 1 is calibrated."""
    figure, axes = panel(width)
    shown, ends = [], {}
    for group in groups[:MOST_PANELS]:
        for run in group.runs:
            rows = run.train[:: max(1, len(run.train) // _MOST_POINTS)]
            points = [(row["step"], row["implied_sigma"] / row["rmse"]) for row in rows if _has_ratio(row)]
            if len(points) > 1:
                look: Any = {"color": colours.colour(group), "linestyle": colours.dash(group), "alpha": 0.85}
                (line,) = axes.plot(*zip(*points, strict=True), linewidth=1, **look)
                hover(line, f"{run.name}: σ/RMSE = {points[-1][1]:.3f} at step {points[-1][0]:,.0f}")
                shown.append(group)
                ends[group.name] = group, points[-1]
    if not shown:
        return None
    axes.axhspan(*CALIBRATED, color=GRID, linewidth=0, zorder=0)
    axes.axhline(1, color=GREY, linewidth=0.6, zorder=1)
    low, high = axes.get_ylim()
    if low <= 0 or high > 5 * low:
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    axes.set(xlabel="training step", ylabel="σ/RMSE (1 is calibrated)")
    _name_weights(axes, list(ends.values()), colours)
    legend_of(figure, shown, colours, marks=False)
    return figure


def _name_weights(axes: Axes, ends: Sequence[tuple[Group, tuple[float, float]]], colours: Colours) -> None:
    """Beside the last points of a strategy with several effective β_KL, which share a colour, the β_KL of each."""
    several = [series for series in series_of(group for group, _ in ends) if len(series) > 1]
    lowest = float("-inf")
    for group, (step, ratio) in sorted(ends, key=lambda end: end[1][1]):
        height = axes.transData.transform((step, ratio))[1] * 72 / axes.figure.dpi
        # of two that are level only one has room
        if any(group in series for series in several) and beta_of(group) < float("inf") and height > lowest + 7:
            look: dict[str, Any] = {"va": "center", "color": colours.colour(group), "fontsize": 6}
            text, shift = f"β_KL {beta_of(group):.2g}", (3, 0)
            axes.annotate(text, (step, ratio), xytext=shift, textcoords="offset points", annotation_clip=False, **look)
            lowest = height


def _has_ratio(row: dict[str, float]) -> bool:
    return row.get("rmse", 0.0) > 0 and row.get("implied_sigma", 0.0) > 0
