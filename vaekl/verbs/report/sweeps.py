"""What a sweep's folder says of runs that left no whole folder of their own."""

import re
from math import prod
from pathlib import Path

from vaekl.store import RunFolder, manifest, sweep_folder
from vaekl.system.errors import VaeklError, sentence
from vaekl.system.files import subfolders
from vaekl.system.places import is_readable

_MOST_JOBS = 10_000
_UNREADABLE = "you may not look into its folder: make that readable"


def left_over(base: Path) -> dict[Path, tuple[str, str]]:
    """Runs of a folder that are not whole run folders, and what manifests say: status and reason."""
    outcomes: dict[Path, tuple[str, str]] = {}
    for sweep in [base, *filter(is_readable, _own_folders(base))]:
        for child in _own_folders(sweep):
            run = RunFolder(child)
            if not run.holds_run() and is_readable(child):
                if run.leftovers() or run.facts_file.exists():
                    outcomes[child] = ("broken", f"{run.config_file.name} is missing")
                elif re.match(r"\d+_", child.name) and sweep_folder.is_planned(sweep):
                    outcomes[child] = ("missing", "its folder is empty: the run failed before its first step")
        outcomes |= _noted(sweep)
        outcomes |= {child: ("broken", _UNREADABLE) for child in _own_folders(sweep) if not is_readable(child)}
    return outcomes


def _own_folders(folder: Path) -> list[Path]:
    """The folders in it that are no links to other places."""
    return [child for child in subfolders(folder) if not child.is_symlink()]


def _noted(sweep: Path) -> dict[Path, tuple[str, str]]:
    """What the manifest says; without one, or with a damaged one, what the words of the sweep would have made."""
    try:
        entries = manifest.read(sweep)
    except VaeklError as error:
        return {sweep / manifest.MANIFEST: ("broken", sentence(error))} | _gaps(sweep)
    if not entries:
        return _gaps(sweep)
    outcomes: dict[Path, tuple[str, str]] = {}
    for name, entry in entries.items():
        if RunFolder(sweep / name).holds_run() or entry.status != "finished":
            outcomes[sweep / name] = (entry.status, entry.reason or "")
        else:
            outcomes[sweep / name] = ("missing", "the manifest calls it finished, but its folder is gone")
    return outcomes


def _gaps(sweep: Path) -> dict[Path, tuple[str, str]]:
    """Jobs of a sweep that left no folder at all, by their numbers."""
    try:
        words = sweep_folder.planned_words(sweep)
    except FileNotFoundError:
        return {}
    except VaeklError:
        words = []
    there = {int(match[1]) for child in sweep.iterdir() if (match := re.match(r"(\d{1,9})_", child.name))}
    if not there and any(RunFolder(child).holds_run() for child in _own_folders(sweep)):
        return {}  # its runs are named by what differs, and no number says which are missing
    count = prod(len(_values(word.partition("=")[2])) for word in words) if words else 0
    # a name such as 20261123_old is no job's
    jobs = range(min(max([count, *(number + 1 for number in there)]), _MOST_JOBS))
    why = "job of this sweep without a folder: it failed before its first step, or was taken away"
    return {sweep / f"{number}_": ("missing", why) for number in jobs if number not in there}


def _values(text: str) -> list[str]:
    """What stands between the commas that are in no bracket and no quotes."""
    bare = re.sub(r"\[[^\]]*\]|\{[^}]*\}|'[^']*'|\"[^\"]*\"", "x", text)
    return bare.split(",")
