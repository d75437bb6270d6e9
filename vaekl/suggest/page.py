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
from vaekl.suggest.findings import Findings
from vaekl.system.terminal import printable
from vaekl.verbs.report.style import GREY, PALETTE, STYLE

_KEPT = {"go on with it", "train it", "in PyTorch"}


def html(findings: Findings, card: str, curves: dict[str, dict[int, Point]]) -> str:
    """The page.

    Args:
        findings: what the card is made of.
        card: its text.
        curves: of the first seed of each candidate, by its label.
    """
    style = (files("vaekl.verbs.report") / "page.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, finalize=_shown
    )
    unit = "bits/dim" if findings.bits is not None else "nats"
    tried = sorted(findings.tried.items(), key=lambda pair: -pair[1])
    picture = base64.b64encode(_curves(findings, curves)).decode("ascii")
    return environment.from_string((files("vaekl.suggest") / "page.html").read_text(encoding="utf-8")).render(
        title=f"vaekl suggest: {findings.look.name}, for {findings.aim}",
        lead=f"{findings.look.train:,} {findings.look.example}s of {'×'.join(map(str, findings.look.shape))}, "
        f"judged on {findings.look.valid:,} others; {findings.seconds:.0f} s of a budget of {findings.budget:.0f} s.",
        version=__version__,
        # only files of this package are not escaped
        style=Markup(style),
        style_hash=f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode('ascii')}",
        rows=_rows(card),
        code=_KEPT,
        picture=f"data:image/svg+xml;base64,{picture}",
        caption=f"Bound on validation {findings.look.example}s, {unit}, of the first seed of each candidate. "
        "Candidates that ended early were worse than those that went on.",
        unit=unit,
        tried=[(label, f"{_scaled(findings, nats):,.4g}") for label, nats in tried],
        unfit=list(findings.look.unfit.items()),
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


def _scaled(findings: Findings, nats: float) -> float:
    return -nats / (prod(findings.look.shape) * log(2)) if findings.look.ruler else nats


def _curves(findings: Findings, curves: dict[str, dict[int, Point]]) -> bytes:
    with matplotlib.rc_context(STYLE):
        figure = Figure((6.75, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        named = [result.candidate.label for result in findings.verdict.results]
        for label, curve in curves.items():
            place = named.index(label) if label in named else None
            colour = GREY if place is None else PALETTE[place % len(PALETTE)]
            steps = sorted(curve)
            axes.plot(
                steps,
                [_scaled(findings, curve[step].nats) for step in steps],
                marker="o",
                markersize=3,
                color=colour,
                alpha=0.4 if place is None else 1.0,
                linewidth=1 if place is None else 2,
                label=None if place is None else label,
                zorder=1 if place is None else 3,
            )
        axes.set_xscale("log")
        shown = sorted({step for curve in curves.values() for step in curve})
        axes.set_xticks(shown[:: max(1, len(shown) // 8)], [f"{step:,}" for step in shown[:: max(1, len(shown) // 8)]])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("step")
        axes.set_ylabel("bits/dim, lower is better" if findings.bits is not None else "nats, higher is better")
        figure.legend(loc="outside lower left")
        target = io.BytesIO()
        figure.savefig(target, format="svg", metadata={"Date": None})
        return target.getvalue()


def _shown(value: object) -> object:
    """Texts without control characters, which are then escaped; markup as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
