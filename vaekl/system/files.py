"""Files that are written whole or not at all, locks, and what is no regular file: links, pipes and devices."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vaekl.system.errors import VaeklError, first_line
from vaekl.system.places import is_full, unmade
from vaekl.system.terminal import printable

#: O_NONBLOCK: a pipe without a writer opens at once; Windows has none of these, and has no pipes among files
_NEVER_WAIT = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_MOST_ENTRIES = 20_000
#: where submitit keeps what it submits
_SUBMITIT = ".submitit"
#: what `sole_user` locks in a folder
LOCK = ".lock"
_LINK = "a link, and inside of a folder vaekl follows none"


class NotRegularError(OSError):
    """There is something else than a regular file at a path; `strerror` says what."""


def open_regular(file: Path, flags: int = os.O_RDONLY, follow: bool = False) -> int:
    """A descriptor of a regular file. Nothing else is opened, and no pipe is waited for.

    Args:
        file: it; the folders above it may be links.
        flags: as for os.open.
        follow: whether the file itself may be a link.

    Raises:
        NotRegularError: it is a link, a folder, a pipe, a socket or a device.
        OSError, ValueError: it cannot be opened.
    """
    try:
        _check_regular(file, os.stat(file, follow_symlinks=follow))
        flags &= ~os.O_CREAT  # in a shared folder Linux may not let it make a file that somebody else has made
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    descriptor = os.open(file, flags | _NEVER_WAIT | (0 if follow else _NO_FOLLOW), 0o666)
    try:
        _check_regular(file, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(file: Path, state: os.stat_result) -> None:
    if stat.S_ISREG(state.st_mode):
        return
    kinds = {stat.S_IFLNK: _LINK, stat.S_IFDIR: "a folder, not a regular file"}
    kind = kinds.get(stat.S_IFMT(state.st_mode), "a pipe or a device, not a regular file")
    raise NotRegularError(errno.EINVAL, f"it is {kind}", str(file))


def refuse_link(path: Path) -> None:
    """Refuse a link in the place of something that vaekl would write.

    Raises:
        VaeklError: it is one, though it may lead nowhere.
    """
    if path.is_symlink():
        raise VaeklError(f"{printable(str(path))} is {_LINK}: take it away.")


def refuse_strange(folder: Path) -> None:
    """Refuse a folder with a link, a pipe or a device in it, however deep: other libraries write there too.

    Left alone are submitit's own links, which it never writes through: in its folder, to a file in it.

    Raises:
        VaeklError: names the first one.
    """
    for place, folders, files in os.walk(folder):
        for name in folders:
            refuse_link(Path(place, name))
        for file in (Path(place, name) for name in files):
            inside = file.parent.name == _SUBMITIT and file.resolve().is_relative_to(file.parent.resolve())
            try:
                _check_regular(file, file.stat() if inside else file.lstat())
            except NotRegularError as error:
                what = str(error.strerror).removeprefix("it ")
                raise VaeklError(f"{printable(str(file))} {what}: take it away.") from error
            except FileNotFoundError:  # by now another process has taken it away
                pass


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, and links to folders, by name; none where it cannot be read.

    Raises:
        VaeklError: there are more entries than anybody has runs.
    """
    names = []
    with suppress(OSError), os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number == _MOST_ENTRIES:
                raise VaeklError(f"{printable(str(folder))} has more than {_MOST_ENTRIES:,} entries: name a run in it.")
            with suppress(OSError):  # a link to itself is no folder, and hides none
                if entry.is_dir():
                    names.append(entry.name)
    return [folder / name for name in sorted(names)]


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
        sync(partial)
        if previous is not None and path.exists():
            _keep(path, previous)
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise VaeklError(unwritable(path, what, error)) from error
        raise


