"""What reaches a terminal: text that it shows and does not obey, spelled in characters that it has."""

import codecs
import errno
import io
import os
import re
import shlex
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePath
from typing import IO

from vaekl.system.errors import StoppedError

#: control characters of ASCII and Latin-1, those that turn the direction of writing, separators of lines, halves of
#: surrogate pairs: a terminal or a page would obey them instead of showing them
CONTROL = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff"
_CONTROL = re.compile(f"[{CONTROL}]")
#: how a character is spelled where the terminal's encoding lacks it; Greek letters are spelled by their names
_SPELLED = {
    "−": "-", "–": "-", "—": "-", "·": "*", "×": "x", "±": "+/-", "→": "->", "½": "1/2", "²": "^2", "√": "sqrt",
    "‖": "||", "∈": "in", "∞": "inf", "≤": "<=", "≥": ">=", "…": "...", "“": '"', "”": '"', "‘": "'", "’": "'",
    "\u0302": "^",
}  # fmt: skip
_HALF_A_LINE = 5000
#: a path that Hydra reads as a text without quotes
_BARE = re.compile(r"[\w.-]*/[\w./-]*", re.ASCII)
_HANDLER = "vaekl.spelled"


class LostOutputError(StoppedError):
    """The standard output, or a log in its place, takes no more text.

    Args:
        error: what the system said.
        what: it is, for the sentence.
        after: what became of the work.
    """

    def __init__(self, error: OSError, what: str, after: str = "") -> None:
        super().__init__(error, what, after)
        self.error, self.what, self.after = error, what, after

    @property
    def is_quiet(self) -> bool:
        """Whether nobody reads any more, as in `vaekl train | head`: that is no mistake."""
        return isinstance(self.error, BrokenPipeError)

    def followed_by(self, after: str) -> "LostOutputError":
        """The same, with what became of the work."""
        return LostOutputError(self.error, self.what, after)

    def __str__(self) -> str:
        cure = "free some space, or send it elsewhere" if self.error.errno == errno.ENOSPC else "send it elsewhere"
        reason = self.error.strerror or type(self.error).__name__
        return f"{self.what} cannot be written ({reason}): {cure}" + (f"; {self.after}" if self.after else ".")


class Output:
    """The standard output, or a file in its place, as a stream that never ends a run in the middle of a step.

    Args:
        file: written to instead of the standard output.

    Attributes:
        lost: why nothing can be written any more, once that was noted; what is written from then on goes nowhere.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        self._file = file
        self.lost: LostOutputError | None = None
        self._when_lost: Callable[[], None] | None = None

    @property
    def _stream(self) -> IO[str]:
        # a progress bar puts itself in the place of the standard output, and writes to what it has replaced
        stream: IO[str] = getattr(sys.stdout, "rich_proxied_file", sys.stdout)
        return self._file or stream

    @contextmanager
    def noting_loss(self, when_lost: Callable[[], None]) -> Iterator[None]:
        """While inside: where nothing can be written, no error is raised, but this function called once."""
        self._when_lost = when_lost
        try:
            yield
        finally:
            self._when_lost = None

    @property
    def is_standard(self) -> bool:
        """Whether it is the standard output, and no file in its place."""
        return self._file is None

    @property
    def encoding(self) -> str:
        """Of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Its number for the system."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write text, or lose it."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        self._attempt(lambda: self._stream.flush())

    def _attempt(self, do: Callable[[], object]) -> None:
        if self.lost is not None:
            return
        try:
            do()
        except OSError as error:
            name = getattr(self._file, "name", "")
            what = "standard output" if self._file is None else f"the log {name}".strip()
            lost = LostOutputError(error, what)
            if self._when_lost is None:
                raise lost from error
            self.lost = lost
            self._when_lost()


def printable(text: str) -> str:
    r"""Text as it is shown in a line: control characters, bidirectional marks and lone surrogates as escapes.

    >>> printable("a\x1b[2J\n")
    'a\\x1b[2J\\n'
    """
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def printable_lines(text: str) -> str:
    """The same for text of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def command(*words: object) -> str:
    """Words as they are typed in a shell: whatever a folder is called, it is one word there, and no option.

    >>> command("vaekl", "resume", "x; rm -rf ~")
    "vaekl resume 'x; rm -rf ~'"
    >>> command("vaekl", "resume", PurePath("-x"))
    'vaekl resume ./-x'
    """
    shown = (f"./{word}" if isinstance(word, PurePath) and str(word).startswith("-") else str(word) for word in words)
    return printable(shlex.join(shown))


def setting(key: str, value: object) -> str:
    r"""A setting as `vaekl train` reads it, its value one text whatever is in it; `command` quotes it for a shell.

    >>> print(setting("dataset.path", "/a/b.npz"), setting("dataset.path", "it's, b=c"))
    dataset.path=/a/b.npz dataset.path='it\'s, b=c'
    """
    text = str(value)
    if _BARE.fullmatch(text):
        return f"{key}={text}"
    # a backslash is itself, but before a quote
    escaped = re.sub(r"(\\*)('|\Z)", lambda match: 2 * match[1] + ("\\'" if match[2] else ""), text)
    return f"{key}='{escaped}'"


def show(text: str, end: str = "\n") -> None:
    """Print text of one line or several.

    Raises:
        LostOutputError: the standard output cannot be written.
    """
    output = Output()
    output.write(printable_lines(text) + end)
    output.flush()


def complain(text: str) -> None:
    """Print a line to the standard error, if anybody is there to read it; of one without end the middle is left out."""
    line = printable(text)
    if len(line) > 2 * _HALF_A_LINE:
        line = f"{line[:_HALF_A_LINE]} … {line[-_HALF_A_LINE:]}"
    with suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def prepare() -> None:
    """Let the standard streams spell what their encoding lacks, instead of failing at it."""
    for stream in _text_streams():
        stream.reconfigure(errors=_HANDLER)


@contextmanager
def prepared() -> Iterator[None]:
    """The same while inside: afterwards the streams fail again, or not, as they did."""
    before = [(stream, stream.errors) for stream in _text_streams()]
    prepare()
    try:
        yield
    finally:
        for stream, errors in before:
            if not stream.closed:
                stream.reconfigure(errors=errors)


def _text_streams() -> list[io.TextIOWrapper]:
    codecs.register_error(_HANDLER, _spelled)
    return [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]


def silence(*streams: IO[str]) -> None:
    """What is written to these streams from here on goes nowhere: to write to one that is gone would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        with suppress(io.UnsupportedOperation):  # a stream within this process
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_ascii, error.object[error.start : error.end])), error.end


def _in_ascii(character: str) -> str:
    kind, _, letter = unicodedata.name(character, "").partition(" LETTER ")
    if kind in ("GREEK SMALL", "GREEK CAPITAL"):
        return letter.lower() if kind == "GREEK SMALL" else letter.title()
    return _SPELLED.get(character, ascii(character)[1:-1])
