"""`manifest.json`: what became of each run of a sweep, written by all its processes."""

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaekl.system.errors import StoppedError, VaeklError, sentence
from vaekl.system.files import replacing, sole_writer

MANIFEST = "manifest.json"
#: how a run can end without results that is not somebody's wish
FAILURES = ("failed", "diverged", "killed")
_NAMED = 5


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """What became of each run so far, by the name of its folder; one whose process is gone is called killed.

    Raises:
        VaeklError: if the file is damaged.
    """
    file = folder / MANIFEST
    if not file.exists():
        return {}
    try:
        runs: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["runs"]
        if strange := [name for name in runs if name in ("", "..") or Path(name).name != name]:
            raise VaeklError(f"{file} names {strange[0]!r}, which is no folder in its own: take the file away.")
        return {name: as_it_is(run) for name, run in runs.items()}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise VaeklError(f"{file} is damaged: take it away, and the same command writes it again.") from error


@contextmanager
def recorded(path: Path, overrides: Sequence[str], session: str, slurm_job: str | None = None) -> Iterator[None]:
    """Note that a run is running, and then that it is finished, stopped, diverged or failed, and why.

    Args:
        path: its folder.
        overrides: what it was asked for.
        session: of the command that started it; one sweep may take several.
        slurm_job: the name of the Slurm job that this process is part of, or None.
    """
    where = {"host": socket.gethostname(), "process": os.getpid(), "slurm_job": slurm_job}
    facts = {"overrides": list(overrides), "session": session, "started": time.time(), "ended": None}
    note(path, status="running", reason=None, **facts, **where)
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


def note(path: Path, **facts: Any) -> None:
    """Change what the manifest says of one run, whole or not at all, whoever else is writing."""
    sweep, name = path.parent, path.name
    sweep.mkdir(parents=True, exist_ok=True)
    with sole_writer(sweep / MANIFEST):
        runs = read(sweep)
        runs[name] = runs.get(name, {}) | facts
        with replacing(sweep / MANIFEST, "manifest") as partial:
            partial.write_text(json.dumps({"runs": runs}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def of_session(folder: Path, session: str) -> dict[str, dict[str, Any]]:
    """The runs that one command has begun so far."""
    return {name: run for name, run in read(folder).items() if run.get("session") == session}


def failures(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Why runs ended without results though nobody asked them to, and which; empty if none did.

    >>> failures({"a": {"status": "failed", "reason": "no."}, "b": {"status": "failed", "reason": "no."}})
    '2 of 2 runs failed: no (a, b)'
    """
    why: dict[str, list[str]] = {}
    for name, run in runs.items():
        if run["status"] in FAILURES:
            why.setdefault(str(run["reason"]).rstrip("."), []).append(name)
    if not why:
        return ""
    named = {reason: ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED) for reason, names in why.items()}
    told = "; ".join(f"{reason} ({names})" for reason, names in named.items())
    return f"{sum(map(len, why.values()))} of {len(runs)} runs failed: {told}"


def settle(folder: Path, session: str) -> None:
    """When Slurm has none of the jobs any more: runs that could not say how they ended were killed."""
    for name, run in of_session(folder, session).items():
        if run["status"] in ("running", "killed") and (job := run.get("slurm_job")):
            note(
                folder / name,
                status="killed",
                reason=f"its Slurm job {job} is over, and left no result",
                ended=time.time(),
            )


def summary(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """How many runs are finished, failed and so on."""
    counts = Counter(run["status"] for run in runs.values())
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def as_it_is(run: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of a run, or that it was killed where its process is gone without a word."""
    process = run.get("process")
    if run.get("status") != "running" or run.get("host") != socket.gethostname() or not isinstance(process, int):
        return run
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return run | {"status": "killed", "reason": "its process is gone: the same command goes on with it"}
    except (OSError, OverflowError):  # another user's
        pass
    return run
