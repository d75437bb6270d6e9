"""Small runs to report on, and `vaekl report` typed in a folder."""

import contextlib
import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

from cli_helpers import SMALL, Answer, vaekl

from vaekl.config import verb_options
from vaekl.system.errors import VaeklError
from vaekl.verbs import report

#: names of the runs, and what makes each; two latents and a hidden layer of 16
RUNS = {
    f"{name}_{seed}": (*words, f"seed={seed}")
    for name, words in {
        "beta0.1": ("likelihood=gaussian", "weighting=fixed_beta", "weighting.beta=0.1"),
        "beta1": ("likelihood=gaussian", "weighting=fixed_beta", "weighting.beta=1"),
        "learned": ("likelihood=gaussian", "weighting=learned_precision"),
        "cb": ("likelihood=cb", "weighting=cb_normalizer"),
    }.items()
    for seed in (0, 1)
}


def train(folder: Path, name: str, *words: str) -> Path:
    """A finished run in a folder of that name."""
    answer = vaekl(folder, "train", f"hydra.run.dir={name}", *SMALL, *words)
    assert answer.code == 0, answer.err
    return folder / name


def reported(folder: Path, *words: str) -> Answer:
    """`vaekl report WORDS` typed in a folder."""
    out = io.StringIO()
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out):
            code = report.main(verb_options.parse("report", list(words)))
    except VaeklError as error:
        return Answer(1, out.getvalue(), f"vaekl: {error}\n")
    return Answer(code, out.getvalue(), "")


def table(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of runs.csv by the run's name."""
    with (folder / "runs.csv").open(newline="", encoding="utf-8") as file:
        return {row["run"]: row for row in csv.DictReader(file)}


def load(path: Path) -> dict:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


class Page(HTMLParser):
    """A page's tags, and its tables as rows of (text, data-value, bold)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[tuple[str, str, bool]]]] = {}
        self._table: list[list[tuple[str, str, bool]]] | None = None
        self._cell: list[str] | None = None
        self._value, self._bold = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag == "table":
            self._table = self.tables.setdefault(attributes.get("id") or f"table {len(self.tables)}", [])
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in ("td", "th"):
            self._cell, self._value, self._bold = [], attributes.get("data-value") or "", False
        elif tag == "strong":
            self._bold = True

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._table and self._cell is not None:
            self._table[-1].append((re.sub(r"\s+", " ", "".join(self._cell)).strip(), self._value, self._bold))
            self._cell = None
        elif tag == "table":
            self._table = None


def page(folder: Path) -> Page:
    """report.html."""
    return Page((folder / "report.html").read_text(encoding="utf-8"))
