"""A suggestion from words to its files."""

from collections.abc import Sequence

from vaekl.run import build_data
from vaekl.store.read import SCHEMA
from vaekl.store.suggest_schema import Suggestion
from vaekl.store.write import record, write_record
from vaekl.suggest import card as cards
from vaekl.suggest.candidates import Candidate, candidates, squared_errors, without_constant
from vaekl.suggest.findings import Findings
from vaekl.suggest.judge import points
from vaekl.suggest.options import Options
from vaekl.suggest.page import html
from vaekl.suggest.search import Search
from vaekl.suggest.verdict import Result, as_record
from vaekl.system.console import Console
from vaekl.system.files import own_folder, refuse_link, replacing
from vaekl.system.places import check_name, check_place
from vaekl.system.terminal import printable


def suggest(options: Options, console: Console | None = None) -> Suggestion:
    """Train what is planned, and say what is best; the same words go on where they were stopped.

    Args:
        options: what was typed.
        console: where it speaks; None for the terminal.

    Raises:
        VaeklError: the data cannot be read, or the budget is too small.
        StoppedError: after a signal.
    """
    console, folder = console or Console(), options.folder.absolute()
    check_name(folder, "output_dir")
    refuse_link(folder)
    check_place(folder, "suggestion", "output_dir")
    with own_folder(folder, "suggestion", "output_dir"):
        console.print(printable(f"suggestion  {folder}"))
        search = Search(options, folder, console)
        with build_data.shared():
            look, verdict, usual = search.run()
        shown = [*candidates(look, options.latents), *(result.candidate for result in verdict.results)]
        curves = {one.label: curve for one in shown if (curve := points(folder / one.folder(0)))}
        others = [*usual.values(), *verdict.results[1:]]
        findings = Findings(
            look=look,
            verdict=verdict,
            base=_of(others, without_constant(look, 0)),
            aim=options.aim,
            budget=options.budget,
            seconds=search.seconds,
            folder=folder,
            words=options.words,
            whole=max(cost.steps for cost in search.state.costs.values()),
            squares=_of(others, squared_errors(look, 0)),
            tried={label: curve[max(curve)].nats for label, curve in curves.items()},
            not_tried=search.not_tried,
        )
        text = cards.card(findings)
        content = cards.record(findings) | {
            "card": text.replace("\n", " ⏎ "),
            "finalists": as_record(verdict, findings.bits),
        }
        made = record(Suggestion, content, "suggest.json")
        made.schema = SCHEMA
        write_record(folder / "suggest.json", made)
        with replacing(folder / "suggest.html", "page") as partial:
            partial.write_text(html(findings, text, curves), encoding="utf-8")
        console.print(printable(""))
        for line in text.splitlines():
            console.print(printable(line))
        console.print(printable(f"\n  {folder / 'suggest.html'}".strip("\n")))
        return made


def _of(results: Sequence[Result], wanted: Candidate | None) -> Result | None:
    """The result of a candidate, whatever the number of its latents."""
    words = None if wanted is None else wanted.words
    return next((result for result in results if result.candidate.words == words), None)
