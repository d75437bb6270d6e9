"""A suggestion from words to its files."""

from vaekl.store.read import SCHEMA
from vaekl.store.suggest_schema import Suggestion
from vaekl.store.write import record, write_record
from vaekl.suggest import card as cards
from vaekl.suggest.candidates import Candidate, candidates
from vaekl.suggest.findings import Findings
from vaekl.suggest.judge import points
from vaekl.suggest.options import Options
from vaekl.suggest.page import html
from vaekl.suggest.search import Search
from vaekl.suggest.verdict import as_record
from vaekl.system.console import Console
from vaekl.system.files import made_folder, refuse_link, replacing, sole_user
from vaekl.system.places import check_name, check_place
from vaekl.system.terminal import printable
from vaekl.verbs.audit.densities import SQUARE


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
    refuse_link(folder)
    check_name(folder)
    check_place(folder, "suggestion", "output_dir")
    made_folder(folder, "suggestion", "output_dir")
    with sole_user(folder):
        console.print(printable(f"suggestion  {folder}"))
        search = Search(options, folder, console)
        look, verdict, base = search.run()
        curves = {}
        squares = None
        shown = [*candidates(look, options.latents), *(result.candidate for result in verdict.results)]
        for one in shown:
            if curve := points(folder / one.folder(0)):
                curves[one.label] = curve
                if _is_plain_square(one):
                    squares = (one, curve[max(curve)])
        findings = Findings(
            look=look,
            verdict=verdict,
            base=base,
            aim=options.aim,
            budget=options.budget,
            seconds=search.seconds,
            folder=folder,
            words=options.words,
            whole=max(cost.steps for cost in search.state.costs.values()),
            squares=squares,
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


def _is_plain_square(one: Candidate) -> bool:
    """Whether it is a model of squared errors with one φ for all values."""
    return one.likelihood == SQUARE.likelihood and not any("scale=" in word or "per=" in word for word in one.words)
