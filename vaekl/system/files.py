"""Files that are written whole or not at all, and locks on files and folders."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vaekl.system.errors import VaeklError, first_line


@contextmanager
def replacing(path: Path, what: str, previous: Path | None = None) -> Iterator[Path]:
    """Write a file whole or not at all: yields a path to write to, which is synced and moved over `path` at the end.

    Args:
        path: the file, which stays as it was if anything fails.
        what: the file is, for the sentence.
        previous: where to keep the file that was at `path`.

    Raises:
        VaeklError: one sentence for a full disk or a folder that cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)  # in somebody else's folder it may be a link to another place
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            _keep(path, previous)
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise VaeklError(unwritable(path, what, error)) from error
        raise


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name by a hard link; without links, its only name."""
    link = previous.with_name(f".{previous.name}.partial")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:
        link = path
    link.replace(previous)


def inner_folder(path: Path) -> None:
    """Make a folder inside a run or a sweep, unless it is there.

    Raises:
        VaeklError: it is a link, through which files would be written in another place, or it cannot be made.
    """
    if path.is_symlink():
        raise VaeklError(f"{path} is a link, and vaekl does not write through links: remove it.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VaeklError(unwritable(path, "folder", error)) from error


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Wait until no other process writes this file, and keep others from writing it.

    Raises:
        VaeklError: the folder cannot be written.
    """
    lock = FileLock(path.with_name(f".{path.stem}.lock"))
    try:
        lock.acquire()
    except OSError as error:
        raise VaeklError(unwritable(path, "file", error)) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Lock a folder; the system frees the lock if this process is killed.

    Raises:
        VaeklError: another process has locked it.
    """
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise VaeklError(f"another process is training in {folder}: wait for it, or stop it first.") from error
    except OSError as error:
        raise VaeklError(unwritable(folder / ".lock", "lock", error)) from error
    try:
        yield
    finally:
        # the lock file stays: a process that has a removed one open would hold a lock that nobody else sees
        lock.release()


def unwritable(path: Path, what: str, error: BaseException) -> str:
    """The sentence for a file that could not be written."""
    full = getattr(error, "errno", None) == errno.ENOSPC or _is_full(path.parent)
    reason = "the disk is full" if full else first_line(error)
    cure = "free some space" if full else "make the folder writable"
    if isinstance(error, NotADirectoryError | FileExistsError):
        cure = "a file stands where a folder should, choose another place"
    if isinstance(error, FileNotFoundError):
        reason, cure = "the folder is gone", "put it back, or resume it where it was moved to"
    return f"the {what} {path} could not be written ({reason}): {cure}; what was saved before is kept."


def _is_full(folder: Path) -> bool:
    try:
        state = os.statvfs(folder)
    except OSError:
        return False
    return state.f_bavail * state.f_frsize < 1 << 20
