"""A line in a notebook's output that is written anew in its place, as a progress bar is in a terminal."""

import sys
import time
from typing import Any

#: seconds between two updates, each of which is a message to the browser
_EVERY = 0.2


class NotebookLine:
    """One line under the current cell.

    Args:
        ipython: the module `IPython` of a notebook's kernel.
    """

    def __init__(self, ipython: Any) -> None:
        self._ipython = ipython
        self._handle: Any = None
        self._text = ""
        self._shown, self._shown_at = "", 0.0

    def show(self, text: str, at_once: bool = False) -> None:
        """Write the line anew; where it was written just now, the next call or `at_once` does."""
        self._text = text
        now = time.monotonic()
        if text == self._shown or (now - self._shown_at < _EVERY and not at_once):
            return
        self._shown, self._shown_at = text, now
        content = {"text/plain": text}
        if self._handle is None:
            self._handle = self._ipython.display.display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def close(self) -> None:
        """Show what was to be shown last."""
        if self._text:
            self.show(self._text, at_once=True)


def notebook_line() -> NotebookLine | None:
    """A line under the current cell of a notebook, or None where this process serves none."""
    return NotebookLine(sys.modules["IPython"]) if in_notebook() else None


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
