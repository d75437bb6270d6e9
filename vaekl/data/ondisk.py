"""Images that stay in their file: read batch by batch ahead of the device, into memory that does not grow."""

import os
import queue
import threading
from collections.abc import Generator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekl.data.files import header_of, open_file
from vaekl.system.errors import VaeklError

Array = np.ndarray[Any, np.dtype[Any]]
Index = Tensor | slice
#: batches that are read before the device takes the first of them
_AHEAD = 8


class OnDisk:
    """Images in an .npy file, or some of them; indexing chooses images without reading any, `gather` reads.

    They are read with `pread` into buffers, not mapped: mapped pages count as the process's memory, up to 2 MB for each
    image touched, and a file that is cut short kills who has it mapped.

    Args:
        file: an .npy file of a plain array.
        hashes: uint64 [N], digests of each image's content, if they are known.

    Raises:
        OSError, ValueError: the file cannot be read, is truncated, or holds objects.
    """

    def __init__(self, file: Path, hashes: Array | None = None) -> None:
        header = header_of(file)
        if not header.is_rowwise:
            raise ValueError("it is in Fortran order, save numpy.ascontiguousarray of it")
        self.target = torch.device("cpu")
        self._open = open_file(file)
        self._offset, self._stored, self._type = header.offset, header.dtype, np.dtype(header.dtype)
        self._shape, self._axes = header.shape, tuple(range(len(header.shape)))
        self._rows: Array | None = None
        self._hashes = hashes

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the images as `gather` gives them: (N, C, H, W) once the axes are moved."""
        sides = (*self._shape, 1)
        return (len(self), *(sides[axis] for axis in self._axes[1:]))

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self._axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that `gather` gives, as numpy calls it."""
        return self._type

    @property
    def device(self) -> torch.device:
        """Where an index is wanted: on the CPU, wherever the images are to go."""
        return torch.device("cpu")

    def __len__(self) -> int:
        return self._shape[0] if self._rows is None else len(self._rows)

    def __getitem__(self, index: Tensor | Array | slice) -> "OnDisk":
        """Some of the images, none of them read."""
        rows = self._chosen(index if isinstance(index, slice) else np.asarray(index))
        return self._like(_rows=rows.astype(np.int32 if self._shape[0] < 2**31 else np.int64))

    def moved(self, *axes: int) -> "OnDisk":
        """The same images with their axes in another order.

        Args:
            axes: which axis of the file each new one is; 0 stays first, and one more than the file has is of length 1.
        """
        return self._like(_axes=axes)

    def astype(self, kind: type[np.generic], copy: bool = False) -> "OnDisk":
        """The same images, to be converted as they are read."""
        return self._like(_type=np.dtype(kind))

    def to(self, device: torch.device | str) -> "OnDisk":
        """The same images, which are put on that device as they are read."""
        return self._like(target=torch.device(device))

    def read(self, index: Array | slice) -> Array:
        """Some images as an array in memory, [B, ...] with the axes of `shape`.

        Args:
            index: whole numbers [B], or a slice.

        Raises:
            VaeklError: the file has become shorter, or its disk fails.
        """
        rows = self._chosen(index)
        images = np.empty((len(rows), *self._shape[1:]), self._stored)
        if not images.size:
            return images.reshape(0, *self.shape[1:]).astype(self._type)
        size = images.nbytes // len(images)
        space = images.reshape(-1).view(np.uint8).data
        # neighbours are read together
        starts = np.concatenate([[0], np.flatnonzero(np.diff(rows) != 1) + 1, [len(rows)]])
        firsts, ends = rows[starts[:-1]].tolist(), (starts * size).tolist()
        for first, begin, end in zip(firsts, ends[:-1], ends[1:], strict=True):
            self._fill(space[begin:end], self._offset + first * size)
        if len(self._axes) > len(self._shape):
            images = images[..., None]
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(images.transpose(self._axes), self._type)

    def _chosen(self, index: Array | slice) -> Array:
        """The rows of the file that these images are."""
        if self._rows is not None:
            return self._rows[index]
        if isinstance(index, slice):
            return np.arange(*index.indices(self._shape[0]))
        return index

    def _fill(self, space: memoryview, offset: int) -> None:
        try:
            while space and (count := os.preadv(self._open.fileno(), [space], offset)):
                space, offset = space[count:], offset + count
        except OSError as error:
            raise VaeklError(f"{self._open.name} cannot be read ({error.strerror}): see to its disk.") from error
        if space:
            raise VaeklError(f"{self._open.name} has become shorter since the run began: put it back and resume.")

    @property
    def hashes(self) -> Array | None:
        """Digests of each image's content, uint64 [N], where they are known without reading the images."""
        return self._hashes if self._hashes is None or self._rows is None else self._hashes[self._rows]

    def gather(self, index: Index) -> Tensor:
        """Some images on their device, [B, ...] with the axes of `shape`.

        Args:
            index: whole numbers [B], best on the CPU, or a slice.

        Raises:
            VaeklError: as for `read`.
        """
        return self._staged(index).to(self.target, non_blocking=True)

    def stream(self, indices: Iterable[Index]) -> Generator[Tensor]:
        """What `gather` gives for each index, in order, read ahead by one thread that ends with this generator.

        Raises:
            VaeklError: as for `gather`.
        """
        ready: queue.Queue[Tensor | BaseException | None] = queue.Queue(_AHEAD)
        ended = threading.Event()

        def read() -> None:
            last: BaseException | None = None
            try:
                for index in indices:
                    if not _put(ready, self._staged(index), ended):
                        return
            except BaseException as error:
                last = error
            _put(ready, last, ended)

        thread = threading.Thread(target=read, name="vaekl read-ahead", daemon=True)
        thread.start()
        try:
            while (batch := ready.get()) is not None:
                if isinstance(batch, BaseException):
                    raise batch
                yield batch.to(self.target, non_blocking=True)
        finally:
            ended.set()
            with suppress(queue.Empty):  # the thread may wait for room
                while True:
                    ready.get_nowait()
            thread.join()

    def _staged(self, index: Index) -> Tensor:
        images = torch.from_numpy(self.read(index if isinstance(index, slice) else index.cpu().numpy()))
        return images.pin_memory() if self.target.type == "cuda" else images

    def _like(self, **changes: object) -> "OnDisk":
        other = object.__new__(OnDisk)
        other.__dict__.update(self.__dict__ | changes)
        return other


def _put(ready: "queue.Queue[Any]", item: object, ended: threading.Event) -> bool:
    """Wait for room, unless nobody reads any more."""
    while not ended.is_set():
        with suppress(queue.Full):
            ready.put(item, timeout=0.1)
            return True
    return False
