"""What a sweep's folder says of runs that left no whole folder of their own."""

import json
import re
from math import prod
from pathlib import Path
from typing import Any

import yaml

from vaekl.store import RunFolder
from vaekl.store.manifest import MANIFEST, as_it_is
from vaekl.store.read import printable, read_yaml

_MULTIRUN = "multirun.yaml"
_MOST_JOBS = 10_000


def left_over(base: Path) -> dict[Path, tuple[str, str]]:
    """Runs of a folder that are not whole run folders, and what manifests say: status and reason."""
    found: dict[Path, tuple[str, str]] = {}
    for sweep in [base, *sorted(child for child in base.iterdir() if child.is_dir())]:
        for child in sorted(sweep.iterdir()):
            if child.is_dir() and not RunFolder(child).holds_run() and child != base:
                if RunFolder(child).leftovers() or RunFolder(child).facts_file.exists():
                    found[child] = ("broken", "config.yaml is missing")
                elif re.match(r"\d+_", child.name) and (sweep / _MULTIRUN).exists():
                    found[child] = ("missing", "its folder is empty: the run failed before its first step")
        manifest = (read_json(sweep / MANIFEST) or {}).get("runs")
        if isinstance(manifest, dict):
            for name, facts in manifest.items():
                if isinstance(facts, dict) and "/" not in name and name not in ("", ".", ".."):
                    facts = as_it_is(facts)
                    status, reason = str(facts.get("status")), str(facts.get("reason") or "")
                    if RunFolder(sweep / name).config_file.is_file() or status != "finished":
                        found[sweep / name] = (status, reason)
                    else:
                        found[sweep / name] = ("missing", "the manifest calls it finished, but its folder is gone")
        else:
            found |= _gaps(sweep)
    return found


def _gaps(sweep: Path) -> dict[Path, tuple[str, str]]:
    """Jobs of a sweep that left no folder at all, by their numbers."""
    if not (sweep / _MULTIRUN).is_file():
        return {}
    there = {int(match[1]) for child in sweep.iterdir() if (match := re.match(r"(\d+)_", child.name))}
    try:
        task = read_yaml(sweep / _MULTIRUN)["hydra"]["overrides"]["task"]
        count = prod(len(_values(str(word).partition("=")[2])) for word in task)
    except (OSError, yaml.YAMLError, RecursionError, ValueError, TypeError, KeyError):
        count = 0
    # a name such as 20261123_old is no job's
    jobs = range(min(max([count, *(number + 1 for number in there)]), _MOST_JOBS))
    why = "job of this sweep without a folder: it failed before its first step, or was taken away"
    return {sweep / f"{number}_": ("missing", why) for number in jobs if number not in there}


def _values(text: str) -> list[str]:
    """What stands between the commas that are in no bracket and no quotes."""
    bare = re.sub(r"\[[^\]]*\]|\{[^}]*\}|'[^']*'|\"[^\"]*\"", "x", text)
    return bare.split(",")


def read_json(file: Path) -> dict[str, Any] | None:
    """The object in a file; None if there is none, or it cannot be read."""
    try:
        content = printable(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
