"""`vaekl diagnose`: what went wrong in a run, by evidence, the most likely cause first."""

import json
import sys
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vaekl.config import verb_options
from vaekl.run.load import load_run
from vaekl.store import find_runs
from vaekl.system.console import Console
from vaekl.system.devices import enough_memory
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import printable, show
from vaekl.verbs.diagnose.causes import causes
from vaekl.verbs.diagnose.evidence import Cause, Evidence
from vaekl.verbs.diagnose.measure import evidence
from vaekl.verbs.diagnose.options import DiagnoseOptions
from vaekl.verbs.diagnose.text import text

#: the only task of the bar
_TASK = TaskID(0)


def main(words: verb_options.Words) -> int:
    """Diagnose the runs, and print what was seen; returns the exit code."""
    options = DiagnoseOptions.checked(words.options)
    if words.changes:
        raise VaeklError(f"diagnose looks at a run's own data: leave {words.changes[0]} away.")
    runs = list(dict.fromkeys(run for named in words.runs for run in find_runs(named)))
    records, failures = [], []
    with _bar(len(runs)) as bar:
        for number, path in enumerate(runs):
            bar.update(_TASK, completed=number, description=printable(str(path)))
            try:
                seen = _evidence(path, options)
            except VaeklError as error:  # it must not stop the others
                if len(runs) == 1:
                    raise
                failures.append(f"{path}: {error}")
                continue
            answer = causes(seen)
            if options.json:
                records.append(record(seen, answer))
            else:
                bar.stop()
                show(text(seen, answer))
                bar.start()
    if options.json:
        show(json.dumps(records, indent=2, ensure_ascii=False))
    if failures:
        raise VaeklError(f"{len(failures)} of {len(runs)} runs could not be diagnosed: {'; '.join(failures)}")
    return 0


def _bar(runs: int) -> Progress:
    """A bar for several runs in a terminal: on the standard error, as the standard output may go to a file."""
    console = Console(sys.stderr)
    bar = Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, redirect_stdout=False, redirect_stderr=False,
        disable=runs == 1 or not console.is_terminal,
    )  # fmt: skip
    bar.add_task("", total=runs)
    return bar


def _evidence(path: Path, options: DiagnoseOptions) -> Evidence:
    run = load_run(path, options.device, options.checkpoint, verb="diagnose")
    with enough_memory(f"diagnosing {path}", "lower diagnose.images"):
        return evidence(run, options)


def record(seen: Evidence, answer: list[Cause]) -> dict[str, Any]:
    """What `--json` prints of one run."""
    plain = {"run": seen.name, "causes": [asdict(cause) for cause in answer], "evidence": asdict(seen)}
    finite: dict[str, Any] = _finite(plain)
    return finite


def _finite(content: Any) -> Any:
    """The same with null where JSON has no word for a number."""
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not isfinite(content) else content
