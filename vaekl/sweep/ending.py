"""The end of a sweep: what became of its runs, the report of those that are finished, and the error if some are not."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vaekl.store import RunFolder, manifest
from vaekl.store.config import trust_words
from vaekl.sweep import parse
from vaekl.system.console import Console
from vaekl.system.errors import StoppedError, VaeklError
from vaekl.system.terminal import command, printable

#: makes the report of a folder, whose runs may call the modules that some --trust words name
MakeReport = Callable[[Path, Sequence[str]], object]


def close(path: Path, session: str, sweep: parse.Sweep, console: Console, make_report: MakeReport) -> None:
    """Say how the sweep ended, and make the report where the user asked for it.

    Args:
        path: the sweep's folder.
        session: of the command that ends.
        sweep: its words.
        console: where it speaks.
        make_report: called once all else is said.

    Raises:
        StoppedError: the report was interrupted.
        VaeklError: for runs that have failed or did not begin, else for a report that could not be made.
    """
    if sweep.searches and (best := parse.best(path)) is not None:
        console.print(f"  best        {best}")
    ended = manifest.of_session(path, session)
    console.print(f"{manifest.summary(ended)}\n  tensorboard {command('tensorboard', '--logdir', path)}")
    trusted = trust_words(_configs(path, ended))
    finished = sum(run.status == "finished" for run in ended.values())
    no_report = None
    if not sweep.report or not finished:
        console.print(f"  report      {command('vaekl', 'report', path, *trusted)}")
    else:
        try:
            make_report(path, trusted)
        except StoppedError:
            raise
        except VaeklError as error:
            no_report = error
    runs = sweep.count()
    failures = manifest.failures(ended, None if sweep.searches else runs)
    if no_report is not None and (failures or finished < runs):
        console.print(f"  report      {printable(str(no_report))}")
    if failures:
        raise VaeklError(
            f"{failures}; {path / manifest.MANIFEST} and logs/ beside it say more; once the cause is gone the same "
            "command tries them again."
        )
    if not sweep.searches and finished < runs:
        raise VaeklError(
            f"{runs - finished} of {runs} runs were stopped, or did not begin: the same command goes on with them."
        )
    if no_report is not None:
        raise no_report


def _configs(path: Path, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Those of a sweep's runs that can be read."""
    for name in names:
        with suppress(VaeklError):
            yield RunFolder(path / name).config()


def to_evaluate(path: Path, sweep: parse.Sweep) -> int:
    """How many runs the report of a sweep will have to evaluate: those of which `vaekl eval` has written nothing."""
    if not sweep.report:
        return 0
    before = manifest.read(path)
    return sweep.count() - min(sweep.count(), sum(RunFolder(path / name).evaluation_file().exists() for name in before))
