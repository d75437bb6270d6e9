"""`vaekl eval`: every measure of finished runs, as `eval.json` and a table."""

import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from vaekl.config import trust, verb_options
from vaekl.run.load import load_run
from vaekl.run.own_model import is_own_model, own_model
from vaekl.store import LINKED, RunFolder, find_runs, linked_runs
from vaekl.system.console import Console
from vaekl.system.cores import allowed_cores, memory_kills
from vaekl.system.devices import enough_memory
from vaekl.system.errors import VaeklError, sentence
from vaekl.system.terminal import printable
from vaekl.system.workers import NO_SEMAPHORES, can_start_several, end_with, no_processes
from vaekl.verbs.eval.figures import figures_of
from vaekl.verbs.eval.options import EvalOptions
from vaekl.verbs.eval.table import comparison, run_table, width_for

#: of the tables in a file; a wider terminal is filled, and no figure is cut
_TABLE_WIDTH = 100
#: runs of which the same is said
_NAMED = 5


def main(words: verb_options.Words) -> int:
    """Measure the runs, write `eval.json` into each, print a table; returns the exit code."""
    options = EvalOptions.checked(words.options)
    runs = list(
        dict.fromkeys(run for path in words.runs for run in ([path] if is_own_model(path) else find_runs(path)))
    )
    console = Console()
    console.width = max(console.width, _TABLE_WIDTH)
    for link in (link for path in words.runs if not is_own_model(path) for link in linked_runs(path)):
        console.print(f"{printable(str(link))} is left out: {LINKED}.")
    if len(runs) == 1:
        report = measure_and_write(runs[0], options, words.changes, console)
        table = run_table(report)
        console.print(table, width=width_for(table, console.width))
        _show_left_out([report], console)
        file = _folder(runs[0]).evaluation_file(_label(runs[0], options, words.changes))
        console.print(f"  written     {printable(str(file))}")
        return 0
    jobs, at_a_time = jobs_for(len(runs), options)
    console.print(f"{len(runs)} runs, {at_a_time}")
    answers = measure_all(runs, options, words.changes, jobs)
    reports = [answer for answer in answers if isinstance(answer, dict)]
    if reports:
        for table in comparison(reports, console.width):
            console.print(table, width=width_for(table, console.width))
        for name in dict.fromkeys(report["other_data"] for report in reports if report["other_data"]):
            console.print(f"  other data  {printable(name)}")
        _show_left_out(reports, console)
        for report in (report for report in reports if report["moving"]):
            console.print(f"  {printable(report['run'])}: {report['moving']}.")
    failed: dict[str, list[str]] = {}
    for run, answer in zip(runs, answers, strict=True):
        if isinstance(answer, str):
            failed.setdefault(answer.removesuffix("."), []).append(str(run))
    if failed:
        reasons = [
            f"{', '.join(names[:_NAMED])}{' and others' * (len(names) > _NAMED)}: {reason}"
            for reason, names in failed.items()
        ]
        count = sum(map(len, failed.values()))
        raise VaeklError(f"{count} of {len(runs)} runs could not be measured: {'; '.join(reasons)}.")
    return 0


