"""Streams that fail."""

import io


class Full(io.StringIO):
    """Takes so many texts and then raises an error.

    Args:
        error: it.
        takes: how many texts.
    """

    def __init__(self, error: OSError, takes: int = 0) -> None:
        super().__init__()
        self.error, self.takes = error, takes

    def write(self, text: str) -> int:
        if self.takes <= 0:
            raise self.error
        self.takes -= 1
        return super().write(text)
