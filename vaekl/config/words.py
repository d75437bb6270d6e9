"""Settings as a Python program has them -> the words of `vaekl train`."""

import re
from collections.abc import Iterator, Mapping
from os.path import expanduser
from pathlib import PurePath
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

from vaekl.config.overrides import parse
from vaekl.system.errors import VaeklError

#: a + adds a key, ++ adds or overrides it
_KEY = re.compile(r"\+{0,2}[A-Za-z_][\w./@]*", re.ASCII)


def words_of(settings: Mapping[str, Any]) -> list[str]:
    r"""A word for each setting.

    Args:
        settings: by their keys; a dict holds settings of a group, {"trainer": {"steps": 200}}.

    Raises:
        VaeklError: a key or a value is none that a command could have.

    >>> words_of({"likelihood": "cb", "trainer": {"steps": 200}, "model.hidden": (64, 32), "run_name": "it's"})
    ['likelihood=cb', 'trainer.steps=200', 'model.hidden=[64,32]', 'run_name="it\'s"']
    """
    return [_word(key, value) for key, value in _flat(settings)]


def written(value: Any) -> str:
    """A value as Hydra reads it from a word, whatever characters are in a text.

    Raises:
        ValueError: it is no number, text, truth value, None, or list of these.
    """
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(written, value))}]"
    if not isinstance(value, str):
        raise ValueError
    bare = re.fullmatch(r"[A-Za-z][\w./-]*", value, re.ASCII) and parse(f"key={value}").value() == value
    return value if bare else str(QuotedString(value, Quote.double).with_quotes())


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise VaeklError(f"{key!r} is no key of a setting: write it as in {{'trainer.steps': 1000}}.")
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _word(key: str, value: Any) -> str:
    if isinstance(value, PurePath):
        value = str(value)
    if isinstance(value, str) and value.startswith("~"):
        value = expanduser(value)
    try:
        return f"{key}={written(value)}"
    except ValueError as error:
        raise VaeklError(
            f"{key} cannot be of type {type(value).__name__}: give a number, a text, True, False, None, or a list of "
            "these."
        ) from error
