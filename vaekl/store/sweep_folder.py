"""Files of a sweep's folder beside its runs and `manifest.json`: two that Hydra writes, and two that vaekl does."""

import os
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

from vaekl.store.read import SCHEMA, read_record, read_yaml, unreadable
from vaekl.store.sweep_schema import Search, Stacks
from vaekl.store.write import write_record

_STACKS = "stacks.json"
_SEARCH, _MULTIRUN, _SEARCH_RESULT = "search.json", "multirun.yaml", "optimization_results.yaml"
#: bytes
_MOST, _MOST_YAML = 1 << 12, 1 << 18


def drawn_at_once(folder: Path, choose: Callable[[], int]) -> int:
    """How many trials a search draws before it looks at their figures: as many as when it was begun.

    With another number it would draw other trials, and find none of the old ones finished.

    Args:
        folder: the sweep's.
        choose: the number, for a search that begins.

    Raises:
        UnreadableError: the file that holds it is damaged.
    """
    file = folder / _SEARCH
    try:
        return read_record(file, Search, _MOST, "take it away, and the search begins anew").drawn_at_once
    except FileNotFoundError:
        number = choose()
        write_record(file, Search(schema=SCHEMA, drawn_at_once=number))
        return number


def stacked(folder: Path) -> int | None:
    """How many runs of a sweep share a step at most; None for a sweep that begins.

    In a stack of another size the last digits would be others.

    Raises:
        UnreadableError: the file that holds it is damaged.
    """
    try:
        return read_record(folder / _STACKS, Stacks, _MOST, "take it away, and the stacks are chosen anew").size
    except FileNotFoundError:
        return None


def note_stacked(folder: Path, size: int) -> None:
    """Remember how many runs of a sweep share a step at most."""
    write_record(folder / _STACKS, Stacks(schema=SCHEMA, size=size))


def is_planned(folder: Path) -> bool:
    """Whether Hydra has noted in the folder which runs it was to start."""
    return os.path.isfile(folder / _MULTIRUN)  # Path.is_file raises where the name is too long


def planned_words(folder: Path) -> list[str]:
    """The words, such as seed=0,1, whose values make the runs that Hydra was to start.

    Raises:
        FileNotFoundError: no such sweep was started here.
        UnreadableError: the file is damaged.
    """
    file, cure = folder / _MULTIRUN, "take it away"
    try:
        words: Any = read_yaml(file, _MOST_YAML, cure)["hydra"]["overrides"]["task"]
        return [str(word) for word in words]
    except (KeyError, TypeError, IndexError) as error:
        raise unreadable(file, "it has no hydra.overrides.task", cure) from error


def search_result(folder: Path) -> tuple[dict[str, Any], float] | None:
    """The best values of a search, and their validation ELBO in nats; None where none is written.

    Raises:
        UnreadableError: the file is damaged.
    """
    file, cure = folder / _SEARCH_RESULT, "take it away"
    try:
        content = read_yaml(file, _MOST_YAML, cure)
    except FileNotFoundError:
        return None
    if isinstance(content, dict):
        values, elbo = content.get("best_params"), content.get("best_value")
        if isinstance(values, dict) and isinstance(elbo, float) and isfinite(elbo):
            return values, elbo
    raise unreadable(file, "it has no best_params or no best_value", cure)
