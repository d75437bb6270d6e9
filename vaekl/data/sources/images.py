"""Image files decoded into one array, many at a time: in memory, or once and for all in a file."""

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from vaekl.data.files import open_file
from vaekl.data.ondisk import Array, OnDisk
from vaekl.data.sources import pixels
from vaekl.data.sources.pixels import Decoding, LargeError, Pixels, Reader, UnreadableError
from vaekl.data.sources.staging import one_at_a_time, writable
from vaekl.system.cores import share_memory_of_threads
from vaekl.system.errors import VaeklError
from vaekl.system.files import inner_folder, replacing

log = logging.getLogger(__name__)
#: version of the decoding: raise it when the same files give other pixels, so that cached ones are decoded again
_DECODING = 2
#: how many images may be decoded ahead of the one that is written, and how many bytes they may take
_TOGETHER, _TOGETHER_BYTES = 512, 1 << 28
#: what numpy raises for a file that is missing or truncated
_BROKEN = (OSError, ValueError, EOFError, KeyError, BadZipFile)
#: seconds between messages on how many images are decoded
_MESSAGE_SECONDS = 10


def read_images(paths: Sequence[Path], how: Decoding) -> Array:
    """Decode images.

    Args:
        paths: at least one file.
        how: the pixels are made.

    Returns:
        uint8 [N, C, H, W], or uint16 of images with more than 8 bits a channel.

    Raises:
        VaeklError: a file cannot be read, or is not of the others' size.
    """
    parts = []
    for path, part in zip(paths, _decode(paths, how), strict=True):
        if isinstance(part, UnreadableError):
            raise VaeklError(f"The image {path} cannot be read ({part}); remove or replace it.") from part
        parts.append(part.pages)
    return np.concatenate(parts)


@dataclass(frozen=True)
class Decoded:
    """Files that are decoded: their images in one file, and what each of them gave.

    Args:
        images: [N, C, H, W], in the order of the files.
        pages: [files], how many images are from each; 0 for a file that could not be read.
        flags: [files], as `Pixels` has them.
        others: [files], how many pictures of each were left out.
    """

    images: OnDisk
    pages: Array
    flags: Array
    others: Array


def decoded(
    folder: Path,
    paths: Sequence[Path],
    root: Path,
    how: Reader,
    part: str = "all",
) -> Decoded:
    """Decoded images in a file in the data directory, which is written first if it is missing, broken or out of date.

    What was decoded before, of files that have not changed, is taken over.

    Args:
        folder: where all the images are.
        paths: at least one file.
        root: the data directory; where it cannot be written, the user's cache takes its place.
        how: the pixels are made.
        part: which of the folder's images they are; each part keeps one file for each of these settings.

    Raises:
        VaeklError: images are of different sizes, none can be read, or there is no place for the file.
    """
    settings = _digest([f"{_DECODING} {folder.absolute()} {part} {how}"]).hex()
    try:
        states = [f"{path.relative_to(folder)} {(s := path.stat()).st_size} {s.st_mtime_ns}" for path in paths]
    except OSError as error:
        raise VaeklError(f"The image {error.filename} cannot be read ({error.strerror}); put it back.") from error
    keys = np.frombuffer(b"".join(_digest([state]) for state in states), np.uint64)
    name = f"{folder.name}-{settings}-{_digest(states).hex()}.npy"
    with suppress(*_BROKEN):
        return _Cache.read(root / "decoded" / name).decoded()
    place = writable(root / "decoded")
    if place.name != "decoded":
        place /= "decoded"
    inner_folder(place)
    with one_at_a_time(place / f".{folder.name}-{settings}.lock"):
        file = place / name
        with suppress(*_BROKEN):
            return _Cache.read(file).decoded()  # another process may have written it while this one waited
        before = {}
        stale = sorted(place.glob(f"*-{settings}-*.np[yz]"))
        for old in stale:
            with suppress(*_BROKEN):
                before = _Cache.read(old.with_suffix(".npy")).by_key()
        _write(file, keys, paths[0], _decode(paths, how, [before.get(key) for key in keys.tolist()]))
        for old in stale:
            if old.stem != file.stem:
                old.unlink(missing_ok=True)
        return _Cache.read(file).decoded()


@dataclass
class _Cache:
    """Images in an .npy file, and beside it an .npz file that says of which files they are.

    Args:
        images: [N, C, H, W].
        keys: uint64 [files], digests of each file's name, size and time.
        pages, flags, others: see `Decoded`.
        hashes: uint64 [N], digests of each image's pixels.
    """

    images: OnDisk
    keys: Array
    pages: Array
    flags: Array
    others: Array
    hashes: Array

    @classmethod
    def read(cls, file: Path) -> "_Cache":
        """The cache in a file; one of `_BROKEN` is raised where there is none."""
        with open_file(file.with_suffix(".npz")) as opened, np.load(opened, allow_pickle=False) as index:
            columns = {key: index[key] for key in ("keys", "pages", "flags", "others", "hashes")}
        images = OnDisk(file, columns["hashes"])
        if len(images) != columns["pages"].sum():
            raise ValueError("the index is of other images")
        return cls(images, **columns)

    def decoded(self) -> Decoded:
        """What a source needs of it."""
        return Decoded(self.images, self.pages, self.flags, self.others)

    def by_key(self) -> dict[int, Callable[[], Pixels]]:
        """For each file that could be read what gives its images again."""
        firsts = np.cumsum(self.pages) - self.pages

        def again(row: int) -> Pixels:
            rows = slice(int(firsts[row]), int(firsts[row] + self.pages[row]))
            return Pixels(self.images.read(rows), int(self.flags[row]), int(self.others[row]))

        return {
            key: lambda row=row: again(row)  # type: ignore[misc]
            for row, key in enumerate(self.keys.tolist())
            if self.pages[row]
        }


