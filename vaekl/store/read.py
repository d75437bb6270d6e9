"""How the files of a run are read: by one function each, and with what would move a terminal's cursor escaped."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from vaekl.system.errors import VaeklError, first_line
from vaekl.system.files import replacing

_LARGEST_YAML = 1 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def printable(node: Any) -> Any:
    """What was read from a file, with control characters in its texts as escapes: they would move a terminal's cursor.

    Raises:
        ValueError: it holds what is neither text, number, truth value, null, list nor dict.
    """
    if isinstance(node, dict):
        return {printable(key): printable(child) for key, child in node.items()}
    if isinstance(node, list):
        return [printable(child) for child in node]
    if isinstance(node, str):
        return _CONTROL.sub(lambda match: repr(match[0])[1:-1], node)
    if node is None or isinstance(node, bool | int | float):
        return node
    raise ValueError(f"a {type(node).__name__}")


def read_yaml(file: Path) -> Any:
    """What a file of vaekl's holds, which may come from a stranger: no objects but texts, numbers, lists and dicts.

    Raises:
        OSError, yaml.YAMLError, RecursionError or ValueError: it cannot be read, or holds something else.
    """
    if file.stat().st_size > _LARGEST_YAML:
        raise ValueError("too large")
    text = file.read_text(encoding="utf-8")
    # a few lines of aliases unfold to more than any memory, and tags make objects of other kinds
    if any(isinstance(token, yaml.AliasToken | yaml.TagToken) for token in yaml.scan(text)):
        raise ValueError("aliases or tags, which vaekl never writes")
    return printable(yaml.safe_load(text))


def read_json(file: Path) -> dict[str, Any]:
    """What `write_json` wrote.

    Raises:
        VaeklError: if the file is damaged.
    """
    try:
        content = printable(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise VaeklError(f"{file} is missing: put it back.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise VaeklError(f"{file} cannot be read ({first_line(error)}): restore it, or take it away.") from error
    if not isinstance(content, dict):
        raise VaeklError(f"{file} holds no figures: restore it, or take it away.")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file of a run, whole or not at all.

    Raises:
        VaeklError: if it cannot be written, or a figure is not finite, which JSON cannot say.
    """
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise VaeklError(f"{path.name} would hold figures that are not finite: the weights or the data do.") from error
    with replacing(path, "file") as partial:
        partial.write_text(text + "\n", encoding="utf-8")