def sync(path: Path) -> None:
    """Have a file's content, or the names in a folder, on the disk before anything else is done.

    Raises:
        OSError: the disk fails; not for a folder where the system cannot sync any.
    """
    descriptor = os.open(path, os.O_RDONLY | _NEVER_WAIT)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name by a hard link; without links, its only name."""
    link = previous.with_name(f".{previous.name}.partial")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:
        path.replace(previous)
        return
    try:
        link.replace(previous)
    finally:
        # after a kill both names may be one file's already, and then the system moves nothing
        link.unlink(missing_ok=True)


def inner_folder(path: Path) -> None:
    """Make a folder inside a run or a sweep, unless it is there.

    Raises:
        VaeklError: it is a link, through which files would be written in another place, or it cannot be made.
    """
    refuse_link(path)
    made_folder(path)


def made_folder(path: Path, what: str = "folder", option: str = "") -> None:
    """Make a folder that the user names, unless it or a link to one is there.

    Args:
        path: the folder.
        what: it is, for the sentence.
        option: that names another one, for the sentence.

    Raises:
        VaeklError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VaeklError(unmade(path, what, option, error)) from error


@contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold a lock file; the system frees the lock if this process is killed.

    Args:
        path: the file, which is made if need be and stays: a process that has a removed one open would hold a lock
            that nobody else sees.
        timeout: seconds to wait for another process; below 0 without end.

    Raises:
        filelock.Timeout: another process holds it.
        OSError: it cannot be made, or is no regular file.
    """
    # filelock itself goes through links, and some versions empty the file that they find
    os.close(open_regular(path, os.O_RDWR | os.O_CREAT))
    with FileLock(path, timeout):
        yield


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Wait until no other process writes this file, and keep others from writing it.

    Raises:
        VaeklError: the folder cannot be written.
    """
    lock = path.with_name(f".{path.stem}.lock")
    with ExitStack() as held:
        try:
            held.enter_context(locked(lock))
        except OSError as error:
            raise VaeklError(unwritable(lock, "lock", error)) from error
        yield


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Lock a folder.

    Raises:
        VaeklError: another process has locked it.
    """
    lock = folder / LOCK
    with ExitStack() as held:
        try:
            held.enter_context(locked(lock, timeout=0))
        except Timeout as error:
            raise VaeklError(f"another process is training in {folder}: wait for it, or stop it first.") from error
        except OSError as error:
            raise VaeklError(unwritable(lock, "lock", error)) from error
        yield


@contextmanager
def own_folder(path: Path, what: str, option: str) -> Iterator[None]:
    """A folder for this process alone, made if need be, and then taken away again where an error leaves it empty.

    Args:
        path: the folder.
        what: it is, for the sentence.
        option: that names another one, for the sentence.

    Raises:
        VaeklError: it cannot be made, or another process has locked it.
    """
    missing = [place for place in (path, *path.parents) if not os.path.exists(place)]
    made_folder(path, what, option)
    with sole_user(path):
        try:
            yield
        except BaseException:
            with suppress(OSError):  # a folder above it that holds anything else stays
                if missing and os.listdir(path) == [LOCK]:
                    (path / LOCK).unlink()
                    for folder in missing:
                        folder.rmdir()
            raise


def unwritable(path: Path, what: str, error: BaseException) -> str:
    """The sentence for a file that could not be written."""
    number = getattr(error, "errno", None)
    full = number == errno.ENOSPC or is_full(path.parent)
    reason = "the disk is full" if full else first_line(error)
    cure = "free some space" if full else "make the folder writable"
    if number in (errno.EFBIG, errno.EDQUOT):
        cure = (
            "raise the limit on the size of files (ulimit -f)" if number == errno.EFBIG else "free some of your quota"
        )
    if number == errno.EROFS:
        reason, cure = "its disk is read-only", "see to the disk and mount it for writing"
    if isinstance(error, NotADirectoryError | FileExistsError):
        cure = "a file stands where a folder should, choose another place"
    if isinstance(error, NotRegularError):
        reason, cure = str(error.strerror), "take it away"
    if isinstance(error, FileNotFoundError):
        reason, cure = "the folder is gone", "put it back, or resume it where it was moved to"
    return f"the {what} {printable(str(path))} could not be written ({reason}): {cure}; what was saved before is kept."
