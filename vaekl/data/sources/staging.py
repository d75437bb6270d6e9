"""Downloads that are either whole or absent: made in a staging folder and moved into place, one process at a time."""

import errno
import logging
import os
import shutil
import socket
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from filelock import Timeout
from platformdirs import user_cache_dir

from vaekl.data.files import open_file
from vaekl.system.errors import VaeklError
from vaekl.system.files import NotRegularError, locked, refuse_link, unwritable

T = TypeVar("T")
Archive = tuple[str, str]  # path below the data directory, md5
CONNECT_SECONDS = 30
CANNOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST}
NO_NETWORK = "dataset=digits and dataset=patches need no network"
log = logging.getLogger(__name__)


def data_root(root: str | os.PathLike[str] | None) -> Path:
    """The data directory: `root`, else the variable VAEKL_DATA_DIR, else vaekl's folder in the user's cache.

    Args:
        root: a folder, which need not exist; "~" is the user's home.

    Returns:
        An absolute path.
    """
    return Path(root or os.environ.get("VAEKL_DATA_DIR") or user_cache_dir("vaekl")).expanduser().absolute()


def writable(root: Path) -> Path:
    """The data directory, or the user's cache where it cannot be written."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(user_cache_dir("vaekl"))
    return root if os.access(root, os.W_OK) else Path(user_cache_dir("vaekl"))


def obtain(
    name: str,
    kind: str,
    root: Path,
    archives: Sequence[Archive],
    read: Callable[[Path, bool], T],
    most: int,
    unpack: bool = False,
    unpacked: Sequence[str] = (),
) -> T:
    """Read a data set from the data directory, and put it there first if it is not whole.

    Archives of the data set that lie in the data directory are used, so that nothing is fetched twice.

    Args:
        name: the data set, as the user typed it.
        kind: the data set, as torchvision calls it; processes that want the same one take turns.
        root: the data directory.
        archives: what torchvision would fetch.
        read: given a folder and whether to download into it, returns the arrays.
        most: bytes of the data set's largest file; torchvision reads whole ones, whatever their size.
        unpack: unzip the archives found here; torchvision takes some that it did not fetch itself for unpacked.
        unpacked: the files that are read, as the archives, where they are others.

    Returns:
        What `read` returns.

    Raises:
        VaeklError: an archive is corrupt, the data cannot be fetched, or the directory cannot be written.
    """
    _check_sizes(name, [root / path for path in (*(path for path, _ in archives), *unpacked)], most)
    try:
        return read(root, False)
    except Exception as error:  # whatever torchvision makes of files that are missing or half there
        log.debug("%s is not whole in %s: %s", name, root, error)
    try:
        stage = root / ".vaekl" / kind
        for inner in (stage.parent, stage):
            refuse_link(inner)
        stage.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(stage.with_suffix(".lock")):
            try:
                return read(root, False)  # another process may have put it there while this one waited
            except Exception:
                return _stage(name, root, stage, archives, read, unpack)
    except OSError as error:
        raise VaeklError(
            f"{name} cannot be written to {root} ({error.strerror or error}); "
            "set data_dir=FOLDER (or VAEKL_DATA_DIR) to a folder that you may write to and that has room."
        ) from error


def _check_sizes(name: str, places: Sequence[Path], most: int) -> None:
    for place in places:
        if place.is_file():
            try:
                open_file(place, most).close()
            except ValueError as error:
                raise VaeklError(f"{place} is no file of {name} ({error}): take it away.") from error
            except OSError as error:  # whoever reads it says so
                log.debug("%s cannot be opened: %s", place, error)


def _stage(
    name: str, root: Path, stage: Path, archives: Sequence[Archive], read: Callable[[Path, bool], T], unpack: bool
) -> T:
    shutil.rmtree(stage, ignore_errors=True)  # this process holds the lock, so whoever left it here is gone
    broken = []
    try:
        for path, md5 in archives:
            if (root / path).is_file() and not _link(root / path, stage / path, md5):
                broken.append(root / path)
            elif unpack and path.endswith(".zip") and (stage / path).is_file():
                _unzip(stage / path)
        try:
            with _time_limit():
                result = read(stage, True)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in CANNOT_WRITE:
                raise
            absent = [root / path for path, _ in archives if not (root / path).is_file()]
            raise VaeklError(_cannot_fetch(name, root, broken, absent, error)) from error
        _move(stage, root)
        return result
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _cannot_fetch(name: str, root: Path, broken: list[Path], absent: list[Path], error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = lines[-1].rstrip(".")
    if broken:
        return (
            f"The archive {broken[0]} is truncated or corrupt (its md5 is not that of {name}) and a new copy could not "
            f"be fetched ({reason}); delete or replace it ({NO_NETWORK})."
        )
    if absent:
        files = ", ".join(path.name for path in absent)
        return (
            f"{name} is not in {root} and could not be fetched ({reason}); "
            f"put {files} in {absent[0].parent}, or choose another data set ({NO_NETWORK})."
        )
    return f"The archives of {name} in {root} could not be read ({reason}); delete them to have them fetched again."


def _link(archive: Path, staged: Path, md5: str) -> bool:
    """Bring a whole archive into the staging folder, and refuse a broken one.

    A broken one must not be linked: torchvision would fetch into it, and so write through the link into the original.
    """
    from torchvision.datasets.utils import check_integrity

    if not check_integrity(archive, md5):
        return False
    staged.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(archive, staged)
    except OSError:  # a file system without hard links
        shutil.copy2(archive, staged)
    return True


def _unzip(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        file.extractall(archive.parent)


def _move(source: Path, target: Path) -> None:
    """Move a file or folder into place; of a folder that is there already, the contents.

    Folders go before files, because an archive beside its folder is what torchvision takes as proof of a whole set.
    """
    if source.is_dir() and target.is_dir():
        for child in sorted(source.iterdir(), key=lambda path: (path.is_file(), path.name)):
            _move(child, target / child.name)
    else:
        os.replace(source, target)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock file; who must wait says so."""
    with ExitStack() as held:
        try:
            try:
                held.enter_context(locked(path, timeout=0))
            except Timeout:
                log.warning("Another process is preparing this data set; waiting for it (%s).", path)
                held.enter_context(locked(path))
        except NotRegularError as error:
            raise VaeklError(unwritable(path, "lock", error)) from error
        yield


@contextmanager
def _time_limit() -> Iterator[None]:
    """A network that swallows packets fails after a while too; urllib alone would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
