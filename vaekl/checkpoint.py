"""Checkpoints: atomic, versioned, and without pickled code."""

import errno
import io
import os
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from vaekl.errors import VaeklError

FORMAT = 1


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors, numbers, strings and containers of them, whole or not at all.

    The new file is complete and on the disk before it takes the old one's name.

    Raises:
        VaeklError: if it cannot be written; the previous checkpoint is untouched.
    """
    # torch's own writer reports a full disk as a RuntimeError about positions in a zip file
    content = io.BytesIO()
    torch.save({"format": FORMAT, "state": state}, content)
    with replacing(path, "checkpoint") as partial:
        partial.write_bytes(content.getbuffer())


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state that `save` wrote.

    Raises:
        VaeklError: if there is no such file, it is damaged, or a later version of vaekl wrote it.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise VaeklError(f"there is no checkpoint at {path}: the run stopped before its first one.") from error
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile, KeyError) as error:
        raise VaeklError(
            f"the checkpoint {path} cannot be read ({_first_line(error)}): copy it again, or train afresh."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("format"), int) or "state" not in content:
        raise VaeklError(f"{path} is no vaekl checkpoint: give a run folder that `vaekl train` made.")
    if content["format"] > FORMAT:
        raise VaeklError(
            f"the checkpoint {path} has format {content['format']}, this vaekl reads up to {FORMAT}: upgrade vaekl."
        )
    state: dict[str, Any] = content["state"]
    return state


class replacing:  # noqa: N801 - reads as a verb in `with replacing(path) as partial`
    """Give a partial path to write, then sync it and move it over `path`; on failure leave `path` as it was.

    Raises:
        VaeklError: one sentence for a full disk or a folder that cannot be written.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self.partial = path.with_name(f".{path.name}.partial")

    def __enter__(self) -> Path:
        return self.partial

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                with self.partial.open("rb") as file:
                    os.fsync(file.fileno())
                self.partial.replace(self.path)
                return
        except OSError as late:
            error = late
        with suppress(OSError):
            self.partial.unlink()
        if isinstance(error, OSError):
            raise VaeklError(unwritable(self.path, self.what, error)) from error


def unwritable(path: Path, what: str, error: BaseException) -> str:
    """The sentence for a file that could not be written."""
    full = getattr(error, "errno", None) == errno.ENOSPC or _is_full(path.parent)
    reason = "the disk is full" if full else _first_line(error)
    cure = "free some space" if full else "make the folder writable"
    return f"the {what} {path} could not be written ({reason}): {cure}; what was saved before is kept."


def _is_full(folder: Path) -> bool:
    try:
        state = os.statvfs(folder)
    except OSError:
        return False
    return state.f_bavail * state.f_frsize < 1 << 20


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:160]
