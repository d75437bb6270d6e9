"""`manifest.json`: what became of each run of a sweep, written by all its processes."""

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from vaekl.store.read import SCHEMA, UnreadableError, read_record
from vaekl.store.sweep_schema import Entry, Manifest
from vaekl.store.write import record, write_record
from vaekl.system.errors import StoppedError, VaeklError, sentence
from vaekl.system.files import sole_writer
from vaekl.system.places import is_full
from vaekl.system.terminal import printable

MANIFEST = "manifest.json"
#: how a run can end without results that is not somebody's wish
FAILURES = ("failed", "diverged", "killed")
_NAMED = 5
#: reasons that are named in one sentence; of runs that diverged each has a step of its own
_REASONS = 3
#: bytes: some 50,000 runs
_MOST, _MOST_RUNS = 1 << 25, 100_000
_LONGEST_REASON = 4000
_CURE = "take it away, and the same command writes it again"


def read(folder: Path) -> dict[str, Entry]:
    """What became of each run so far, by the name of its folder; one whose process is gone is called killed.

    Raises:
        UnreadableError: the file is damaged, or names what is no folder in its own.
    """
    file = folder / MANIFEST
    try:
        runs = read_record(file, Manifest, _MOST, _CURE).runs
    except FileNotFoundError:
        return {}
    if len(runs) > _MOST_RUNS:
        raise UnreadableError(f"{printable(str(file))} names more than {_MOST_RUNS:,} runs: {_CURE}.")
    for name in runs:
        if name in ("", ".", "..") or Path(name).name != name:
            raise UnreadableError(f"{printable(str(file))} names {name!r}, which is no folder in its own: {_CURE}.")
    return {name: _as_it_is(run, folder) for name, run in runs.items()}


@contextmanager
def recorded(
    path: Path, overrides: Sequence[str], session: str, slurm_job: str | None = None, stack: int = 1
) -> Iterator[None]:
    """Note that a run is running, and then that it is finished, stopped, diverged or failed, and why.

    Args:
        path: its folder.
        overrides: the words that the user typed for it.
        session: of the command that started it; one sweep may take several.
        slurm_job: the name of the Slurm job that this process is part of, or None.
        stack: how many runs share its steps, itself among them.
    """
    where = {"host": socket.gethostname(), "process": os.getpid(), "slurm_job": slurm_job, "stack": stack}
    start = {"overrides": list(overrides), "session": session, "started": time.time(), "ended": None}
    note(path, status="running", reason=None, **start, **where)
    try:
        yield
    except StoppedError as error:
        note(path, status="stopped", reason=str(error), ended=time.time())
        raise
    except Exception as error:
        status = error.outcome if isinstance(error, VaeklError) else "failed"
        note(path, status=status, reason=sentence(error), ended=time.time())
        raise
    except BaseException:
        note(path, status="stopped", reason="interrupted", ended=time.time())
        raise
    note(path, status="finished", ended=time.time())


def note(path: Path, **changes: Any) -> None:
    """Change what the manifest says of one run, whole or not at all, whoever else is writing.

    Args:
        path: the run's folder, in the sweep's.
        changes: fields of `Entry`; of a run that is new to the manifest `status` is one of them.
    """
    sweep, name = path.parent, path.name
    sweep.mkdir(parents=True, exist_ok=True)
    if changes.get("reason"):
        changes["reason"] = printable(changes["reason"])[:_LONGEST_REASON]
    with sole_writer(sweep / MANIFEST):
        runs = read(sweep)
        before = msgspec.structs.asdict(runs[name]) if name in runs else {}
        runs[printable(name)] = record(Entry, before | changes, MANIFEST)
        write_record(sweep / MANIFEST, Manifest(schema=SCHEMA, runs=runs))


def of_session(folder: Path, session: str) -> dict[str, Entry]:
    """The runs that one command has begun so far."""
    return {name: run for name, run in read(folder).items() if run.session == session}


def failures(runs: Mapping[str, Entry], planned: int | None = None) -> str:
    """Why runs ended without results though nobody stopped them, and which; empty if none did.

    Args:
        runs: those that began.
        planned: how many there were to be, where more may have been than began.

    >>> failures({name: Entry(status="failed", reason="no.") for name in "ab"})
    '2 of 2 runs failed: no (a, b)'
    >>> failures({name: Entry(status="failed", reason=f"{name} broke at {step}") for step, name in enumerate("abcde")})
    '5 of 5 runs failed: a broke at 0 (a); b broke at 1 (b); c broke at 2 (c); and for 2 more reasons'
    >>> failures({name: Entry(status="failed", reason=f"no room for /sweep/{name}/last.pt") for name in ("a1", "b2")})
    '2 of 2 runs failed: no room for /sweep/RUN/last.pt (a1, b2)'
    """
    names: dict[str, list[str]] = {}
    own: dict[str, str] = {}
    for name, run in runs.items():
        if run.status in FAILURES:
            reason = (run.reason or "").rstrip(".")
            same = reason.replace(f"/{name}", "/RUN")  # each names its own folder
            own.setdefault(same, reason)
            names.setdefault(same, []).append(name)
    if not names:
        return ""
    reasons = [
        f"{same if len(those) > 1 else own[same]} ({', '.join(those[:_NAMED])}{', ...' * (len(those) > _NAMED)})"
        for same, those in list(names.items())[:_REASONS]
    ]
    if len(names) > _REASONS:
        reasons.append(f"and for {len(names) - _REASONS} more reasons")
    planned = max(len(runs), planned or 0)
    not_begun = f"; {planned - len(runs)} did not begin" if planned > len(runs) else ""
    return f"{sum(map(len, names.values()))} of {planned} runs failed: {'; '.join(reasons)}{not_begun}"


def settle(folder: Path, session: str) -> None:
    """When Slurm has none of the jobs any more: runs that could not say how they ended were killed."""
    for name, run in of_session(folder, session).items():
        if run.status in ("running", "killed") and run.slurm_job:
            note(
                folder / name,
                status="killed",
                reason=f"its Slurm job {run.slurm_job} is over, and left no result",
                ended=time.time(),
            )


def summary(runs: Mapping[str, Entry]) -> str:
    """How many runs are finished, failed and so on."""
    counts = Counter(run.status for run in runs.values())
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def _as_it_is(run: Entry, folder: Path) -> Entry:
    """What the manifest says of a run; where its process is gone without a word, that it was killed or had no room."""
    if run.status != "running" or run.host != socket.gethostname() or not run.process:
        return run
    try:
        os.kill(run.process, 0)
    except ProcessLookupError:
        if is_full(folder):  # nothing could be written here either
            reason = f"the disk of {printable(str(folder))} is full: free some space; what was saved before is kept"
            return msgspec.structs.replace(run, status="failed", reason=reason)
        reason = "its process is gone: the same command goes on with it"
        return msgspec.structs.replace(run, status="killed", reason=reason)
    except (OSError, OverflowError):  # another user's
        pass
    return run
