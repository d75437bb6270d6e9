"""How the files of a run are read: regular files of bounded size, checked against a type.

A run folder may come from a stranger. Every file of one is opened by `opened`, which follows no link, waits for no pipe
and reads no more than a bound, and JSON is decoded into the types of `schema.py`. What is wrong ends in one sentence.
"""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, TypeVar

import msgspec
import yaml

from vaekl.system.errors import VaeklError
from vaekl.system.files import open_regular
from vaekl.system.terminal import printable

Kind = TypeVar("Kind", bound=msgspec.Struct)

#: the number that the JSON files of a run carry; it is raised when one of them gets another meaning
SCHEMA: Final = 1
#: what always helps with a run whose files were damaged, also where it is one of a sweep
AFRESH: Final = "take the run's folder away and train afresh"
_LONGEST_REASON, _LONGEST_TEXT = 200, 4096
#: of a YAML file; the longest whole number of 64 bits has 19 digits and a sign
_MOST_NODES, _DEEPEST, _MOST_DIGITS = 1 << 14, 50, 20


class UnreadableError(VaeklError):
    """A file that cannot be read, or holds something else than what vaekl writes there."""


def unreadable(file: Path, reason: str, cure: str) -> UnreadableError:
    """The one sentence for a file of a run that cannot be read.

    Args:
        file: it.
        reason: what is wrong with it.
        cure: what the user can do.
    """
    return UnreadableError(f"{printable(str(file))} cannot be read ({printable(reason)[:_LONGEST_REASON]}): {cure}.")


@contextmanager
def opened(file: Path, most: int, cure: str) -> Iterator[BinaryIO]:
    """A regular file of at most so many bytes, open for reading.

    Args:
        file: it; the folder that it is in may be a link, the file itself may not.
        most: bytes; what is appended while it is open is not looked at by this check.
        cure: what the user can do about a file that cannot be opened.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableError: it is a link, a folder, a pipe or a device, is larger, or may not be read.
    """
    try:
        descriptor = open_regular(file)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise unreadable(file, (isinstance(error, OSError) and error.strerror) or str(error), cure) from error
    with open(descriptor, "rb") as source:
        size = os.fstat(descriptor).st_size
        if size > most:
            raise unreadable(file, f"it has {size:,} bytes, more than {most:,}", cure)
        yield source


def read_bytes(file: Path, most: int, cure: str) -> bytes:
    """The whole content of a regular file.

    Raises:
        FileNotFoundError or UnreadableError: as `opened` does.
    """
    with opened(file, most, cure) as source:
        try:
            content = source.read(most + 1)
        except OSError as error:
            raise unreadable(file, error.strerror or str(error), cure) from error
    if len(content) > most:
        raise unreadable(file, f"it has more than {most:,} bytes", cure)
    return content


@contextmanager
def opened_text(file: Path, most: int, cure: str) -> Iterator[io.TextIOWrapper]:
    """The same as UTF-8 text, of which lines can be read one after the other.

    Raises:
        FileNotFoundError or UnreadableError: as `opened` does; also in the block, for what is no text.
    """
    with opened(file, most, cure) as source:
        try:
            yield io.TextIOWrapper(source, encoding="utf-8", newline="")
        except UnicodeDecodeError as error:
            raise unreadable(file, "it is no text in UTF-8", cure) from error
        except OSError as error:
            raise unreadable(file, error.strerror or str(error), cure) from error


def read_record(file: Path, kind: type[Kind], most: int, cure: str) -> Kind:
    """A JSON file as the record that it should hold.

    Args:
        file: it.
        kind: a type of `schema.py`. One with a field `schema` has a file of another schema number refused as another
            vaekl's.
        most: bytes.
        cure: what the user can do about a file that does not hold such a record.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableError: anything else is wrong with it.
    """
    content = read_bytes(file, most, cure)
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if "schema" in kind.__struct_fields__:
            _check_schema(file, content)
        raise unreadable(file, in_words(error), cure) from error


class _Numbered(msgspec.Struct):
    schema: int | None = None