@dataclass
class _Columns:
    """What is written into the index, file by file."""

    pages: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)


def _write(file: Path, keys: Array, first: Path, parts: Iterator["Pixels | UnreadableError"]) -> None:
    """Write images one after the other into an .npy file, and what each of the files gave beside it."""
    last_message, columns, reason = time.monotonic(), _Columns(), ""
    with replacing(file, "cache of decoded images") as partial, partial.open("wb") as out:
        header: dict[str, object] = {}
        for count, part in enumerate(parts):
            if isinstance(part, UnreadableError):
                reason = reason or str(part)
                part = Pixels(np.zeros((0,), np.uint8))
            elif not header:
                images = part.pages
                _check_room(file.parent, len(keys) * images[0].nbytes)
                header = {"descr": images.dtype.newbyteorder("<").str, "fortran_order": False, "shape": images.shape}
                np.lib.format.write_array_header_1_0(out, header)
            columns.pages.append(len(part.pages))
            columns.flags.append(part.flags)
            columns.others.append(part.others)
            columns.hashes += [blake2b(image.tobytes(), digest_size=8).digest() for image in part.pages]
            out.write(part.pages.tobytes())
            if time.monotonic() - last_message > _MESSAGE_SECONDS:
                last_message = time.monotonic()
                # a warning, since warnings are shown
                log.warning("decoded %s of %s files, once, into %s", f"{count + 1:,}", f"{len(keys):,}", file.parent)
        if not header:
            raise VaeklError(
                f"none of the {len(keys):,} images such as {first} can be read ({reason}); remove or replace them."
            )
        # NumPy leaves room in the header for a longer first axis
        out.seek(0)
        header["shape"] = (len(columns.hashes), *images.shape[1:])
        np.lib.format.write_array_header_1_0(out, header)
        out.flush()
        with replacing(file.with_suffix(".npz"), "index of decoded images") as index, index.open("wb") as beside:
            np.savez(
                beside,
                keys=keys,
                pages=np.array(columns.pages, np.int32),
                flags=np.array(columns.flags, np.uint8),
                others=np.array(columns.others, np.int32),
                hashes=np.frombuffer(b"".join(columns.hashes), np.uint64),
            )


def _check_room(place: Path, size: int) -> None:
    free = shutil.disk_usage(place).free
    if size > free:
        raise VaeklError(
            f"the decoded images would take {size / 1e6:,.3f} MB, and {place} has {free / 1e6:,.3f} MB: set a smaller "
            "dataset.size, or data_dir to a folder that has room."
        )


def _digest(lines: Iterable[str]) -> bytes:
    digest = blake2b(digest_size=8)
    for line in lines:
        digest.update(line.encode(errors="surrogateescape") + b"\n")
    return digest.digest()


def _decode(
    paths: Sequence[Path],
    how: Reader,
    before: Sequence[Callable[[], Pixels] | None] | None = None,
) -> Iterator[Pixels | UnreadableError]:
    """The images of each file in order, all of one shape, with few of them in memory.

    Args:
        paths: the files.
        how: the pixels are made.
        before: for each file what gives its images if they were decoded before.
    """
    first: tuple[Path, Array] | None = None

    def one(number: int, most: int = pixels.MOST_BYTES) -> Pixels | UnreadableError | None:
        """The images of a file; None for those that take more than so many bytes."""
        again = before[number] if before is not None else None
        try:
            return again() if again is not None else how.read(paths[number], most)
        except UnreadableError as error:
            return UnreadableError(str(error))  # without a traceback, which would hold what was decoded
        except LargeError:
            return None

    def share(number: int) -> Pixels | UnreadableError | None:
        return one(number, _TOGETHER_BYTES // together)

    share_memory_of_threads()
    start, together, largest = 0, 1, 0
    with ThreadPoolExecutor() as pool:  # decoding and resizing release the interpreter's lock
        while start < len(paths):
            end = min(start + together, len(paths))
            for number, part in zip(range(start, end), pool.map(share, range(start, end)), strict=True):
                part = part or one(number) or UnreadableError("it takes too much memory")
                if isinstance(part, Pixels):
                    image, largest = part.pages[0], max(largest, part.pages.nbytes)
                    first = first or (paths[number], image)
                    _check_alike(first, (paths[number], image), how.cure)
                yield part
            if largest:
                together = max(1, min(_TOGETHER, _TOGETHER_BYTES // largest))
            start = end


def _check_alike(first: tuple[Path, Array], second: tuple[Path, Array], cure: str) -> None:
    (path, image), (other_path, other) = first, second
    if other.dtype != image.dtype:
        raise VaeklError(
            f"{other_path} has {8 * other.itemsize} bits a channel ({other.dtype}), but {path} {8 * image.itemsize} "
            f"({image.dtype}); make them the same."
        )
    if other.shape != image.shape:
        raise VaeklError(f"{other_path} has the shape {other.shape}, but {path} {image.shape}; {cure}.")
