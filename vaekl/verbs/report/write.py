"""Numbers as they are printed, `runs.csv` and `report.md`."""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from vaekl.system.terminal import printable, printable_lines
from vaekl.verbs.report.collect import Run
from vaekl.verbs.report.groups import COLUMNS, Column, Group, Stat, swept

NONE = "–"


def number(value: float, digits: int) -> str:
    """A number with so many digits after the point, a true minus sign, and commas between thousands."""
    return f"{value:,.{digits}f}".replace("-", "−")


def cell(column: Column, stat: Stat | None) -> tuple[str, str]:
    """Mean, and ± its standard error; both as text."""
    if stat is None:
        return ("not measured" if column.key == "ruler_bits_per_dim" else NONE), ""
    if column.key in ("effective_beta_kl", "information_weight"):
        # from 0.0001 to 1000; of a weight that the config fixes the error is rounding
        fixed = stat.error is None or stat.error <= 1e-6 * abs(stat.mean)
        return f"{stat.mean:.4g}", "" if fixed else f"± {stat.error:.1g}"
    places = 0 if column.key == "active_units" and stat.n == 1 else column.digits
    return number(stat.mean, places), "" if stat.error is None else f"± {number(stat.error, places)}"


def ruler_words(group: Group) -> str:
    """What stands where there is no figure on the ruler."""
    evaluated = [run for run in group.counted if run.evaluation is not None]
    return "none" if evaluated else "not measured" if group.counted else NONE


def counted(group: Group) -> str:
    """How many runs the figures are of."""
    return (
        f"{len(group.counted)}"
        if len(group.counted) == len(group.runs)
        else f"{len(group.counted)} of {len(group.runs)}"
    )


def runs_csv(runs: Sequence[Run], groups: Sequence[Group]) -> str:
    """A row for each run, also those without figures; figures have all their digits."""
    of = {run.path: group for group in groups for run in group.runs}
    out = io.StringIO()
    keys = swept(groups)
    head = ["run", "status", "reason", "group", *keys, "seed", "counted", "strategy", "step", "data", "density"]
    figures = [column.key for column in COLUMNS]
    more = ["implied_sigma", "rmse", "dispersion", "energy_nats", "log_norm_const_nats", "bits_per_dim_from_elbo"]
    writer = csv.writer(out, lineterminator="\n")
    head += [*figures, *more, "iwae_k", "iwae_nats", "parameters", "unmeasured", "command", "revision"]
    writer.writerow(map(_in_a_cell, head))
    for run in runs:
        group = of.get(run.path)
        settings = [group.settings[key] if group else "" for key in keys]
        row: list[Any] = [run.name, run.status, run.reason, group.name if group else "", *settings, run.seed]
        row += [group is not None and run in group.counted, run.strategy if run.config else ""]
        done = run.finished
        row += [run.results.step if run.results else None, run.integers if done else "", run.density if done else ""]
        row += [column.of(run) if done else None for column in COLUMNS]
        row += [getattr(run.test, key) if done else None for key in (*more[:-1], "bits_per_dim")]
        bound = run.evaluation.iwae[-1] if run.evaluation else None
        row += [bound and bound.k, bound and bound.nats, group.parameters if group and done else None, run.unmeasured]
        row += [run.command, run.facts.git_revision if run.facts else None]
        writer.writerow(map(_in_a_cell, row))
    return out.getvalue()


def _in_a_cell(value: Any) -> Any:
    """Text without control characters, marked as text where a spreadsheet would take it for a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    if text.startswith(("=", "+", "-", "@")):
        try:
            float(text)
        except ValueError:
            return f"'{text}"
    return text


def markdown(
    title: str,
    lead: str,
    groups: Sequence[Group],
    sections: dict[str, list[str]],
    commands: dict[str, str],
    figures: dict[str, str],
) -> str:
    """The report as Markdown.

    Args:
        title: the heading.
        lead: the sentence below it.
        groups: rows of the table.
        sections: headings and their lines.
        commands: that trained the runs, by name; they are below the last section, as they are typed.
        figures: captions by the figure's name.
    """
    keys = swept(groups) or ["runs"]
    head = [*keys, "n", *(column.title for column in COLUMNS), "parameters"]
    lines = [
        f"# {plain(title)}",
        "",
        plain(lead),
        "",
        _line([plain(title) for title in head]),
        _line(["---"] * len(keys) + ["---:"] * (len(head) - len(keys))),
    ]
    for group in groups:
        cells = [plain(str(value)) for value in group.settings.values()] or ["all runs"]
        cells.append(counted(group))
        for column in COLUMNS:
            mean, error = cell(column, group.stats[column.key])
            mean = ruler_words(group) if mean == "not measured" else mean
            shown = f"**{plain(mean)}**" if column.key in group.best else plain(mean)
            cells.append(f"{shown} {error}".strip())
        cells.append(f"{group.parameters:,}" if group.parameters else NONE)
        lines.append(_line(cells))
    for heading, content in sections.items():
        lines += ["", f"## {heading}", "", *(f"- {plain(line)}" for line in content)]
    for name, command in commands.items():
        lines += ["", plain(name), "", *(f"    {line}" for line in printable_lines(command).splitlines())]
    lines += ["", "## Figures"]
    for name, caption in figures.items():
        lines += ["", f"![{name}](figures/{name}.png)", "", plain(caption)]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    escaped = " ".join(printable(text).translate(_ESCAPED).split())
    # else a bullet, a number of a list or a line below a heading
    return re.sub(r"^(\d+(?=[.)](?: |$)))|^(?=[-+=])", r"\1\\", escaped)


_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]|#~$"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
