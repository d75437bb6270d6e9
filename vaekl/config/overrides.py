"""The words of `vaekl train`, read: overrides, flags, config folders. `mistakes` checks them."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, Quote, QuotedString
from hydra.errors import HydraException

from vaekl.config.groups import options
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import command

#: a key whose value is a path that begins with somebody's home
_HOME = re.compile(r"^([+\w./@]+)=(~[\w.-]*(?:/.*)?)$", re.DOTALL)
#: flags that are followed by a value, if it is not joined to them by =
TAKE_A_VALUE = ("--config-dir", "-cd", "--cfg", "-c", "--package", "-p", "--info", "-i")
FLAGS = ("-m", "--multirun", "--again", "--resolve", *TAKE_A_VALUE)
#: flags that show a config instead of training it, and their values
SHOW = {
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")),
}


def parse(word: str) -> Override:
    """An override as Hydra reads it.

    Raises:
        VaeklError: it cannot.
    """
    try:
        return OverridesParser.create().parse_override(word)
    # Python itself fails at numbers with thousands of digits and at lists that are nested a thousand deep
    except (HydraException, ValueError, RecursionError) as error:
        key, _, value = word.partition("=")
        quoted = f"{key}={QuotedString(value, Quote.single).with_quotes()}"
        cure = "put quotes around values with special characters"
        if value and _is_readable(quoted):
            cure = f"type {command(quoted)} if that is one value"
        raise VaeklError(f"cannot read {shortened(repr(word))}: {cure}.") from error


def _is_readable(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except (HydraException, ValueError, RecursionError):
        return False
    return True


def with_home(words: Sequence[str]) -> list[str]:
    """The words with the user's home in the place of a ~ that begins a value: Hydra reads none, and no shell does."""
    return [_HOME.sub(_home, word) for word in words]


def _home(match: re.Match[str]) -> str:
    path = os.path.expanduser(match[2])
    return f"{match[1]}={path if _is_readable(f'key={path}') else QuotedString(path, Quote.single).with_quotes()}"


def are_flags(words: Sequence[str]) -> list[bool]:
    """For each word whether it is a flag, or the value of one."""
    return [word.startswith("-") or before in TAKE_A_VALUE for before, word in zip(["", *words], words, strict=False)]


def without_flags(words: Sequence[str]) -> list[str]:
    """The overrides among the words, as they were typed."""
    return [word for word, is_flag in zip(words, are_flags(words), strict=True) if not is_flag]


def parsed(words: Sequence[str]) -> list[Override]:
    """The overrides among the words, read."""
    return [parse(word) for word in without_flags(words) if "=" in word]


def values(override: Override, directories: Sequence[Path]) -> list[str]:
    """Every value that an override stands for; of an interval the lower end."""
    value: Any = override.value()
    if isinstance(value, Glob):
        matching: list[str] = value.filter(list(options(str(override.key_or_group), directories)))
        return matching
    if override.is_discrete_sweep():
        return [str(one) for one in override.sweep_string_iterator()]
    if override.is_sweep_override():
        return [str(value.start)]
    return [override.get_value_string()]


def flag_values(words: Sequence[str], *names: str) -> list[str]:
    """The values of a flag: `--cfg job` and `--cfg=job` give `job`."""
    pairs = [(*word.partition("="), following) for word, following in zip(words, [*words[1:], ""], strict=False)]
    return [value or following for name, _, value, following in pairs if name in names]


def is_sweep(words: Sequence[str]) -> bool:
    """Whether the words ask for several runs."""
    return bool({"-m", "--multirun"} & set(words)) and not shows(words)


def shows(words: Sequence[str]) -> bool:
    """Whether the words ask for a config to be shown, not trained."""
    return any(word.partition("=")[0] in SHOW for word in words)


def config_dirs(words: Sequence[str]) -> list[Path]:
    """The user's own config folders.

    Raises:
        VaeklError: one of them is no folder.
    """
    directories = [Path(value) for value in flag_values(words, "--config-dir", "-cd")]
    for directory in directories:
        if not directory.is_dir():
            raise VaeklError(f"--config-dir {directory} is no folder: give one that holds groups like likelihood/.")
    return directories


def for_hydra(words: Sequence[str], directories: Sequence[Path]) -> list[str]:
    """The overrides among the words, with the user's own config folders at the end of Hydra's search path."""
    overrides = without_flags(words)
    if not directories:
        return overrides
    searched = [word for word in overrides if word.lstrip("+").startswith("hydra.searchpath=")]
    lists: list[Any] = [parse(word).value() for word in searched]
    places = [str(place) for one in lists if isinstance(one, list) for place in one]
    places += [f"file://{directory.resolve()}" for directory in directories]
    quoted = ",".join(QuotedString(place, Quote.single).with_quotes() for place in places)
    return [*(word for word in overrides if word not in searched), f"hydra.searchpath=[{quoted}]"]


def shortened(text: str, most: int = 160) -> str:
    """A text that fits into a sentence."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
