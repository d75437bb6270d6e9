"""What the figures of a report share: colours, markers, axes, labels, files."""

import io
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import matplotlib
import matplotlib.colors
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from vaekl.verbs.audit.spectrum import Vector
from vaekl.verbs.report.groups import Group
from vaekl.verbs.report.measure import Row

#: the palette of Okabe and Ito without its yellow and black: distinct for every kind of colour vision
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
GREY, LIGHT = "#555555", "#c4c8cc"
#: matplotlib's settings while a report is drawn, set by `matplotlib.rc_context`
STYLE: Any = {
    # its defaults, not those of a `matplotlibrc`, which in somebody else's folder could start LaTeX
    **{key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")},
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "text.parse_math": False,  # a run's name is no formula
    "svg.hashsalt": "vaekl",
    "figure.dpi": 100,
}
WIDTH = 8.4
MOST_PANELS = 24


class Colours:
    """The colour of each strategy, and the marker of each curve of it."""

    def __init__(self, groups: Sequence[Group]) -> None:
        strategies = list(dict.fromkeys(group.strategy for group in sorted(groups, key=lambda g: g.strategy)))
        self._colour = dict(zip(strategies, islice(cycle(PALETTE), len(strategies)), strict=True))
        series = list(dict.fromkeys((group.strategy, group.series) for group in groups))
        count: dict[str, int] = {}
        self._marker = {}
        for strategy, name in series:
            # strategies that share a colour, since there are more of them than colours, have different markers
            lap = strategies.index(strategy) // len(PALETTE)
            self._marker[name] = MARKERS[(count.get(strategy, 0) + lap) % len(MARKERS)]
            count[strategy] = count.get(strategy, 0) + 1
        self._alone = {strategy for strategy, number in count.items() if number == 1}

    def name(self, group: Group) -> str:
        """What the legend calls the group's curve: its strategy, unless that has several curves."""
        return group.strategy if group.strategy in self._alone else group.series

    def colour(self, group: Group) -> str:
        """The colour of the group's strategy."""
        return self._colour[group.strategy]

    def marker(self, group: Group) -> str:
        """The marker of the group's curve."""
        return self._marker[group.series]

    def star(self, group: Group) -> tuple[int, int, float]:
        """A star instead, for a curve whose φ is from the data, as matplotlib's (points, style, angle)."""
        return ((5, 1, 0.0), (4, 1, 0.0), (6, 1, 0.0), (8, 1, 0.0))[MARKERS.index(self.marker(group)) % 4]


def pictures(rows: Sequence[Row], what: str) -> Figure | None:
    """A row of images a group; reconstructions begin with a row of inputs for each data set."""
    rows = rows[:MOST_PANELS]
    lines: list[tuple[str, Any]] = []
    for data in dict.fromkeys(row.data for row in rows):
        members = [row for row in rows if row.data == data]
        if what == "reconstructions":
            lines.append((f"test {members[0].example}s of {data}", members[0].inputs))
        lines += [(row.group, getattr(row, what)) for row in members]
    if not lines:
        return None
    columns = max(len(images) for _, images in lines)
    each, label = min(0.68, 6.8 / columns), 2.9
    figure = Figure(figsize=(label + each * columns, each * len(lines) + 0.05))
    FigureCanvasAgg(figure)
    width, height = figure.get_size_inches()
    for index, (name, images) in enumerate(lines):
        top = 1 - (index + 1) * each / height
        text = wrapped(name, 40)
        figure.text((label - 0.1) / width, top + each / 2 / height, text, ha="right", va="center", fontsize=8)
        for place, image in enumerate(images):
            corner = ((label + place * each) / width, top, 0.95 * each / width, 0.95 * each / height)
            axes = figure.add_axes(corner)
            axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
    return figure


def planes(rows: Sequence[Row]) -> Figure | None:
    """For each group where the test examples lie in a plane of two latents, beside what is decoded from it."""
    shown = [row for row in rows[:MOST_PANELS] if row.plane is not None]
    if not shown:
        return None
    lines, side = -(-len(shown) // 2), WIDTH / 4
    figure, panels = new_panels(lines, 4, (WIDTH, (side + 0.35) * lines))
    for place, row in enumerate(shown):
        points, decoded = panels[2 * place : 2 * place + 2]
        plane = row.plane
        if plane is not None:
            draw_points(points, plane.points, plane.labels, plane.latents, size=3, named=False)
            decoded.imshow(plane.decoded, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        points.set_title(wrapped(row.group, 44), fontsize=8)
        decoded.set_axis_off()
    for axes in panels[2 * len(shown) :]:
        axes.remove()
    return figure


def draw_points(
    axes: Axes, points: Vector, labels: Vector | None, latents: tuple[int, int], size: float = 9, named: bool = True
) -> None:
    """Points [N, 2] in a plane of two latents, by label, with circles at 1 and 2 standard deviations of the prior."""
    for radius in (1, 2):
        axes.add_patch(Circle((0, 0), radius, fill=False, color=LIGHT, linewidth=0.8))
    classes = [] if labels is None else np.unique(labels).tolist()
    if not classes or len(classes) > 3 * len(PALETTE):
        colour = GREY if labels is None else labels
        axes.scatter(points[:, 0], points[:, 1], s=size, c=colour, cmap="viridis", linewidths=0, rasterized=True)
    for place, label in enumerate(classes if len(classes) <= 3 * len(PALETTE) else []):
        marker, colour = "o^s"[place // len(PALETTE)], PALETTE[place % len(PALETTE)]
        of_class = points[labels == label]
        right, up = of_class.T
        axes.scatter(right, up, s=size, c=colour, marker=marker, linewidths=0, label=str(label), rasterized=True)
    if classes and axes.get_legend_handles_labels()[0] and named:
        axes.legend(title="label", markerscale=2, fontsize=8, ncols=1 + len(classes) // 12)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"z{latents[0]}", fontsize=8)
    axes.set_ylabel(f"z{latents[1]}", fontsize=8)


def rendered(figure: Figure, kind: str) -> bytes:
    """A figure as the content of a png or svg file; the same figure gives the same bytes."""
    out = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": "vaekl"}
    figure.savefig(out, format=kind, dpi=160, metadata=metadata, facecolor="white")
    return out.getvalue()


def new_panels(
    rows: int, columns: int, size: tuple[float, float], sharex: bool = False, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, row by row."""
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey).flat)


def label_axes(panels: Sequence[Axes], columns: int, used: int, x: str, y: str) -> None:
    """Label the axes at the left and lower edge of a grid of panels, and remove panels that are not used."""
    for place, axes in enumerate(panels):
        if place >= used:
            axes.remove()
            continue
        if place % columns == 0:
            axes.set_ylabel(y, fontsize=9.5)
        if place + columns >= used:
            axes.set_xlabel(x, fontsize=9.5)
            axes.tick_params(labelbottom=True)


def plain_ticks(axis: Axis) -> None:
    """Label a logarithmic axis with 0.01 instead of powers of ten, and with 2 and 5 times that where it is short."""
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1.0,)))
    axis.set_minor_locator(matplotlib.ticker.LogLocator(subs=tuple(range(2, 10))))
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))

    def minor(value: float, _: int | None = None) -> str:
        low, high = axis.get_view_interval()
        first = f"{value:.0e}"[0]
        return f"{value:g}" if high < 60 * low and first in ("2", "5") else ""

    axis.set_minor_formatter(matplotlib.ticker.FuncFormatter(minor))
    axis.set_tick_params(which="minor", labelsize=axis.get_major_ticks()[0].label1.get_fontsize())


def wrapped(text: str, width: int, between: str = " ") -> str:
    """Text broken at `between` into at most four lines; a word that is longer than a line is cut."""
    lines: list[str] = []
    for word in text.split(between):
        word = word if len(word) <= width else word[: width - 1] + "…"
        if lines and len(lines[-1]) + len(between) + len(word) <= width:
            lines[-1] += between + word
        else:
            lines.append(word)
    return "\n".join(lines if len(lines) <= 4 else [*lines[:3], lines[3] + " …"])


def lighter(colour: str, share: float) -> tuple[float, ...]:
    """A mixture of a colour and white, whose share this is; red, green and blue from 0 to 1."""
    red, green, blue = matplotlib.colors.to_rgb(colour)
    return tuple(part + (1 - part) * share for part in (red, green, blue))