def _check_schema(file: Path, content: bytes) -> None:
    """Say that another vaekl wrote a file, if that is what is wrong with it."""
    try:
        number = msgspec.json.decode(content, type=_Numbered).schema
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    name = printable(str(file))
    if number is None or number < SCHEMA:
        raise UnreadableError(
            f"{name} has {'no schema number' if number is None else f'schema {number}'}, so an earlier vaekl wrote it: "
            "use that one, or train afresh."
        )
    if number > SCHEMA:
        raise UnreadableError(f"{name} has schema {number}, this vaekl reads {SCHEMA}: upgrade vaekl.")


def in_words(error: Exception) -> str:
    """What msgspec says of JSON that does not fit its type, in plain words with the key first.

    >>> in_words(msgspec.ValidationError("Expected `float`, got `str` - at `$.test.rmse`"))
    'test.rmse: expected a number, got text'
    """
    text, _, place = str(error).partition(" - at ")
    if isinstance(error, RecursionError):
        text = "too deeply nested"
    text = re.sub(r"Expected `str` matching regex .*", "it holds control characters", text, flags=re.DOTALL)
    text = text.replace(": unexpected ", ": ")
    text = re.sub(r"`(\w+)`", lambda match: _WORDS.get(match[1], match[1]), text).replace("`", "")
    place = place.strip("`").removeprefix("$").removeprefix(".")
    text = text[:1].lower() + text[1:] if text[1:2].islower() else text
    return f"{place}: {text}" if place else text


_WORDS = {
    "float": "a number", "int": "a whole number", "str": "text", "bool": "true or false", "null": "null",
    "object": "an object", "array": "a list",
}  # fmt: skip


def read_yaml(file: Path, most: int, cure: str) -> Any:
    """A YAML file of texts, numbers, truth values, nulls, lists and dicts, with control characters in texts escaped.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableError: it cannot be read, or holds something else.
    """
    content = read_bytes(file, most, cure)
    try:
        return parsed_yaml(content.decode("utf-8"))
    except ValueError as error:
        raise unreadable(file, f"as YAML: {error}", cure) from error


def parsed_yaml(text: str) -> Any:
    """The same of a text.

    Raises:
        ValueError: it holds something else.
    """
    try:
        return plain(yaml.load(text, _Loader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError((str(error).strip() or type(error).__name__).splitlines()[0]) from error


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Numbers as in YAML 1.2, and little of all else.

    Refused are aliases, a few lines of which unfold to more than any memory, tags, which make other objects, and more
    than a config ever holds. In YAML 1.1, PyYAML's, 190:20:30 is a number to the base of 60, and 010 one of 8.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
            raise yaml.YAMLError("it holds aliases or tags, which vaekl never writes")
        self._nodes, self._depth = self._nodes + 1, self._depth + 1
        if self._nodes > _MOST_NODES or self._depth > _DEEPEST:
            raise yaml.YAMLError("it is nested too deeply" if self._depth > _DEEPEST else "it has too many entries")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def whole(self, node: yaml.ScalarNode) -> int:
        """A whole number of at most 64 bits."""
        if len(node.value) > _MOST_DIGITS:
            raise ValueError("a number of more than 64 bits")
        return int(node.value)

    def real(self, node: yaml.ScalarNode) -> float:
        """Any other number; infinite and undefined ones begin with a dot, after their sign."""
        return float(re.sub(r"\.(?=[inIN])", "", node.value))


# what OmegaConf writes without quotes: its texts that look like any of these are in quotes
for _tag, _pattern, _firsts in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _firsts)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.whole)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.real)


def plain(node: Any) -> Any:
    """What a YAML file holds, without control characters.

    Raises:
        ValueError: it holds what is neither text, number, truth value, null, list nor dict with texts as keys, or a
            text or a whole number that is longer than any of vaekl's settings.
    """
    if isinstance(node, dict):
        if not all(isinstance(key, str) for key in node):
            raise ValueError("a key that is no text")
        return {printable(key): plain(child) for key, child in node.items()}
    if isinstance(node, list):
        return [plain(child) for child in node]
    if isinstance(node, str):
        if len(node) > _LONGEST_TEXT:
            raise ValueError(f"a text of more than {_LONGEST_TEXT:,} characters")
        return printable(node)
    if isinstance(node, int) and abs(node) >= 2**63:
        raise ValueError("a number of more than 64 bits")
    if node is None or isinstance(node, bool | int | float):
        return node
    raise ValueError(f"a {type(node).__name__}")
