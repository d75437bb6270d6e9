"""`report.html`: one file that needs no other; all text from runs is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from vaekl.system.checks import is_number
from vaekl.verbs.report.collect import Run
from vaekl.verbs.report.dispersions import HEADS, Row
from vaekl.verbs.report.frame import asset, page
from vaekl.verbs.report.groups import COLUMNS, Column, Group, swept
from vaekl.verbs.report.style import DARK, PALETTE, Colours
from vaekl.verbs.report.vector import inlined
from vaekl.verbs.report.write import NONE, cell, counted, number, ruler_words


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Args:
        name: of its file, without an ending.
        section: the heading that it stands under.
        title: its own heading.
        caption: what it shows, with units and protocol.
        drawing: the SVG that is a part of the page.
        files: content by ending.
    """

    name: str
    section: str
    title: str
    caption: str
    drawing: bytes
    files: dict[str, bytes]

    @property
    def shown(self) -> dict[str, Any]:
        """What the page's template gets of it."""
        # the parts of the drawing that are text were escaped when it was written
        drawing = Markup(inlined(self.drawing, f"{self.name}-", f"{self.title}: {self.caption}"))
        return {"title": self.title, "caption": self.caption, "drawing": drawing, "name": self.name}


@dataclass(frozen=True)
class Cell:
    """One cell of a table: its text, and the value that sorting looks at; empty for none."""

    text: str
    value: str
    numeric: bool = False
    error: str = ""
    best: bool = False
    swatch: str = ""
    code: bool = False


def html(
    title: str,
    lead: str,
    groups: Sequence[Group],
    runs: Sequence[Run],
    dispersions: Sequence[Row],
    pictures: Sequence[Picture],
    colours: Colours,
    words: dict[str, Any],
) -> str:
    """The page.

    Args:
        title: the heading.
        lead: the sentence below it.
        groups: rows of the first table, in order.
        runs: rows of the last table.
        dispersions: rows of the table of columns and channels that have a φ of their own.
        pictures: in order; those of one section follow each other.
        colours: of the strategies.
        words: verdict, notes, failures (runs), remarks and facts.
    """
    style = asset("page.css") + _colours()
    sections: dict[str, list[dict[str, Any]]] = {}
    for picture in pictures:
        sections.setdefault(picture.section, []).append(picture.shown)
    return page(
        asset("page.html"),
        style,
        asset("page.js"),
        title=title,
        lead=lead,
        heads=_heads(groups),
        groups=[_group_row(group, colours) for group in groups],
        figures=[{"title": name, "figures": shown} for name, shown in sections.items()],
        run_heads=[{"title": name, "numeric": name in ("seed", "step", "s")} for name in _RUN_HEADS],
        runs=[_run_row(run) for run in runs],
        dispersion_heads=[{"title": name, "numeric": place > 2} for place, name in enumerate(HEADS)],
        dispersions=[_dispersion_row(row) for row in dispersions],
        **words,
    )


def _colours() -> str:
    """Rules for the colours of strategies in the table, and for those of the drawings in dark mode."""
    swatches = [f".c{place} {{ background: {tint}; }}" for place, tint in enumerate(PALETTE)]
    dark = [f"svg [{key}='{tint}'] {{ {key}: {other}; }}" for tint, other in DARK.items() for key in ("fill", "stroke")]
    dark += [f".c{place} {{ background: {DARK[tint]}; }}" for place, tint in enumerate(PALETTE)]
    return "\n".join(["", *swatches, "@media screen and (prefers-color-scheme: dark) {", *dark, "}", ""])


_RUN_HEADS = ("run", "status", "seed", "step", "s", "revision", "ruler", "command")


def _heads(groups: Sequence[Group]) -> list[dict[str, Any]]:
    if not groups:
        return []
    keys = swept(groups) or ["runs"]
    numeric = [
        bool(groups[0].settings) and all(_is_number_or_empty(group.settings[key]) for group in groups) for key in keys
    ]
    heads = [{"title": key, "numeric": n, "figure": False} for key, n in zip(keys, numeric, strict=True)]
    titles = ("n", *(column.title for column in COLUMNS), "parameters")
    return heads + [{"title": title, "numeric": True, "figure": True} for title in titles]


def _is_number_or_empty(value: Any) -> bool:
    return value == "" or is_number(value)


def _group_row(group: Group, colours: Colours) -> list[Cell]:
    swatch = f"c{PALETTE.index(colours.colour(group))}"
    row = [Cell(str(value), str(value), _is_number_or_empty(value)) for value in group.settings.values()]
    row = row or [Cell("all runs", "all runs")]
    row[0] = Cell(row[0].text, row[0].value, row[0].numeric, swatch=swatch)
    row.append(Cell(counted(group), str(len(group.counted)), True))
    row += [_figure(column, group) for column in COLUMNS]
    size = group.parameters
    row.append(Cell(f"{size:,}" if size else NONE, str(size or ""), True))
    return row


def _figure(column: Column, group: Group) -> Cell:
    stat = group.stats[column.key]
    text, error = cell(column, stat)
    if stat is None:
        return Cell(ruler_words(group) if column.key == "ruler_bits_per_dim" else text, "", True)
    return Cell(text, repr(stat.mean), True, error, column.key in group.best)


def _dispersion_row(row: Row) -> list[Cell]:
    *texts, phi, sigma = row.words
    numbers = ((phi, row.dispersion), (sigma, row.implied_sigma))
    return [Cell(text, text) for text in texts] + [Cell(words, repr(stat.mean), True) for words, stat in numbers]


def _run_row(run: Run) -> list[Cell]:
    step, seconds, seed = run.results.step if run.results else None, run.seconds, run.seed
    ruler = "measured" if run.evaluation else run.unmeasured or NONE
    if run.evaluation and run.evaluation.ruler is None:
        ruler = f"none: {run.evaluation.protocol.ruler}"
    revision = (run.facts.git_revision if run.facts else None) or NONE
    return [
        Cell(run.name, run.name),
        Cell(run.status, run.status),
        Cell(NONE if seed is None else str(seed), "" if seed is None else str(seed), True),
        Cell(NONE if step is None else f"{step:,}", str(step or ""), True),
        Cell(number(seconds, 1) if seconds else NONE, repr(seconds) if seconds else "", True),
        Cell(revision[:10] + "+" * revision.endswith("+"), revision, code=True),
        Cell(ruler, ruler),
        Cell(run.command or NONE, run.command, code=True),
    ]
