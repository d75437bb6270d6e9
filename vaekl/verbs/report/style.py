"""What the figures of a report share: colours, marks, sizes, axes, labels, files."""

import io
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import matplotlib
import matplotlib.ticker
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vaekl.system.terminal import printable
from vaekl.verbs.report.groups import Group
from vaekl.verbs.report.vector import HOVER, vector

#: the palette of Okabe and Ito without its yellow and black, and a violet: distinct for every kind of colour vision;
#: the first ones differ most in greyscale too, and marks and dashes tell all of them apart
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#7a5195", "#cc79a7")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.3)), (0, (6, 1.5, 1.4, 1.5)), (0, (3, 3)))
INK, GREY, LIGHT, GRID, PAPER = "#1b1f23", "#5c6670", "#c4c8cc", "#e6e9eb", "#ffffff"
#: what stands for each colour on a page in dark mode
DARK = {
    **{INK: "#e3e7ea", GREY: "#a7b0b8", LIGHT: "#545d66", GRID: "#2b3137", PAPER: "#15181b"},
    **dict(zip(PALETTE, ("#4aa8e8", "#f2b632", "#2fc79a", "#f08a3c", "#8ccbf2", "#b08ccb", "#e39cc4"), strict=True)),
}
#: inches: a column of a paper with two, and a page
WIDTHS = {"column": 3.25, "page": 6.75}
#: matplotlib's settings while a report is drawn, set by `matplotlib.rc_context`
STYLE: Any = {
    # its defaults, not those of a `matplotlibrc`, which in somebody else's folder could start LaTeX
    **{key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")},
    "font.size": 8,
    **dict.fromkeys(("axes.titlesize", "axes.labelsize"), 8),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize", "legend.title_fontsize"), 7),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width", "grid.linewidth"), 0.6),
    **dict.fromkeys(("xtick.minor.width", "ytick.minor.width"), 0.4),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 3),
    **dict.fromkeys(("xtick.minor.size", "ytick.minor.size"), 1.5),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=[INK]),
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "text.parse_math": False,  # a run's name is no formula
    "svg.hashsalt": "vaekl",
    "svg.fonttype": "none",  # letters stay letters
    "pdf.fonttype": 42,  # many publishers take no others
    "figure.dpi": 100,
}
MOST_PANELS = 24
#: the same at every time, so that the same figure gives the same file
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Creator": "vaekl", "Producer": "vaekl"},
    "png": {"Software": "vaekl"},
}
#: inches of a line of a legend
_LEGEND_LINE = 0.165


class Colours:
    """The colour, the mark and the dashes of each strategy, and those of its further curves."""

    def __init__(self, groups: Sequence[Group]) -> None:
        strategies = sorted({group.strategy for group in groups})
        self._colour = dict(zip(strategies, islice(cycle(PALETTE), len(strategies)), strict=True))
        self._marker, self._dash = {}, {}
        count: dict[str, int] = {}
        for strategy, name in dict.fromkeys((group.strategy, group.series) for group in groups):
            # more strategies than colours, and further curves of one, differ in their marks
            place = strategies.index(strategy)
            number = count[strategy] = count.get(strategy, -1) + 1
            self._marker[name] = MARKERS[(place + place // len(PALETTE) + number) % len(MARKERS)]
            self._dash[name] = DASHES[(place + number) % len(DASHES)]
        self._alone = {strategy for strategy, number in count.items() if number == 0}

    def name(self, group: Group) -> str:
        """What the legend calls the group's curve: its strategy, unless that has several curves."""
        return group.strategy if group.strategy in self._alone else group.series

    def colour(self, group: Group) -> str:
        """The colour of the group's strategy."""
        return self._colour[group.strategy]

    def marker(self, group: Group) -> str:
        """The marker of the group's curve."""
        return self._marker[group.series]

    def dash(self, group: Group) -> Any:
        """The line style of the group's curve."""
        return self._dash[group.series]

    def mark(self, group: Group) -> dict[str, Any]:
        """How the group's points are drawn, as keywords of a line: filled where φ is from the data, else open."""
        colour = self.colour(group)
        face = colour if group.calibrated else PAPER
        return {"marker": self.marker(group), "color": colour, "mfc": face, "mec": colour, "mew": 1.1, "ms": 5}


def hover(artist: Artist, text: str) -> None:
    """What a browser shows while the pointer is on it."""
    artist.set_gid(HOVER + printable(text))


def rendered(figure: Figure, kind: str) -> bytes:
    """A figure as the content of a png, svg or pdf file; the same figure gives the same bytes."""
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=300, metadata=_METADATA[kind], facecolor=PAPER if kind == "png" else "none")
    return vector(out.getvalue()) if kind == "svg" else out.getvalue()


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def panel(width: float) -> tuple[Figure, Axes]:
    """A figure of one panel, as wide as a column or a page."""
    return new_figure(width, 2.15 if width < 5 else 3.0)


def legend(figure: Figure, handles: Sequence[Any]) -> None:
    """A legend below the axes, which keep their room."""
    if not handles:
        return
    letters = figure.get_figwidth() * 15.5  # that fit in a line of this size
    for handle in handles:
        handle.set_label(shortened(printable(str(handle.get_label())), int(letters) - 8))
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(4, len(handles), int(letters // (longest + 7))))
    figure.set_figheight(figure.get_figheight() + _LEGEND_LINE * -(-len(handles) // columns) + 0.1)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


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


def shortened(text: str, most: int) -> str:
    """At most so many letters; the middle is left out of what is longer.

    >>> shortened("likelihood=gaussian", 11)
    'likel…ssian'
    """
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"
