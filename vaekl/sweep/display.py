"""One progress display for a whole sweep, whoever trains its runs and wherever."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vaekl.store import RunFolder, manifest
from vaekl.store.sweep_schema import Entry
from vaekl.system.console import Console
from vaekl.system.terminal import LostOutputError, printable

_LOOK_EVERY = 0.25


@contextmanager
def shown(folder: Path, session: str, runs: int, console: Console) -> Iterator[None]:
    """A line for every run that ends; on a terminal a bar for the sweep, and one for each run that goes on."""
    over = threading.Event()
    display = _Display(folder, session, runs, console)

    def watch() -> None:
        with suppress(LostOutputError), display.bars:  # whoever speaks next says so
            while not over.wait(_LOOK_EVERY):
                display.look()
            display.look()

    watcher = threading.Thread(target=watch, daemon=True)
    with suppress(RuntimeError):  # where there is no room for a thread there is none for the runs, which will say so
        watcher.start()
    try:
        yield
    finally:
        over.set()
        if watcher.is_alive():
            watcher.join()


class _Display:
    def __init__(self, folder: Path, session: str, runs: int, console: Console) -> None:
        self.folder, self.session, self.runs = folder, session, runs
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            refresh_per_second=2,  # 45 bars take 14 ms of a core that runs could have
            disable=not console.is_terminal,
        )
        self.console = self.bars.console
        self.sweep = self.bars.add_task("sweep", total=runs, state=f"0/{runs}")
        self.running: dict[str, TaskID] = {}
        self.shares: dict[str, tuple[float, str]] = {}
        self.ended: set[str] = set()

    def look(self) -> None:
        """See what has changed."""
        runs = manifest.of_session(self.folder, self.session)
        for name, run in runs.items():
            if run.status != "running" and name not in self.ended:
                self._end(name, run)
        share = 0.0
        for name, run in runs.items():
            if run.status == "running":
                self.ended.discard(name)  # a job that was put back
                share += self._advance(name)
        done = len(self.ended)
        self.bars.update(self.sweep, completed=done + share, state=f"{done}/{self.runs}")

    def _end(self, name: str, run: Entry) -> None:
        self.ended.add(name)
        if name in self.running:
            self.bars.remove_task(self.running.pop(name))
        why = f": {run.reason}" if run.reason else ""
        self.console.print(f"  {len(self.ended):>4}/{self.runs} {run.status:<9} {printable(name)}{why}")

    def _advance(self, name: str) -> float:
        if name not in self.running:
            self.running[name] = self.bars.add_task(f"  {printable(name)}", total=1, state="")
            self.shares[name] = 0.0, "starting"
        if beat := RunFolder(self.folder / name).heartbeat():  # there is none any more while the run is tested
            self.shares[name] = beat.step / beat.steps, f"{beat.elbo_nats:,.1f} nats"
        share, state = self.shares[name]
        self.bars.update(self.running[name], completed=share, state=state)
        return share
