"""Checkpoints: atomic, versioned, and without pickled code."""

import io
from pathlib import Path
from typing import Any

import torch

from vaekl.errors import VaeklError, first_line
from vaekl.files import replacing

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
        raise VaeklError(
            f"there is no checkpoint at {path}: the run stopped before its first one, or it was taken away."
        ) from error
    except Exception as error:  # what is no checkpoint can fail in any way while it is read
        raise VaeklError(
            f"the checkpoint {path} cannot be read ({first_line(error)}): copy it again, or train afresh."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("format"), int) or "state" not in content:
        raise VaeklError(f"{path} is no vaekl checkpoint: give a run folder that `vaekl train` made.")
    if content["format"] > FORMAT:
        raise VaeklError(
            f"the checkpoint {path} has format {content['format']}, this vaekl reads up to {FORMAT}: upgrade vaekl."
        )
    state: dict[str, Any] = content["state"]
    return state
