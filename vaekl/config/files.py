"""The files of a data set, described without reading them and without torch."""

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any


def files_digest(dataset: Mapping[str, Any]) -> str | None:
    """A digest of the names, sizes and times of the files that `dataset.path` names; None without such a key.

    Where it is equal the files are the same, and need not be read again; where it differs they may be.

    Args:
        dataset: the settings of a data set, resolved.
    """
    place = dataset.get("path")
    if not isinstance(place, str) or not place:
        return None
    digest = blake2b(digest_size=8)
    for line in sorted(_lines(Path(place).expanduser())):
        digest.update(line.encode(errors="surrogateescape") + b"\n")
    return digest.hexdigest()


def _lines(place: Path) -> list[str]:
    lines, folders, seen = [], [place], set()
    for folder in folders:  # grows while it is gone through
        try:
            if not folder.is_dir():
                state = folder.stat()
                lines.append(f"{state.st_size} {state.st_mtime_ns}")
                continue
            if (real := os.path.realpath(folder)) in seen:
                continue
            seen.add(real)
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir():
                        folders.append(folder / entry.name)
                    else:
                        state = entry.stat()
                        lines.append(f"{folder / entry.name} {state.st_size} {state.st_mtime_ns}")
        except OSError as error:
            lines.append(f"{folder} {error.strerror}")
    return lines
