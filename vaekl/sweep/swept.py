"""Keys with several values: whether a sweep can have them, said before any of its runs is listed."""

from collections.abc import Sequence
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Glob, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from vaekl.config import overrides
from vaekl.config.groups import options
from vaekl.store.sweep_schema import MOST_RUNS
from vaekl.system.errors import VaeklError


def check(every: Sequence[Override], directories: Sequence[Path], searches: bool) -> None:
    """Refuse values that make no sweep.

    Args:
        every: the words of the command that are no flags, read.
        directories: the user's own config folders.
        searches: whether a sweeper chooses the values.

    Raises:
        VaeklError: one sentence for the first mistake.
    """
    swept = [override for override in every if override.is_sweep_override()]
    for override in swept:
        key, word = override.get_key_element(), override.input_line
        if key.lstrip("+").startswith("hydra"):
            raise VaeklError(f"{word} is several values, and there is one for all runs of a sweep: give one.")
        if sum(other.get_key_element() == key for other in every) > 1:
            raise VaeklError(f"{key} is given twice: give all its values at once, as in seed=0,1,2.")
        if isinstance(override.value(), IntervalSweep):
            _check_interval(override.value(), word, searches)
        else:
            _check_values(override, directories, searches)
    if not searches and (count := prod(len(overrides.values(override, directories)) for override in swept)) > MOST_RUNS:
        raise VaeklError(f"these are {count:,} runs, and a sweep may have {MOST_RUNS:,}: give fewer values.")


def _check_interval(value: Any, word: str | None, searches: bool) -> None:
    if not searches:
        raise VaeklError(f"{word} is an interval to search in: add hydra/sweeper=optuna, or give values.")
    if not value.start < value.end:
        raise VaeklError(f"{word} does not end above its beginning: give the lower end first, as in interval(1e-4, 1).")
    if "log" in value.tags and value.start <= 0:
        raise VaeklError(f"{word} has no logarithm at its lower end: begin above 0, as in tag(log, interval(1e-4, 1)).")


def _check_values(override: Override, directories: Sequence[Path], searches: bool) -> None:
    value: Any = override.value()
    word = override.input_line
    try:
        many = isinstance(value, RangeSweep) and len(list(islice(value.range(), MOST_RUNS + 1))) > MOST_RUNS
        values = [] if many else overrides.values(override, directories)
    except (ValueError, HydraException) as error:  # a range whose step is 0
        raise VaeklError(f"{word} is no range: give its values, as in seed=0,1,2, or seed=range(0,3).") from error
    if many:
        raise VaeklError(f"{word} has more values than the {MOST_RUNS:,} runs that a sweep may have: give fewer.")
    if not values and isinstance(value, Glob) and (names := options(str(override.key_or_group), directories)):
        raise VaeklError(f"{word} matches none of {', '.join(names)}.")
    if not values:
        raise VaeklError(f"{word} stands for no value: give some, as in seed=0,1,2.")
    if len(set(values)) < len(values) and not searches:
        raise VaeklError(f"{word} has a value twice: the same run would be trained at the same time.")
