"""The words of `vaekl train` that make a resolved config.

They are composed from the config's choices and values. The command that facts.json holds may be a stranger's words.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from vaekl.config import compose
from vaekl.config.groups import groups, options
from vaekl.config.words import written
from vaekl.system import terminal

#: where things are, and where it computes: the same run elsewhere has others
_PLACES = ("choices", "output_dir", "run_name", "data_dir", "dataset.root", "trainer.device", "tracker")
_KEY = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*", re.ASCII)


class _NotPlainError(Exception):
    """Something in a config that is no setting of vaekl's own options."""


def train_command(content: Mapping[str, Any]) -> str | None:
    """The command that trains a run of this config, quoted for a shell.

    Args:
        content: a resolved config with the choices in it, as it stands in a run folder.

    Returns:
        None where vaekl's own options do not make it: it has options or classes of somebody's own, or odd values.
    """
    try:
        chosen = _chosen(content["choices"])
        settings = list(_settings(content, dict(compose.flat(_defaults(chosen)))))
    except _NotPlainError:
        return None
    return terminal.command("vaekl", "train", *chosen, *settings)


def _chosen(choices: Mapping[str, Any]) -> tuple[str, ...]:
    """The words that choose an option which is not chosen without them; an experiment's come with its name."""
    words: tuple[str, ...] = ()
    if choices.get("experiment") is not None:
        words = (_choice("experiment", choices["experiment"]),)
    usual = _defaults(words)["choices"]
    if choices.keys() != usual.keys():
        raise _NotPlainError
    differing = [group for group in groups() if group in choices and choices[group] != usual[group]]
    return words + tuple(_choice(group, choices[group]) for group in differing)


def _choice(group: str, option: Any) -> str:
    if not isinstance(option, str) or option not in options(group):
        raise _NotPlainError
    return f"{group}={option}"


@cache
def _defaults(words: tuple[str, ...]) -> dict[str, Any]:
    """The config that the words make."""
    cfg = compose.compose(words)
    with compose.current(cfg):
        return compose.plain(compose.without_hydra(cfg)) | {"choices": compose.choices(cfg)}


def _settings(content: Mapping[str, Any], usual: dict[str, Any]) -> Iterator[str]:
    """A word for each key with another value than the usual one, for each new key, and for each that is gone."""
    own = dict(compose.flat(content))
    for key in [*own, *(key for key in usual if key not in own)]:
        if key in _PLACES or key.split(".")[0] in _PLACES:
            continue
        if key in own and key in usual and json.dumps(own[key]) == json.dumps(usual[key]):
            continue
        if not _KEY.fullmatch(key):  # also the names of classes, whose key begins with an underscore
            raise _NotPlainError
        yield f"{'' if key in usual else '+'}{key}={_written(own[key])}" if key in own else f"~{key}"


def _written(value: Any) -> str:
    """A value as Hydra reads it from a word."""
    try:
        if "${" in json.dumps(value, allow_nan=False):
            raise _NotPlainError
        return written(value)
    except (TypeError, ValueError) as error:
        raise _NotPlainError from error
