"""`vaekl report`: runs -> one page, a table as text and CSV, and the figures as files."""

from collections import Counter
from pathlib import Path

from vaekl.config import verb_options
from vaekl.system.checks import flag, optional, whole
from vaekl.system.errors import VaeklError
from vaekl.system.files import inner_folder, made_folder, refuse_link, replacing
from vaekl.system.terminal import printable, show
from vaekl.verbs.report.collect import NOT_MEASURED, collect


def main(words: verb_options.Words) -> int:
    """Write the report and name its files; returns the exit code.

    Raises:
        VaeklError: one sentence for a mistake in the words, for paths without runs, and for a folder that cannot be
            written; and, when the page is there, where no finished run could be measured. One run of several that is
            missing, broken or not measured is no error: the report lists it.
    """
    options = words.options
    if words.changes:
        raise VaeklError(f"report shows runs on their own data: leave {' '.join(words.changes)} away.")
    measure = flag(options["measure"], "report.measure")
    count = whole(options["pictures"], "report.pictures")
    seed = whole(options["seed"], "report.seed")
    jobs = optional(whole, options["jobs"], "report.jobs", 1)
    width = str(options["width"])
    if width not in ("column", "page"):
        raise VaeklError(f"report.width must be column or page, not {width!r}.")
    device, output = str(options["device"]), options["output"]
    if output is not None and (not isinstance(output, str | int | float) or not str(output)):
        raise VaeklError(f"report.output must be a folder, not {output!r}.")
    first = words.runs[0].parent if words.runs[0].is_file() else words.runs[0]
    folder = first / "report" if output is None else Path(str(output))
    runs = collect(words.runs)
    if output is None:
        refuse_link(folder)  # one that the user names may be a link
    _writable(folder)
    # torch and matplotlib are only needed once there is something to show
    from vaekl.verbs.report import build

    names = [_folder_name(path) for path in words.runs]
    runs = build.build(names, runs, folder, measure, count, seed, device, jobs, width)
    statuses = Counter(run.status for run in runs)
    counted = ", ".join(f"{number} {status}" for status, number in statuses.items())
    show(f"{len(runs)} run{'s' if len(runs) > 1 else ''}: {counted}")
    for run in runs:
        if not run.finished:
            show(printable(f"  {run.name}: {run.status}: {run.reason}"))
    show(printable(f"  {folder / 'report.html'}"))
    finished = [run for run in runs if run.finished]
    reasons = [run.unmeasured for run in finished if run.unmeasured.startswith(NOT_MEASURED)]
    if reasons and not any(run.evaluation for run in finished):
        raise VaeklError(
            f"of {len(finished)} finished runs none could be measured, so that the page has only what training logged: "
            f"{reasons[0].removeprefix(NOT_MEASURED)}"
        )
    return 0


def _folder_name(path: Path) -> str:
    return (path.parent if path.is_file() else path).resolve().name


def _writable(folder: Path) -> None:
    """Refuse a folder that cannot be written before hours of measuring, not after."""
    made_folder(folder, "folder of the report", "report.output")
    inner_folder(folder / "figures")
    with replacing(folder / ".writable", "report") as partial:
        partial.write_text("")
    (folder / ".writable").unlink()
