"""`.progress.json`: how far a run that is training is, for the display of the sweep that it belongs to."""

from contextlib import suppress
from pathlib import Path

import msgspec

from vaekl.store.read import UnreadableError, read_record
from vaekl.store.schema import Heartbeat

_NAME = ".progress.json"
#: bytes
_MOST = 1 << 12


def write(folder: Path, content: Heartbeat) -> None:
    """Replace the file; a disk that cannot be written is no reason to stop."""
    partial = folder / f"{_NAME}.partial"
    with suppress(OSError):  # what matters on a full disk is the checkpoint
        partial.unlink(missing_ok=True)  # a stranger's folder may hold a link of that name
        partial.write_bytes(msgspec.json.encode(content))
        partial.replace(folder / _NAME)


def remove(folder: Path) -> None:
    """The run has ended, in whatever way."""
    with suppress(OSError):
        (folder / _NAME).unlink(missing_ok=True)


def read(folder: Path) -> Heartbeat | None:
    """What the file says; None where it does not say so."""
    with suppress(FileNotFoundError, UnreadableError):
        return read_record(folder / _NAME, Heartbeat, _MOST, "take it away")
    return None
