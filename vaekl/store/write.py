"""How the JSON files of a run are written: whole or not at all, and only what can be read back."""

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vaekl.store.read import SCHEMA, in_words
from vaekl.system.errors import VaeklError
from vaekl.system.files import replacing
from vaekl.system.terminal import printable

Kind = TypeVar("Kind", bound=msgspec.Struct)


def record(kind: type[Kind], content: Mapping[str, Any], name: str) -> Kind:
    """Figures and words as a record, with control characters of texts as escapes.

    Args:
        kind: a type of `schema.py`.
        content: its keys and values, but for the number of the schema.
        name: of the file that it is for.

    Raises:
        VaeklError: a figure is not finite, or a value is not what the type says, such as a fact of a class of the
            user's own.
    """
    if _holds_no_number(content):
        raise VaeklError(f"{name} would hold figures that are not finite: the weights or the data do.")
    try:
        numbered = {"schema": SCHEMA} if "schema" in kind.__struct_fields__ else {}
        return msgspec.convert(_escaped(numbered | dict(content)), kind)
    except msgspec.ValidationError as error:
        raise VaeklError(f"{name} cannot hold what this run would write ({printable(in_words(error))}).") from error


def write_record(file: Path, content: msgspec.Struct) -> None:
    """Write a record as JSON, whole or not at all.

    Raises:
        VaeklError: it cannot be written.
    """
    text = json.dumps(msgspec.to_builtins(content), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(file, "file") as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _holds_no_number(node: Any) -> bool:
    """Whether there is an infinite number in it, or NaN."""
    if isinstance(node, Mapping):
        return any(_holds_no_number(child) for child in node.values())
    if isinstance(node, list | tuple):
        return any(_holds_no_number(child) for child in node)
    return isinstance(node, float) and not isfinite(node)


def _escaped(node: Any) -> Any:
    if isinstance(node, str):
        return printable(node)
    if isinstance(node, Mapping):
        return {_escaped(key): _escaped(child) for key, child in node.items()}
    if isinstance(node, list | tuple):
        return [_escaped(child) for child in node]
    return node
