"""The parts of a report put together and written."""

import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from vaekl.system.files import replacing
from vaekl.verbs.report import dispersions, figures, images, latent_kl, latex, measure, prose, style
from vaekl.verbs.report.calibration import calibration
from vaekl.verbs.report.collect import Run
from vaekl.verbs.report.groups import Group, example_of, grouped
from vaekl.verbs.report.page import Picture, html
from vaekl.verbs.report.verdict import verdict
from vaekl.verbs.report.write import markdown, runs_csv

#: sets of comparable runs that have figures of their own
_MOST_SETS = 6


def build(
    names: Sequence[str],
    runs: Sequence[Run],
    folder: Path,
    measuring: bool,
    count: int,
    seed: int,
    device: str,
    jobs: int | None,
    width: str = "column",
) -> list[Run]:
    """Measure what is missing, draw, and write every file whole or not at all.

    Args:
        names: of the folders on the command line.
        runs: all runs in them.
        folder: where the report is written.
        measuring: whether finished runs without `eval.json` are measured.
        count: pictures in a row; 0 for none.
        seed: of the pictures.
        device: auto, cpu or cuda.
        jobs: how many runs are measured at the same time; None for as many as the machine allows.
        width: of the figures that are exported, "column" or "page".

    Returns:
        The runs as they were measured.
    """
    if measuring:
        runs = measure.measured(runs, device, jobs)
    groups = grouped(runs)
    shown = measure.load_groups(groups, count, seed, device) if count else measure.Shown()
    groups = measure.with_parameters(groups, shown.parameters)
    colours = style.Colours(groups)
    pictures = _pictures(groups, shown, colours, seed, style.WIDTHS[width])
    title, lead = f"vaekl report: {', '.join(names)}", prose.lead(groups, runs)
    opening, notes, facts = verdict(groups, runs), prose.notes(groups), prose.facts(runs)
    failures = [{"name": run.name, "status": run.status, "reason": run.reason} for run in runs if not run.finished]
    remarks = prose.remarks(groups, runs, shown.failures)
    words = {"verdict": opening, "notes": notes, "failures": failures, "remarks": remarks, "facts": facts}
    noise = dispersions.rows_of(groups)
    page = html(title, lead, groups, runs, noise, pictures, colours, words)
    sections = {
        "Notes": notes,
        **({"Dispersion of each column or channel": [_in_words(row) for row in noise]} if noise else {}),
        "Failures": [f"{one['name']}: {one['status']}: {one['reason']}" for one in failures] or ["None."],
        **({"Remarks": remarks} if remarks else {}),
        "What was run": [f"{name}: {value}" for name, values in facts.items() for value in values],
    }
    commands = {run.name: run.command for run in runs if run.command}
    captions = {picture.name: picture.caption for picture in pictures}
    text = markdown(title, f"{lead} {' '.join(opening)}", groups, sections, commands, captions)
    files = {f"figures/{picture.name}.{kind}": picture.files[kind] for picture in pictures for kind in picture.files}
    files |= {
        "figures/table.tex": latex.table(groups, f"{lead} {latex.TABLE_CAPTION}").encode(),
        "figures/captions.txt": latex.captions(captions).encode(),
        "runs.csv": runs_csv(runs, groups).encode(),
        "report.md": text.encode(),
        "report.html": page.encode(),
    }
    for name, content in files.items():
        with replacing(folder / name, "report") as partial:
            partial.write_bytes(content)
    # figures of an earlier report that this one does not have
    own = {*prose.captions([], 0, 0, ""), "against_beta", "sigma"}
    for old in (folder / "figures").iterdir():
        ours = re.sub(r"_\d+$", "", old.stem) in own and old.suffix in (".png", ".svg", ".pdf")
        if ours and f"figures/{old.name}" not in files:
            old.unlink()
    return list(runs)


def _in_words(row: dispersions.Row) -> str:
    group, channel, kind, phi, sigma = row.words
    return f"{group}: {channel}{f' ({kind})' if kind else ''}: φ = {phi}, implied σ in its own unit = {sigma}"


def _pictures(
    groups: Sequence[Group], shown: measure.Shown, colours: style.Colours, seed: int, width: float
) -> list[Picture]:
    """Each figure in a column's width for the page, and in the width that is exported."""
    drawn = []
    texts = prose.captions(shown.theories, len(groups), seed, example_of(groups))
    with matplotlib.rc_context(style.STYLE):
        narrow = _figures(groups, shown, colours, style.WIDTHS["column"])
        exported = narrow if width == style.WIDTHS["column"] else _figures(groups, shown, colours, width)
        for name, (figure, words) in narrow.items():
            section, title, caption = texts[re.sub(r"_\d+$", "", name)]
            files = {kind: style.rendered(exported[name][0], kind) for kind in ("svg", "pdf", "png")}
            on_page = files["svg"] if exported is narrow else style.rendered(figure, "svg")
            drawn.append(Picture(name, section, title, f"{caption} {words}".strip(), on_page, files))
    return drawn


def _figures(
    groups: Sequence[Group], shown: measure.Shown, colours: style.Colours, width: float
) -> dict[str, tuple[Figure, str]]:
    """The figures by their names, and what makes the runs of each comparable, where that needs to be said."""
    rulers = figures.comparable([group for group in groups if group.stats["ruler_bits_per_dim"]], lambda r: r.integers)
    densities = figures.comparable(groups, lambda run: run.density)
    drawn: dict[str, tuple[Figure, str]] = {}

    def add(name: str, sets: dict[str, Figure | None]) -> None:
        there = {words: figure for words, figure in sets.items() if figure is not None}
        for place, (words, figure) in enumerate(list(there.items())[:_MOST_SETS], 1):
            of = f"Of {words}." if len(sets) > 1 else ""
            drawn[name if place == 1 else f"{name}_{place}"] = figure, of

    add("ruler", {words: figures.ranking(members, colours, width) for words, members in rulers.items()})
    add(
        "rate_distortion",
        {words: figures.rate_distortion(members, colours, width) for words, members in densities.items()},
    )
    add(
        "elbo_against_beta",
        {
            words: figures.elbo_against_beta(
                members, [theory for theory in shown.theories if theory.density == words], colours, width
            )
            for words, members in densities.items()
        },
    )
    add(
        "bits_against_beta",
        {words: figures.bits_against_beta(members, colours, width) for words, members in rulers.items()},
    )
    add("calibration", {"": calibration(groups, colours, width)})
    add("kl_spectrum", {"": latent_kl.kl_spectrum(groups, colours, width)})
    for name, what in (("samples_mean", "means"), ("samples_draw", "draws"), ("reconstructions", "reconstructions")):
        add(name, {"": images.pictures(shown.rows, what, width)})
    add("latent_planes", {"": images.planes(shown.rows, width)})
    return drawn
