"""`suggest.html`: the card, the curves of all candidates, and what does not fit, in one file that needs no other."""

import base64
import io
from math import log, prod

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vaekl.store.suggest_schema import Point
from vaekl.suggest.findings import Findings
from vaekl.verbs.report.frame import asset, page
from vaekl.verbs.report.style import GREY, PALETTE, STYLE

_KEPT = {"go on with it", "train it", "in PyTorch"}


def html(findings: Findings, card: str, curves: dict[str, dict[int, Point]]) -> str:
    """The page.

    Args:
        findings: what the card is made of.
        card: its text.
        curves: of the first seed of each candidate, by its label.
    """
    unit = "bits/dim" if findings.bits is not None else "nats"
    tried = sorted(findings.tried.items(), key=lambda pair: -pair[1])
    picture = base64.b64encode(_curves(findings, curves)).decode("ascii")
    return page(
        asset("page.html", "vaekl.suggest"),
        asset("page.css"),
        title=f"vaekl suggest: {findings.look.name}, for {findings.aim}",
        lead=f"{findings.look.train:,} {findings.look.example}s of {'×'.join(map(str, findings.look.shape))}, "
        f"judged on {findings.look.valid:,} others; {findings.seconds:.0f} s of a budget of {findings.budget:.0f} s.",
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
