"""The words after eval, sample and report: run folders, `VERB.key=value`, and changes of the run's data.

The keys, their defaults and their one-line meanings stand in `conf/VERB.yaml`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vaekl.config.groups import CONF
from vaekl.config.overrides import with_home
from vaekl.system.errors import VaeklError, did_you_mean

#: what may be changed of a run that is looked at: its data, never its model
_OF_THE_RUN = ("dataset", "transform", "data_dir")


@dataclass(frozen=True)
class Words:
    """What was typed after a verb.

    Args:
        runs: folders or checkpoints, at least one.
        options: every key of `conf/VERB.yaml`.
        changes: Hydra overrides of the run's data.
    """

    runs: tuple[Path, ...]
    options: dict[str, Any]
    changes: tuple[str, ...]


def parse(verb: str, words: list[str]) -> Words:
    """Read the words.

    Raises:
        VaeklError: names the word, and the key that is spelled most like it.
    """
    options, runs, changes = defaults(verb), [], []
    seen: set[str] = set()
    for word in words:
        key, equals, value = word.partition("=")
        group = key.split(".")[0]
        if not word:
            raise VaeklError(f"an empty word is no run folder: `vaekl {verb} outputs/<run>`; is a variable unset?")
        if word.startswith("-"):
            raise VaeklError(f"unknown option {word}: see `vaekl {verb} --help`.")
        if not equals or Path(word).exists():
            runs.append(Path(word))
        elif group == verb:
            name = key.removeprefix(f"{verb}.")
            if name not in options:
                raise VaeklError(f"there is no key {key}{_similar(key, verb)}: `vaekl {verb} --help` lists them.")
            if name in seen:
                raise VaeklError(f"{key} is given twice: leave one of them away.")
            seen.add(name)
            options[name] = _value(key, value, options[name])
        elif group in _OF_THE_RUN:
            changes += with_home([word])
        else:
            raise VaeklError(
                f"`vaekl {verb}` cannot change {key}{_similar(key, verb)}: it takes {verb}.KEY=VALUE, and "
                f"{', '.join(_OF_THE_RUN)} to look at other data."
            )
    if not runs:
        raise VaeklError(f"{verb} needs a run folder: `vaekl {verb} outputs/<run>`.")
    return Words(tuple(runs), options, tuple(changes))


def defaults(verb: str) -> dict[str, Any]:
    """The keys and defaults of a verb."""
    with (CONF / f"{verb}.yaml").open(encoding="utf-8") as file:
        content: dict[str, Any] = yaml.safe_load(file)
    return content


def _value(key: str, text: str, default: Any) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise VaeklError(f"cannot read {key}={text}: write a number, a word, or a list such as 1,50.") from error
    if isinstance(default, list):
        value = [yaml.safe_load(part) for part in value.split(",")] if isinstance(value, str) else value
        value = value if isinstance(value, list) else [value]
        if not value or None in value:
            raise VaeklError(f"{key} needs at least one value, as in {key}={','.join(map(str, default))}.")
    elif isinstance(value, dict | list) and default is not None:
        raise VaeklError(f"{key} takes one value, not {text}.")
    return value


def _similar(key: str, verb: str) -> str:
    keys = [*(f"{verb}.{name}" for name in defaults(verb)), *_OF_THE_RUN]
    same_end = [name for name in keys if name.split(".")[-1] == key.split(".")[-1]]
    return did_you_mean(same_end[0] if same_end else key, keys)
