"""The curves of a report, each one panel; a strategy has one colour and one mark in all of them."""

from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import Any

import matplotlib
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vaekl.verbs.report.collect import Run
from vaekl.verbs.report.groups import COLUMNS, Group, example_of
from vaekl.verbs.report.measure import Theory
from vaekl.verbs.report.style import (  # fmt: skip
    GREY,
    INK,
    LIGHT,
    MOST_PANELS,
    Colours,
    hover,
    legend,
    new_figure,
    panel,
    plain_ticks,
    wrapped,
)

_COLUMNS = {column.key: column for column in COLUMNS}


def comparable(groups: Sequence[Group], of: Callable[[Run], str]) -> dict[str, list[Group]]:
    """Groups whose figures can be compared with each other, by what makes them so."""
    classes: dict[str, list[Group]] = {}
    for group in groups:
        if group.counted:
            classes.setdefault(of(group.counted[0]), []).append(group)
    return classes


def has_curve(group: Group) -> bool:
    """Whether a multi-rate run was measured at several rates."""
    return any(run.evaluation and run.evaluation.curve for run in group.counted)


def rate_distortion(groups: Sequence[Group], colours: Colours, width: float) -> Figure | None:
    """R against D of groups whose ELBOs can be compared; a single point is no figure."""
    if len(groups) < 2 and not any(map(has_curve, groups)):
        return None
    figure, axes = panel(width)
    for series in series_of(groups):
        _points(axes, series, colours, "distortion_nats", "rate_nats")
    view = axes.get_xlim(), axes.get_ylim()
    for series in series_of(groups):
        _curves(axes, series, colours)
    if len(groups) > 1:
        _within(axes, *view)
    _widened(axes)
    iso_lines(axes)
    unit = f"nats per {example_of(groups)}"
    axes.set_xlabel(f"distortion D, {unit}")
    axes.set_ylabel(f"rate R, {unit}")
    legend_of(figure, groups, colours)
    return figure


def _curves(axes: Axes, series: Sequence[Group], colours: Colours) -> None:
    """What each multi-rate run reaches at each θ = φ · λ."""
    for group in series:
        for run in group.counted:
            points = sorted((run.evaluation and run.evaluation.curve) or [], key=lambda point: point.theta)
            if not points:
                continue
            look: Any = {"color": colours.colour(group), "linestyle": colours.dash(group), "linewidth": 0.9}
            axes.plot([p.distortion_nats for p in points], [p.rate_nats for p in points], zorder=2, gid="curve", **look)
            for point in points:
                (dot,) = axes.plot([point.distortion_nats], [point.rate_nats], ".", ms=4, color=look["color"], zorder=3)
                hover(
                    dot,
                    f"{run.name}, θ = {point.theta:.4g}: R = {point.rate_nats:.4g}, D = {point.distortion_nats:.5g}, "
                    f"ELBO = {point.elbo_nats:.5g} nats",
                )


def _within(axes: Axes, horizontal: tuple[float, float], vertical: tuple[float, float]) -> None:
    """Leave out of view what is further from the groups than they are from each other: a curve's ends may be far."""
    for (low, high), ends, limit in (
        (horizontal, axes.get_xlim(), axes.set_xlim),
        (vertical, axes.get_ylim(), axes.set_ylim),
    ):
        limit(max(ends[0], 2 * low - high), min(ends[1], 2 * high - low))


