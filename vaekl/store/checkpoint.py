"""Checkpoints: atomic, versioned, sealed by a checksum, and without pickled code."""

import io
import warnings
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch

from vaekl.store.match import shown
from vaekl.store.read import AFRESH, opened
from vaekl.system.devices import enough_memory, is_full_memory
from vaekl.system.errors import VaeklError, first_line
from vaekl.system.files import replacing, sync, unwritable

FORMAT = 3
#: after the last byte of the zip file, which its readers do not mind: the digest of all before
_SEAL = b"\nvaekl blake2b "
_DIGEST_SIZE = 32
#: bytes; a file is read into memory
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

    The new file is complete and on the disk before it takes the old one's name, and that it has the name is on the
    disk when this returns: a machine that loses its power then goes on from here.

    Args:
        path: the file.
        state: what is saved.
        previous: where the old file is kept.

    Raises:
        VaeklError: it cannot be written, or could not be read again; the previous checkpoint is untouched.
    """
    # torch's own writer reports a full disk as a RuntimeError about positions in a zip file
    content = io.BytesIO()
    torch.save({"format": FORMAT, "state": _apart(state)}, content)
    content.seek(0, io.SEEK_END)
    content.write(_seal(content.getbuffer()))
    if content.tell() > _MOST:
        raise VaeklError(
            f"the checkpoint {path} would have {content.tell():,} bytes, more than the {_MOST:,} that vaekl reads: "
            "make the model smaller."
        )
    with replacing(path, "checkpoint", previous) as partial:
        partial.write_bytes(content.getbuffer())
    try:
        sync(path.parent)
    except OSError as error:
        raise VaeklError(unwritable(path, "checkpoint", error)) from error


def load(path: Path) -> dict[str, Any]:
    """The state that `save` wrote, on the CPU; whether it fits a run is for `match.check_matches` to say.

    Raises:
        DamagedError: there is no such file, or it is not what was written.
        VaeklError: it cannot be read, does not fit the memory, or another version of vaekl wrote it.
    """
    with enough_memory(f"the checkpoint {path}", "free some"):
        content = _unpickled(path, _sealed_bytes(path))
    if not isinstance(content, dict) or type(content.get("format")) is not int or "state" not in content:
        raise DamagedError(f"{path} is no vaekl checkpoint", "give a run folder that `vaekl train` made")
    if content["format"] > FORMAT:
        raise VaeklError(
            f"the checkpoint {path} has format {shown(content['format'])}, this vaekl reads {FORMAT}: upgrade vaekl."
        )
    if content["format"] < FORMAT:
        raise VaeklError(
            f"the checkpoint {path} has format {shown(content['format'])}, so an earlier vaekl wrote it: use that one, "
            f"or {AFRESH}."
        )
    state = content["state"]
    if not isinstance(state, dict):
        raise _damaged(path, "it holds no state")
    return state


def _unpickled(path: Path, raw: bytes) -> Any:
    """Tensors, numbers, words and containers of them.

    Raises:
        DamagedError: it is something else.
        MemoryError or RuntimeError: there is no memory for it.
    """
    try:
        with ZipFile(io.BytesIO(raw)) as file:
            parts = file.infolist()
        # what is compressed, or lies there once for many parts, unfolds to any size; what begins otherwise is a file of
        # PyTorch's former format
        is_plain = all(part.compress_type == ZIP_STORED for part in parts) and raw.startswith(b"PK\x03\x04")
        if not is_plain or sum(part.file_size for part in parts) > len(raw):
            raise BadZipFile("parts that are compressed or overlap, of which vaekl writes none")
        with warnings.catch_warnings():  # about tensors of rare kinds, of which vaekl writes none
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise _damaged(path, "it holds more than tensors, numbers and words, or is no file of PyTorch's") from error
    except Exception as error:  # what is no checkpoint can fail in any way while it is read
        if is_full_memory(error):
            raise
        raise _damaged(path, f"it is cut off, or no file of PyTorch's; {len(raw):,} bytes") from error


def _apart(value: Any) -> Any:
    """The same state, with a copy of each tensor that is a part of a larger memory, all of which would be written."""
    if isinstance(value, torch.Tensor):
        is_whole = value.layout != torch.strided or (
            value.untyped_storage().nbytes() == value.numel() * value.element_size()
        )
        return value if is_whole else value.clone()
    if type(value) in (dict, OrderedDict):
        return {key: _apart(child) for key, child in value.items()}
    return [_apart(child) for child in value] if type(value) is list else value


def _sealed_bytes(path: Path) -> bytes:
    """The whole file, whose last bytes are the checksum of all before; its end is looked at first, since it is small.

    Raises:
        DamagedError: there is no such file, or it is not what was written.
        VaeklError: it is no regular file, or cannot be read.
    """
    length, cure = len(_seal(b"")), f"make it a readable file, or {AFRESH}"
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
    return DamagedError(f"the checkpoint {path} cannot be read ({reason})", f"copy it again, or {AFRESH}")
