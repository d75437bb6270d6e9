"""The parts of a report put together and written."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

from vaekl.system.files import replacing
from vaekl.verbs.report import dispersions, figures, measure, prose, style
from vaekl.verbs.report.collect import Run
from vaekl.verbs.report.groups import Group, example_of, grouped
from vaekl.verbs.report.page import Picture, html
from vaekl.verbs.report.write import markdown, runs_csv


def build(
    names: Sequence[str],
    runs: Sequence[Run],
    folder: Path,
    measuring: bool,
    count: int,
    seed: int,
    device: str,
    jobs: int | None,
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

    Returns:
        The runs as they were measured.
    """
    if measuring:
        runs = measure.measured(runs, device, jobs)
    groups = grouped(runs)
    shown = measure.load_groups(groups, count, seed, device) if count else measure.Shown()
    groups = measure.with_parameters(groups, shown.parameters)
    colours = style.Colours(groups)
    pictures = _pictures(groups, shown, colours, seed)
    title, lead = f"vaekl report: {', '.join(names)}", prose.lead(groups, runs)
    notes, facts = prose.notes(groups), prose.facts(runs)
    failures = [{"name": run.name, "status": run.status, "reason": run.reason} for run in runs if not run.finished]
    remarks = prose.remarks(groups, runs, shown.failures)
    words = {"notes": notes, "failures": failures, "remarks": remarks, "facts": facts}
    noise = dispersions.rows_of(groups)
    page = html(title, lead, groups, runs, noise, pictures, colours, words)
    sections = {
        "Notes": notes,
        **({"Dispersion of each column or channel": [_in_words(row) for row in noise]} if noise else {}),
        "Failures": [f"{one['name']}: {one['status']}: {one['reason']}" for one in failures] + remarks or ["None."],
        "What was run": [f"{name}: {value}" for name, values in facts.items() for value in values]
        + [f"{run.name}: {run.command}" for run in runs if run.command],
    }
    text = markdown(title, lead, groups, sections, {picture.name: picture.caption for picture in pictures})
    files = {f"figures/{picture.name}.{kind}": picture.files[kind] for picture in pictures for kind in picture.files}
    files |= {"runs.csv": runs_csv(runs, groups).encode(), "report.md": text.encode(), "report.html": page.encode()}
    for name, content in files.items():
        with replacing(folder / name, "report") as partial:
            partial.write_bytes(content)
    # figures of an earlier report that this one does not have
    for old in (folder / "figures").iterdir():
        if old.stem in prose.captions([], 0, 0, "") and f"figures/{old.name}" not in files:
            old.unlink()
    return list(runs)


def _in_words(row: dispersions.Row) -> str:
    group, channel, kind, phi, sigma = row.words
    return f"{group}: {channel}{f' ({kind})' if kind else ''}: φ = {phi}, implied σ in its own unit = {sigma}"


def _pictures(groups: Sequence[Group], shown: measure.Shown, colours: style.Colours, seed: int) -> list[Picture]:
    drawn = []
    with matplotlib.rc_context(style.STYLE):
        figures_by_name = {
            "rate_distortion": figures.rate_distortion(groups, colours),
            "against_beta": figures.against_beta(groups, shown.theories, colours),
            "sigma": figures.sigma(groups, colours),
            "kl_spectrum": figures.kl_spectrum(groups, colours),
            "samples_mean": style.pictures(shown.rows, "means"),
            "samples_draw": style.pictures(shown.rows, "draws"),
            "reconstructions": style.pictures(shown.rows, "reconstructions"),
            "latent_planes": style.planes(shown.rows),
        }
        for name, (section, caption) in prose.captions(shown.theories, len(groups), seed, example_of(groups)).items():
            if (figure := figures_by_name[name]) is not None:
                # the page shows curves as vectors and images as pixels
                kind = "png" if section == prose.PICTURES else "svg"
                both = {ending: style.rendered(figure, ending) for ending in ("png", "svg")}
                drawn.append(Picture(name, section, caption, kind, both))
    return drawn
