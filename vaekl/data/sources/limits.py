"""What decoding may take: memory, for all threads together, and bytes that are read of a file."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition

from vaekl.data.files import open_file
from vaekl.system.cores import give_back_memory

#: bytes that are given back to the system as soon as they are free
_MUCH = 1 << 24
#: bytes of an image file, and of what is read of it before the number of its pixels is known
_LARGEST, _LONGEST_HEAD = (1 << 30) + (1 << 20), 1 << 26
#: how often all of it may be read
_MOST_READINGS = 4


class Budget:
    """So many bytes, of which each thread takes what it needs, or waits.

    Args:
        size: bytes; who needs more than all of them takes all.
    """

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._changed = Condition()

    @contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Have some of it for the time inside."""
        amount = min(amount, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= amount)
            self._left -= amount
        try:
            yield
        finally:
            if amount > _MUCH:
                give_back_memory()
            with self._changed:
                self._left += amount
                self._changed.notify_all()


class Source(io.BufferedReader):
    """An image file that is read a few times at most: what is in it may refer to the same bytes again and again.

    Attributes:
        size: its bytes.
    """

    size = 0
    _left = _LONGEST_HEAD

    @classmethod
    def opened(cls, path: Path) -> "Source":
        """The file, of which as much may be read as comes before the pixels.

        Raises:
            OSError, ValueError: it is no regular file, or too large.
        """
        source = cls(open_file(path, _LARGEST).detach())
        source.size = source.seek(0, io.SEEK_END)
        source.seek(0)
        return source

    def allow_pixels(self) -> None:
        """Let the rest be read."""
        self._left += _MOST_READINGS * self.size

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file.

        Raises:
            ValueError: more was read by now than is allowed.
        """
        content = super().read(size)
        self._left -= len(content)
        if self._left < 0:
            raise ValueError("its parts are read again and again, as those of no picture are")
        return content