def iso_lines(axes: Axes, count: int = 5) -> list[float]:
    """Lines of equal ELBO, R = −ELBO − D, over what is in view; returns their ELBOs."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    bottom = max(0.0, bottom)
    ticks = matplotlib.ticker.MaxNLocator(count).tick_values(-(right + top), -(left + bottom))
    # a line that only cuts off the right corner has no room for its label
    corner = right - 0.12 * (right - left)
    inside = [float(elbo) for elbo in ticks if -(corner + top) < elbo < -(left + bottom)]
    for elbo in inside:
        axes.plot([left, right], [-elbo - left, -elbo - right], color=LIGHT, linewidth=0.6, zorder=0, gid="iso")
        # the label is at the end of the line that is at the top or on the left
        x, y = (-elbo - top, top) if -elbo - top >= left else (left, -elbo - left)
        text, shift = f" {elbo:,.5g}".replace("-", "−"), (1, -1 if y == top else 2)
        look: dict[str, Any] = {"va": "top" if y == top else "bottom", "color": GREY, "fontsize": 6}
        axes.annotate(text, (x, y), xytext=shift, textcoords="offset points", annotation_clip=False, **look)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    return inside


def _widened(axes: Axes, least: float = 1.0) -> None:
    """Make the view at least so many nats wide and high, since equal points have no extent; no rate is below 0."""
    for ends, limit in ((axes.get_xlim(), axes.set_xlim), (axes.get_ylim(), axes.set_ylim)):
        extra = max(0.08 * (ends[1] - ends[0]), (least - (ends[1] - ends[0])) / 2)
        limit(ends[0] - extra, ends[1] + extra)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(-0.03 * top, bottom), top)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(matplotlib.ticker.MaxNLocator(5))


def ranking(groups: Sequence[Group], colours: Colours, width: float) -> Figure | None:
    """Bits/dim on the fair ruler of groups on the same integers, best on top, with the run of each seed."""
    shown = [(group, stat) for group in groups if (stat := group.stats["ruler_bits_per_dim"])][:MOST_PANELS]
    if len(shown) < 2:
        return None
    names = [wrapped(group.label, 24 if width < 5 else 60) for group, _ in shown]
    figure, axes = new_figure(width, 0.55 + sum(0.09 + 0.115 * (1 + name.count("\n")) for name in names))
    for place, (group, stat) in enumerate(shown):
        for run in group.counted:
            if (bits := _COLUMNS["ruler_bits_per_dim"].of(run)) is not None:
                (dot,) = axes.plot([bits], [place], "|", ms=5, mew=0.8, color=colours.colour(group), zorder=2)
                hover(dot, f"{run.name}: {bits:.4f} bits/dim")
        look: Any = {"ecolor": colours.colour(group), "elinewidth": 1.1, "capsize": 2, "zorder": 2}
        axes.errorbar([stat.mean], [place], xerr=[stat.error or 0.0], fmt="none", **look)
        (mark,) = axes.plot([stat.mean], [place], zorder=3, linestyle="", **colours.mark(group))
        hover(mark, f"{group.name}: {stat.mean:.4f}{_error(stat.error, 4)} bits/dim, n = {stat.n}")
    axes.set_yticks(range(len(shown)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
    axes.grid(axis="x")
    axes.set_xlabel("fair ruler, bits/dim (lower is better)")
    return figure


def elbo_against_beta(
    groups: Sequence[Group], theories: Sequence[Theory], colours: Colours, width: float
) -> Figure | None:
    """ELBO of groups that can be compared; a curve needs two effective β_KL, or an exact line beside it."""
    shown = _on_axis(groups, "elbo_nats")
    if not shown or not (theories or _any_curve(shown)):
        return None
    figure, axes = _against_beta(shown, "elbo_nats", colours, width)
    low, high = axes.get_xlim()
    lines = []
    for theory, dash in zip(theories, cycle(("-", "-.", ":"))):
        phi, train, test = theory_line(theory, low, high)
        axes.plot(phi, train, color=LIGHT, linewidth=1, linestyle=dash, zorder=1)
        name = f"exact: {theory.name}"
        lines += axes.plot(phi, test, color=INK, linewidth=1, linestyle=dash, zorder=1, label=name)
    axes.set_ylabel(f"test ELBO, nats per {example_of(groups)}")
    legend_of(figure, shown, colours, lines)
    return figure


def bits_against_beta(groups: Sequence[Group], colours: Colours, width: float) -> Figure | None:
    """Bits/dim on the fair ruler of groups on the same integers."""
    shown = _on_axis(groups, "ruler_bits_per_dim")
    if not _any_curve(shown):
        return None
    figure, axes = _against_beta(shown, "ruler_bits_per_dim", colours, width)
    axes.set_ylabel("fair ruler, bits/dim")
    legend_of(figure, shown, colours)
    return figure


def _on_axis(groups: Iterable[Group], key: str) -> list[Group]:
    """Those with the figure and a place on a logarithmic axis, on which 0 is not."""
    return [group for group in groups if group.stats[key] and 0 < beta_of(group) < float("inf")]


def _any_curve(groups: Iterable[Group]) -> bool:
    return any(beta_of(series[-1]) > 1.01 * beta_of(series[0]) for series in series_of(groups))


def _against_beta(groups: Sequence[Group], key: str, colours: Colours, width: float) -> tuple[Figure, Axes]:
    figure, axes = panel(width)
    for series in series_of(groups):
        _points(axes, series, colours, "effective_beta_kl", key)
    axes.set_xscale("log")
    axes.set_xlim(min(map(beta_of, groups)) / 1.8, max(map(beta_of, groups)) * 1.8)
    plain_ticks(axes.xaxis)
    axes.grid(axis="y")
    axes.set_xlabel("effective β_KL = φ · λ")
    return figure, axes


def theory_line(theory: Theory, low: float, high: float, count: int = 200) -> tuple[list[float], ...]:
    """φ from low to high, and the exact ELBO there on the training and on the test images."""
    phi = np.geomspace(low, high, count).tolist()
    return phi, [theory.train_elbo(value) for value in phi], [theory.test_elbo(value) for value in phi]


def series_of(groups: Iterable[Group]) -> list[list[Group]]:
    """The groups of each curve, in the order of their effective β_KL."""
    series: dict[str, list[Group]] = {}
    for group in groups:
        series.setdefault(group.series, []).append(group)
    return [sorted(members, key=beta_of) for members in series.values()]


def beta_of(group: Group) -> float:
    """The effective β_KL; infinite where there is none."""
    stat = group.stats["effective_beta_kl"]
    return stat.mean if stat else float("inf")


def _error(error: float | None, digits: int) -> str:
    return "" if error is None else f" ± {error:.{digits}f}"


def _points(axes: Axes, series: Sequence[Group], colours: Colours, x: str, y: str) -> None:
    """A curve through means with standard errors, and its runs as faint dots."""
    stats = [(group, a, b) for group in series if (a := group.stats[x]) and (b := group.stats[y])]
    if not stats:
        return
    colour = colours.colour(series[0])
    xs, ys = [a.mean for _, a, _ in stats], [b.mean for _, _, b in stats]
    axes.plot(xs, ys, color=colour, linestyle=colours.dash(series[0]), zorder=2)
    errors: Any = {"xerr": [a.error or 0.0 for _, a, _ in stats], "yerr": [b.error or 0.0 for _, _, b in stats]}
    axes.errorbar(xs, ys, **errors, fmt="none", ecolor=colour, elinewidth=0.9, capsize=1.5, zorder=2)
    for group, a, b in stats:
        for run in group.counted:
            one, other = _COLUMNS[x].of(run), _COLUMNS[y].of(run)
            if one is not None and other is not None:
                (dot,) = axes.plot([one], [other], ".", ms=3, color=colour, alpha=0.45, mew=0, zorder=2)
                hover(dot, f"{run.name}: {_COLUMNS[x].title} {one:.5g}, {_COLUMNS[y].title} {other:.6g}")
        (mark,) = axes.plot([a.mean], [b.mean], zorder=3, linestyle="", **colours.mark(group))
        words = [f"{_COLUMNS[key].title} {stat.mean:.6g}{_error(stat.error, 3)}" for key, stat in ((x, a), (y, b))]
        hover(mark, f"{group.name}: {', '.join(words)}, n = {b.n}")


def legend_of(
    figure: Figure, groups: Sequence[Group], colours: Colours, more: Sequence[Line2D] = (), marks: bool = True
) -> None:
    """A legend of the curves of groups, and of more lines."""
    handles = []
    for series in series_of(groups):
        first = series[0]
        look = colours.mark(first) if marks else {"color": colours.colour(first)}
        handles.append(Line2D([], [], label=colours.name(first), linestyle=colours.dash(first), **look))
    legend(figure, [*handles, *more])
