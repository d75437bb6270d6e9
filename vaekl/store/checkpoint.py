"""Checkpoints: atomic, versioned, sealed by a checksum, and without pickled code."""

import io
from hashlib import blake2b
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from vaekl.store.read import opened
from vaekl.system.errors import VaeklError, first_line
from vaekl.system.files import replacing

FORMAT = 3
#: after the last byte of the zip file, which its readers do not mind: the digest of all before
_SEAL = b"\nvaekl blake2b "
_DIGEST_SIZE = 32
#: bytes; a file is unfolded in memory
_MOST = 1 << 34


class DamagedError(VaeklError):
    """A file that cannot be what was written.

    Args:
        what: is wrong with it.
        cure: what to do.
    """

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what, cure)
        self.what, self.cure = what, cure

    def __str__(self) -> str:
        return f"{self.what}: {self.cure}."


def save(path: Path, state: dict[str, Any], previous: Path | None = None) -> None:
    """Write a state of tensors, numbers, strings and containers of them, whole or not at all.

    The new file is complete and on the disk before it takes the old one's name.

    Args:
        path: the file.
        state: what is saved.
        previous: where the old file is kept.

    Raises:
        VaeklError: if it cannot be written; the previous checkpoint is untouched.
    """
    # torch's own writer reports a full disk as a RuntimeError about positions in a zip file
    content = io.BytesIO()
    torch.save({"format": FORMAT, "state": state}, content)
    content.seek(0, io.SEEK_END)
    content.write(_seal(content.getbuffer()))
    with replacing(path, "checkpoint", previous) as partial:
        partial.write_bytes(content.getbuffer())


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state that `save` wrote.

    Raises:
        DamagedError: there is no such file, or it is not what was written.
        VaeklError: it cannot be read, or another version of vaekl wrote it.
    """
    raw = _sealed_bytes(path)
    try:
        content = torch.load(io.BytesIO(raw), map_location=device, weights_only=True)
    except UnpicklingError as error:
        raise _damaged(path, "it holds more than tensors, numbers and words, or is no file of PyTorch's") from error
    except Exception as error:  # what is no checkpoint can fail in any way while it is read
        raise _damaged(path, f"it is cut off, or no file of PyTorch's; {len(raw):,} bytes") from error
    if not isinstance(content, dict) or type(content.get("format")) is not int or "state" not in content:
        raise DamagedError(f"{path} is no vaekl checkpoint", "give a run folder that `vaekl train` made")
    if content["format"] > FORMAT:
        raise VaeklError(
            f"the checkpoint {path} has format {content['format']}, this vaekl reads {FORMAT}: upgrade vaekl."
        )
    if content["format"] < FORMAT:
        raise VaeklError(
            f"the checkpoint {path} has format {content['format']}, so an earlier vaekl wrote it: use that one, or "
            "train afresh."
        )
    state = content["state"]
    if not isinstance(state, dict):
        raise _damaged(path, "it holds no state")
    return state


def _sealed_bytes(path: Path) -> bytes:
    """The whole file, whose last bytes are the checksum of all before; its end is looked at first, since it is small.

    Raises:
        DamagedError: there is no such file, or it is not what was written.
        VaeklError: it is no regular file, or cannot be read.
    """
    length, cure = len(_seal(b"")), "make it a readable file, or train afresh"
    try:
        with opened(path, _MOST, cure) as file:
            end = file.seek(0, io.SEEK_END)
            file.seek(max(0, end - length))
            seal = file.read(length)
            if not seal.startswith(_SEAL):
                raise _damaged(path, f"its checksum is missing; {end:,} bytes")
            file.seek(0)
            raw = file.read()
    except FileNotFoundError as error:
        raise DamagedError(
            f"there is no checkpoint at {path}", "the run stopped before its first one, or it was taken away"
        ) from error
    except OSError as error:
        raise VaeklError(f"the checkpoint {path} cannot be read ({first_line(error)}): {cure}.") from error
    if seal != _seal(memoryview(raw)[:-length]):
        raise _damaged(path, "its checksum is not that of its content")
    return raw


def _seal(content: bytes | memoryview) -> bytes:
    return _SEAL + blake2b(content, digest_size=_DIGEST_SIZE).hexdigest().encode()


def _damaged(path: Path, reason: str) -> DamagedError:
    return DamagedError(f"the checkpoint {path} cannot be read ({reason})", "copy it again, or train afresh")
