"""Folders that the user names: whether they can be made, written to and spelled, and what to do where they cannot."""

import errno
import os
import sys
from pathlib import Path
from tempfile import mkdtemp

from vaekl.system.errors import VaeklError, first_line
from vaekl.system.terminal import printable

#: bytes; with less not even a run's config and facts can be written
_LEAST = 1 << 16
#: bytes that a name, and the whole path with room for the files in it, may have
_LONGEST_NAME, _LONGEST_PATH = 255, 3_800
_SHOWN = 60


def check_name(folder: Path, option: str = "") -> None:
    """Refuse a folder whose name no system can have, or that TensorBoard cannot write to.

    Args:
        folder: it need not be there.
        option: the key that names another one, if there is one.

    Raises:
        VaeklError: a part of its path is too long, or is no text.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        cure = locale_cure(str(folder)) or "choose another one, or rename it"
        raise VaeklError(f"the name of the folder {folder} is no UTF-8: {cure}.") from error
    longest = max(folder.parts, key=lambda part: len(part.encode()), default="")
    for what, text, most in (("name", longest, _LONGEST_NAME), ("path", str(folder), _LONGEST_PATH)):
        if (size := len(text.encode())) > most:
            cure = f"set {option}=FOLDER to a shorter one" if option else "give a shorter one"
            raise VaeklError(
                f"the {what} {printable(text[:_SHOWN])}… has {size:,} bytes, and that of a folder may have {most:,}: "
                f"{cure}."
            )


def locale_cure(name: str) -> str:
    """What to do about a name that this process cannot spell because of the terminal's locale; nothing otherwise."""
    encoding = sys.getfilesystemencoding()
    try:
        name.encode(encoding)
    except UnicodeEncodeError:
        return "" if encoding == "utf-8" else f"set PYTHONUTF8=1, since the locale knows {encoding} alone"
    return ""


def check_place(path: Path, what: str, option: str) -> None:
    """Refuse a folder that could not be made or written to, before any work is done for it.

    Raises:
        VaeklError: says why.
    """
    try:
        nearest = _nearest(path)
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(nearest, os.W_OK | os.X_OK):
            read_only = os.statvfs(nearest).f_flag & os.ST_RDONLY
            number = errno.EROFS if read_only else errno.EACCES
            raise OSError(number, os.strerror(number))
        if (free := _free(nearest)) is None:
            os.rmdir(mkdtemp(dir=nearest))
        elif free < _LEAST:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise VaeklError(unmade(path, what, option, error)) from error


def unmade(path: Path, what: str, option: str, error: OSError) -> str:
    """The sentence for a folder that cannot be made, or that cannot be written to, and the place that is the reason.

    Args:
        path: the folder.
        what: it is.
        option: that names another one, if there is one.
        error: what the system said.
    """
    nearest = _nearest(path)
    there = printable(str(nearest))
    reasons = {
        errno.ENOSPC: f"the disk of {there} is full",
        errno.EROFS: f"the disk of {there} is read-only",
        errno.EACCES: f"you may not write to {there}",
        errno.EPERM: f"nobody may write to {there}",
        errno.ENOENT: f"{there} takes no folders",
    }
    reason = reasons.get(error.errno or 0, first_line(error))
    if not nearest.is_dir():
        reason = f"{there} is no folder"
    cure = f"set {option}=FOLDER to another one that you may write to" if option else "make that writable"
    verb = "written to" if nearest == path and nearest.is_dir() else "made"
    return f"the {what} {printable(str(path))} cannot be {verb} ({reason}): {cure}."


def _nearest(path: Path) -> Path:
    """The path, or the nearest above it that is there."""
    return next((place for place in (path, *path.parents) if os.path.lexists(place)), path)


def is_readable(folder: Path) -> bool:
    """Whether this process may look into a folder."""
    return os.access(folder, os.R_OK | os.X_OK)


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has no room to speak of."""
    try:
        free = _free(folder)
    except OSError:
        return False
    return free is not None and free < 1 << 20


def _free(folder: Path) -> int | None:
    """Bytes that are free on the disk of a folder; None where it has no size, as /proc and disks without a limit."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize if state.f_blocks else None
