"""`suggest.html`: the card, the curves of all candidates, and what does not fit, in one file that needs no other."""

import base64
import hashlib
import io
from importlib.resources import files
from math import log, prod

import jinja2
import matplotlib
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vaekl import __version__
from vaekl.store.suggest_schema import Point
from vaekl.suggest.card import Findings
from vaekl.system.terminal import printable
from vaekl.verbs.report.style import GREY, PALETTE, STYLE

_KEPT = {"go on with it", "train it", "in PyTorch"}


def html(found: Findings, card: str, curves: dict[str, dict[int, Point]]) -> str:
    """The page.

    Args:
        found: what the card is made of.
        card: its text.
        curves: of the first seed of each candidate, by its label.
    """
    style = (files("vaekl.verbs.report") / "page.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, finalize=_shown
    )
    unit = "bits/dim" if found.bits is not None else "nats"
    tried = sorted(found.tried.items(), key=lambda pair: -pair[1])
    picture = base64.b64encode(_curves(found, curves)).decode("ascii")
    return environment.from_string((files("vaekl.suggest") / "page.html").read_text(encoding="utf-8")).render(
        title=f"vaekl suggest: {found.look.name}, for {found.aim}",
        lead=f"{found.look.train:,} {found.look.example}s of {'×'.join(map(str, found.look.shape))}, judged on "
        f"{found.look.valid:,} others; {found.seconds:.0f} s of a budget of {found.budget:.0f} s.",
        version=__version__,
        # only files of this package are not escaped
        style=Markup(style),
        style_hash=f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode('ascii')}",
        rows=_rows(card),
        code=_KEPT,
        picture=f"data:image/svg+xml;base64,{picture}",
        caption=f"Bound on validation {found.look.example}s, {unit}, of the first seed of each candidate. Candidates "
        "that ended early were worse than those that went on.",
        unit=unit,
        tried=[(label, f"{_scaled(found, nats):,.4g}") for label, nats in tried],
        unfit=list(found.look.unfit.items()),
    )


def _rows(card: str) -> list[tuple[str, list[str]]]:
    """The entries of a card and the lines of each."""
    rows: list[tuple[str, list[str]]] = []
    for line in card.splitlines():
        name, text = line[2:17].strip(), line[17:]
        if name:
            rows.append((name, [text]))
        elif rows:
            rows[-1][1].append(text)
    return rows


def _scaled(found: Findings, nats: float) -> float:
    return -nats / (prod(found.look.shape) * log(2)) if found.look.ruler else nats


def _curves(found: Findings, curves: dict[str, dict[int, Point]]) -> bytes:
    with matplotlib.rc_context(STYLE):
        figure = Figure((8.4, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        named = [result.candidate.label for result in found.verdict.results]
        for label, known in curves.items():
            place = named.index(label) if label in named else None
            colour = GREY if place is None else PALETTE[place % len(PALETTE)]
            steps = sorted(known)
            axes.plot(
                steps,
                [_scaled(found, known[step].nats) for step in steps],
                marker="o",
                markersize=3,
                color=colour,
                alpha=0.4 if place is None else 1.0,
                linewidth=1 if place is None else 2,
                label=None if place is None else label,
                zorder=1 if place is None else 3,
            )
        axes.set_xscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel("bits/dim, lower is better" if found.bits is not None else "nats, higher is better")
        axes.legend()
        target = io.BytesIO()
        figure.savefig(target, format="svg", metadata={"Date": None})
        return target.getvalue()


def _shown(value: object) -> object:
    """Texts without control characters, which are then escaped; markup as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
