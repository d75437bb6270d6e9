"""The figures of a report; each strategy has one colour in all of them."""

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

import matplotlib
import matplotlib.lines
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaekl.verbs.report.groups import COLUMNS, Group, example_of
from vaekl.verbs.report.measure import Theory
from vaekl.verbs.report.style import (  # fmt: skip
    GREY,
    LIGHT,
    MOST_PANELS,
    PALETTE,
    WIDTH,
    Colours,
    label_axes,
    lighter,
    new_panels,
    plain_ticks,
    wrapped,
)

_MOST_POINTS = 400
#: lines of a legend that fit under every figure, and inches of each further one
_LEGEND_LINES, _LEGEND_LINE = 3, 0.2


def rate_distortion(groups: Sequence[Group], colours: Colours) -> Figure | None:
    """A panel for each set of runs whose ELBOs can be compared."""
    classes: dict[str, list[Group]] = {}
    for group in groups:
        if group.counted:
            classes.setdefault(group.counted[0].density, []).append(group)
    if not classes:
        return None
    columns = min(2, len(classes))
    rows = -(-len(classes) // columns)
    width = WIDTH if columns == 2 else 6.6
    figure, panels = new_panels(rows, columns, (width, (3.5 if columns == 2 else 4.4) * rows + 0.5))
    for axes, (words, members) in zip(panels, classes.items(), strict=False):
        for series in _series(members):
            _points(axes, series, colours, "distortion_nats", "rate_nats")
        _widened(axes)
        iso_lines(axes)
        axes.set_title(wrapped(words, 50 if columns == 2 else 76, ", "), fontsize=8.5)
    unit = f"nats per {example_of(groups)}"
    label_axes(panels, columns, len(classes), f"distortion D = E/φ − ln C, {unit}", f"rate R = KL, {unit}")
    _legend(figure, groups, colours)
    return figure


def iso_lines(axes: Axes, count: int = 6) -> list[float]:
    """Lines of equal ELBO, R = −ELBO − D, over what is in view; returns their ELBOs."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    bottom = max(0.0, bottom)
    ticks = matplotlib.ticker.MaxNLocator(count).tick_values(-(right + top), -(left + bottom))
    # a line that only cuts off the right corner has no room for its label
    corner = right - 0.08 * (right - left)
    inside = [float(elbo) for elbo in ticks if -(corner + top) < elbo < -(left + bottom)]
    for elbo in inside:
        axes.plot([left, right], [-elbo - left, -elbo - right], color=LIGHT, linewidth=0.8, zorder=0, gid="iso")
        # the label is at the end of the line that is at the top or on the left
        x, y = (-elbo - top, top) if -elbo - top >= left else (left, -elbo - left)
        text, shift = f" {elbo:,.5g}".replace("-", "−"), (2, -1 if y == top else 2)
        look: dict[str, Any] = {"va": "top" if y == top else "bottom", "color": "#7d848a", "fontsize": 7.5}
        axes.annotate(text, (x, y), xytext=shift, textcoords="offset points", annotation_clip=False, **look)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    return inside


def _widened(axes: Axes, least: float = 20.0) -> None:
    """Make the view at least so many nats wide and high, since one point has no extent; no rate is below 0."""
    for ends, limit in ((axes.get_xlim(), axes.set_xlim), (axes.get_ylim(), axes.set_ylim)):
        extra = max(0.0, least - (ends[1] - ends[0])) / 2
        limit(ends[0] - extra, ends[1] + extra)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(-0.03 * top, bottom), top)


def against_beta(groups: Sequence[Group], theories: Sequence[Theory], colours: Colours) -> Figure | None:
    """ELBO and bits/dim of every strategy on the one axis of effective β_KL, which is logarithmic: 0 is not on it."""
    shown = [
        group for group in groups if group.counted and (beta := group.stats["effective_beta_kl"]) and beta.mean > 0
    ]
    if not shown:
        return None
    rulers = [group for group in shown if group.stats["ruler_bits_per_dim"]]
    figure, panels = new_panels(2 if rulers else 1, 1, (WIDTH, 6.6 if rulers else 3.9), sharex=True)
    for axes, key, members in zip(panels, ("elbo_nats", "ruler_bits_per_dim"), (shown, rulers), strict=False):
        for series in _series(members):
            _points(axes, series, colours, "effective_beta_kl", key)
        axes.set_xscale("log")
        plain_ticks(axes.xaxis)
        axes.grid(axis="y", color="#eceef0", linewidth=0.8)
        axes.set_axisbelow(True)
    betas = [stat.mean for group in shown if (stat := group.stats["effective_beta_kl"])]
    low, high = min(betas) / 1.8, max(betas) * 1.8
    for theory, dash in zip(theories, cycle(("-", "-.", ":"))):
        phi, train, test = theory_line(theory, low, high)
        panels[0].plot(phi, test, color="black", linewidth=1.2, linestyle=dash, zorder=1, label=f"exact: {theory.name}")
        panels[0].plot(phi, train, color=LIGHT, linewidth=1.2, linestyle=dash, zorder=1)
    panels[0].set_ylabel(f"test ELBO, nats per {example_of(groups)}")
    if rulers:
        panels[1].set_ylabel("fair ruler, bits/dim")
    for axes in panels:
        axes.set_xlim(low, high)
    panels[-1].set_xlabel("effective β_KL, the KL's weight over the energy's (= φ · λ)")
    figure.align_ylabels()
    _legend(figure, shown, colours, [*panels[0].get_legend_handles_labels()[0]])
    return figure


def theory_line(theory: Theory, low: float, high: float, count: int = 200) -> tuple[list[float], ...]:
    """φ from low to high, and the exact ELBO there on the training and on the test images."""
    phi = np.geomspace(low, high, count).tolist()
    return phi, [theory.train_elbo(value) for value in phi], [theory.test_elbo(value) for value in phi]


def sigma(groups: Sequence[Group], colours: Colours) -> Figure | None:
    """Implied σ and RMSE while they were trained, a panel a group."""
    shown = [group for group in groups if any(run.train for run in group.runs)][:MOST_PANELS]
    if not shown:
        return None
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    size = (max(2.8 * columns, 4.6), 2.1 * rows + 0.8)
    figure, panels = new_panels(rows, columns, size, sharex=True, sharey=True)
    for axes, group in zip(panels, shown, strict=False):
        looks: tuple[tuple[str, Any], ...] = (
            ("rmse", {"color": GREY, "linestyle": (0, (3, 1.5))}),
            ("implied_sigma", {"color": colours.colour(group)}),
        )
        for run in group.runs:
            rows_of = run.train[:: max(1, len(run.train) // _MOST_POINTS)]
            steps = [row["step"] for row in rows_of]
            for key, how in looks:
                values = [row.get(key, np.nan) for row in rows_of]
                axes.plot(steps, values, linewidth=1.3, alpha=0.8, **how)
        axes.set_yscale("log")
        axes.set_title(wrapped(group.label, 30), fontsize=8.5, color=colours.colour(group))
        plain_ticks(axes.yaxis)
    label_axes(panels, columns, len(shown), "training step", "implied σ, RMSE")
    lines = [matplotlib.lines.Line2D([], [], color=PALETTE[0]), matplotlib.lines.Line2D([], [], color=GREY, ls="--")]
    words = ["implied σ (in the strategy's colour)", "RMSE of the density's mean"]
    figure.legend(lines, words, loc="outside lower center", ncols=min(2, columns))
    return figure


def kl_spectrum(groups: Sequence[Group], colours: Colours) -> Figure | None:
    """KL of each latent, largest first; the mean over seeds of the sorted ones."""
    spectra = [(group, spectrum) for group in groups if (spectrum := mean_spectrum(group))]
    if not spectra:
        return None
    figure, (axes,) = new_panels(1, 1, (WIDTH, 4.4))
    count: dict[str, int] = {}
    members: dict[str, int] = {}
    for group, _ in spectra:
        members[group.strategy] = members.get(group.strategy, 0) + 1
    for group, spectrum in sorted(spectra, key=lambda pair: _beta(pair[0])):
        place = count[group.strategy] = count.get(group.strategy, -1) + 1
        # groups of one strategy go from its colour towards white as β_KL rises
        shade = lighter(colours.colour(group), 0.65 * place / max(1, members[group.strategy] - 1))
        ranks = range(1, len(spectrum) + 1)
        axes.plot(ranks, spectrum, marker=colours.marker(group), ms=3.5, lw=1.3, color=shade, label=group.label)
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(bottom=0)
    axes.set(xlabel="latent, sorted by its KL", ylabel=f"KL, nats per {example_of(groups)}")
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.grid(axis="y", color="#eceef0", linewidth=0.8)
    if len(spectra) <= MOST_PANELS:
        figure.legend(loc="outside lower center", ncols=1 if max(len(g.label) for g, _ in spectra) > 50 else 2)
    return figure


def mean_spectrum(group: Group) -> list[float]:
    """Sorted per-latent KL, nats, averaged over seeds."""
    spectra = []
    for run in group.counted:
        if values := run.test.kl_per_latent_nats:
            spectra.append(sorted(values, reverse=True))
    if not spectra or len({len(spectrum) for spectrum in spectra}) > 1:
        return []
    mean: list[float] = np.mean(spectra, 0).tolist()
    return mean


def _series(groups: Iterable[Group]) -> list[list[Group]]:
    series: dict[str, list[Group]] = {}
    for group in groups:
        series.setdefault(group.series, []).append(group)
    return [sorted(members, key=_beta) for members in series.values()]


def _beta(group: Group) -> float:
    stat = group.stats["effective_beta_kl"]
    return stat.mean if stat else float("inf")


def _points(axes: Axes, series: Sequence[Group], colours: Colours, x: str, y: str) -> None:
    """A curve through means with standard errors, its runs as faint dots, and a star where φ was learned."""
    stats = [(group, a, b) for group in series if (a := group.stats[x]) and (b := group.stats[y])]
    if not stats:
        return
    colour, marker = colours.colour(series[0]), colours.marker(series[0])
    xs, ys = [a.mean for _, a, _ in stats], [b.mean for _, _, b in stats]
    axes.plot(xs, ys, color=colour, linewidth=1.4, zorder=2)
    errors: Any = {"xerr": [a.error or 0.0 for _, a, _ in stats], "yerr": [b.error or 0.0 for _, _, b in stats]}
    axes.errorbar(xs, ys, **errors, fmt="none", ecolor=colour, elinewidth=1.2, capsize=2, zorder=2)
    by_key = {column.key: column for column in COLUMNS}
    for group, a, b in stats:
        pairs = [(by_key[x].of(run), by_key[y].of(run)) for run in group.counted]
        kept = [(a, b) for a, b in pairs if a is not None and b is not None]
        axes.scatter([x for x, _ in kept], [y for _, y in kept], s=9, color=colour, alpha=0.45, linewidths=0, zorder=2)
        look: Any = {"marker": colours.star(group), "s": 150} if group.calibrated else {"marker": marker, "s": 38}
        axes.scatter([a.mean], [b.mean], color=colour, edgecolors="white", linewidths=0.8, zorder=3, **look)


def _legend(figure: Figure, groups: Sequence[Group], colours: Colours, more: Sequence[Any] = ()) -> None:
    handles, line = [], matplotlib.lines.Line2D
    for series in _series(group for group in groups if group.counted):
        first = series[0]
        star = first.calibrated
        look: dict[str, Any] = (
            {"marker": colours.star(first), "ms": 11} if star else {"marker": colours.marker(first), "ms": 6}
        )
        name = colours.name(first) + (" (φ from the data)" if star else "")
        handles.append(line([], [], color=colours.colour(first), lw=1.4, mec="white", label=name, **look))
    handles += more
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    columns = 1 if longest > 55 else 2 if longest > 30 else 3
    # below the first lines, which every figure has room for, each takes some of its own
    figure.set_figheight(figure.get_figheight() + _LEGEND_LINE * max(0, -(-len(handles) // columns) - _LEGEND_LINES))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