def jobs_for(runs: int, options: EvalOptions) -> tuple[int, str]:
    """How many runs are measured at a time: `eval.jobs`, or as many as have cores; one on a GPU.

    Returns:
        The number, and the number in words.
    """
    if runs > 1 and not can_start_several():
        return 1, f"1 at a time ({NO_SEMAPHORES})"
    on_gpu = options.device.startswith("cuda") or (options.device == "auto" and torch.cuda.is_available())
    jobs = min(runs, options.jobs or max(1, (1 if on_gpu else allowed_cores()) // options.threads))
    return jobs, f"{jobs} at a time"


def measure_all(
    runs: Sequence[Path], options: EvalOptions, changes: tuple[str, ...], jobs: int
) -> list[dict[str, Any] | str]:
    """Measure runs in processes of their own, and write the `eval.json` of each.

    Args:
        runs: their folders, or checkpoints in them.
        options: what to measure, on which images.
        changes: Hydra overrides of the runs' data.
        jobs: how many at a time.

    Returns:
        For each run its figures, or a sentence where it cannot be measured.
    """
    trusted = trust.vouched()
    work = (joblib.delayed(_report_or_sentence)(run, options, changes, os.getpid(), trusted) for run in runs)
    answers: list[dict[str, Any] | str] = []
    kills_before = memory_kills()
    try:
        for answer in joblib.Parallel(n_jobs=jobs, return_as="generator")(work):
            answers.append(answer)
    except TerminatedWorkerError:
        memory = " for lack of memory" if memory_kills() > kills_before else ""
        killed = f"its process, or that of a run beside it, was killed{memory}: measure one at a time by eval.jobs=1."
        answers.extend([killed] * (len(runs) - len(answers)))
    except OSError as error:
        raise VaeklError(f"{no_processes(error)}, or measure one at a time by eval.jobs=1.") from error
    return answers


def measure_and_write(
    path: Path,
    options: EvalOptions,
    changes: tuple[str, ...],
    console: Console | None,
    trusted: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The figures of a run, which are then in its `eval.json`.

    Args:
        path: the run's folder, one of its checkpoints, or FILE.py:NAME of a model of one's own.
        options: what to measure, on which images.
        changes: Hydra overrides of the run's data.
        console: where to show how far it is, if there is one.
        trusted: modules whose classes the run may call, beside those that this process believes already.

    Raises:
        VaeklError: the run cannot be loaded or measured, or the file cannot be written.
    """
    prior_threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        run = (
            own_model(path, options.device, changes)
            if is_own_model(path)
            else load_run(
                path, options.device, options.checkpoint, changes, trusted=trusted, whole=options.split == "all"
            )
        )
        with (
            enough_memory(f"measuring {path}", "set eval.chunk to fewer passes at once, or lower eval.images"),
            Progress(
                TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console, transient=True,
                disable=console is None or not console.is_terminal,
            ) as display,
        ):  # fmt: skip

            def start_bar(title: str, length: int) -> Callable[[int], None]:
                task = display.add_task(title, total=length or None)
                return lambda passes: display.advance(task, passes)

            report = figures_of(run, options, start_bar)
    finally:
        torch.set_num_threads(prior_threads)
    report["changes"] = list(changes)
    _folder(path).write_evaluation(report, _label(path, options, changes))
    return report


def _show_left_out(reports: Sequence[dict[str, Any]], console: Console) -> None:
    """A line for each thing that was not measured."""
    for line in dict.fromkeys(line for report in reports for line in report["left_out"]):
        console.print(f"  left out    {printable(line)}")


def _report_or_sentence(
    path: Path, options: EvalOptions, changes: tuple[str, ...], parent: int, trusted: tuple[str, ...]
) -> dict[str, Any] | str:
    """One run of several, in a process of its own unless it is the parent: its figures, or why there are none."""
    if os.getpid() != parent:
        end_with(parent)
    try:
        return measure_and_write(path, options, changes, None, trusted)
    except Exception as error:  # it must not stop the others
        return sentence(error)


def _folder(path: Path) -> RunFolder:
    """Where the figures of a run, a checkpoint or a model of somebody's own are written."""
    if is_own_model(path):
        return RunFolder(Path.cwd())
    return RunFolder(path.parent if path.is_file() else path)


def _label(path: Path, options: EvalOptions, changes: tuple[str, ...]) -> str:
    """Of the file that is written: none for all of the run's own test images, else what makes it not comparable."""
    other = [path.name if path.is_file() else None, options.checkpoint, options.images, *sorted(changes)]
    parts = [] if options.split == "test" else [options.split]
    if any(part is not None for part in other):
        parts.append(blake2b(repr(other).encode(), digest_size=3).hexdigest())
    if is_own_model(path):
        parts.insert(0, "".join(letter if letter.isalnum() else "_" for letter in str(path)))
    return "_".join(parts)
