"""Arrays of a user's own as a run stores its data: axes in order, values checked, some at a time."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekl.data.ondisk import Array, OnDisk
from vaekl.data.spec import DataSpec
from vaekl.data.together import Together, gathered
from vaekl.system.errors import InputError

Images = Array | Tensor | OnDisk | Together
#: values that are looked at together
_AT_ONCE = 2**22
#: by how much of a level a float may miss one: x/255 in half precision does so by 0.06
_NEAR_A_LEVEL = 0.1
#: the largest whole number up to which float32 holds every one
_MOST_COUNT = 2**24


@dataclass(frozen=True)
class Converted:
    """Images that become a run's stored values as they are gathered.

    Args:
        images: [N, *S], in memory or in a file.
        dtype: in which their values are stored.
        top: what floats in [0, 1] are multiplied by to become levels; None for values that stay.
        target: where they go.
    """

    images: Images
    dtype: np.dtype[Any]
    top: int | None = None
    target: torch.device | str = "cpu"

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *S)."""
        return tuple(self.images.shape)

    @property
    def device(self) -> torch.device:
        """Where an index is wanted."""
        return torch.device("cpu")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Tensor | slice) -> "Converted":
        """Some of the images, none of them converted."""
        return replace(self, images=self.images[index])

    def to(self, device: torch.device | str) -> "Converted":
        """The same images, which are put on that device as they are gathered."""
        return replace(self, target=device)

    def gather(self, index: Tensor | slice) -> Tensor:
        """Some images on their device, [B, *S]."""
        piece = _piece(self.images, index)
        if self.top is not None:
            piece = np.rint(piece.astype(np.float64) * self.top)
        return torch.from_numpy(np.array(piece, self.dtype, order="C")).to(self.target)

    def stream(self, indices: Iterable[Tensor | slice]) -> Generator[Tensor]:
        """What `gather` gives for each index, in order."""
        yield from map(self.gather, indices)


#: images as a split has them
StoredImages = Tensor | OnDisk | Together | Converted


@dataclass(frozen=True)
class _Values:
    """The range of all values, and what kind of numbers they are; a missing one is looked over where it may be one."""

    low: float
    high: float
    are_whole: bool
    are_near_levels: bool


def converted(images: Images, stored: DataSpec, title: str, floats_are_levels: bool = False) -> Converted:
    """Images as a run stores its own, refused where they are none such.

    Of a run on levels numbers of a whole type are these levels, and floats are shades k/(levels − 1), or all of them
    levels, whatever their values are; a table's columns are always levels.

    Args:
        images: [N, *S] of the run's S.
        stored: the run's data before any transform.
        title: how a sentence names the images.
        floats_are_levels: whether floats are the levels themselves.

    Raises:
        InputError: one sentence that says what the values are, and what the run was trained on.
    """
    kind, size = _type_of(images)
    if kind not in "biuf":
        raise InputError(f"{title} holds no numbers: give {trained_on(stored)}, as this run was trained on.")
    levels = stored.levels if stored.support in ("levels", "binary") else None
    values = _values_of(images, levels, stored.has_missing, title)
    if levels is not None and levels > 2 and kind == "f" and not (stored.codes or floats_are_levels):
        if values.low < 0 or values.high > 1:
            raise InputError(
                f"{title} holds floats from {values.low:.6g} to {values.high:.6g}, and this run was trained on "
                f"{trained_on(stored)}, of which floats are the shades k/{levels - 1} in [0, 1]: give levels a whole "
                f"type, as by astype(int), or divide them by {levels - 1}."
            )
        if not values.are_near_levels:
            raise InputError(
                f"{title} holds values between the levels k/{levels - 1}, and this run was trained on "
                f"{trained_on(stored)}: round them, or give whole numbers from 0 to {levels - 1:,}."
            )
        return Converted(images, _dtype_of(stored), levels - 1)
    if fault := _fault(values, kind, size, stored):
        raise InputError(f"{title} {fault}, and this run was trained on {trained_on(stored)}: give values of its kind.")
    return Converted(images, _dtype_of(stored))


def in_order(array: Array, title: str, stored: DataSpec) -> tuple[Array, Callable[[Tensor], Tensor]]:
    """An array with the axes [N, *S], and what gives a tensor [N, *S] the axes of the array.

    The channels may come first or last, and where there is one be left out; where both fit they come first.

    Args:
        array: the user's.
        title: how a sentence names the array.
        stored: the run's data.

    Raises:
        InputError: it has another shape.
    """
    sides, shape = tuple(array.shape[1:]), stored.shape
    if sides == shape and len(array):
        return array, lambda x: x
    if len(shape) > 1 and len(array):
        if sides == (*shape[1:], shape[0]):
            return np.moveaxis(array, -1, 1), lambda x: x.movedim(1, -1)
        if shape[0] == 1 and sides == shape[1:]:
            return array[:, None], lambda x: x.squeeze(1)
    raise wrong_shape(array.shape, title, stored)


def wrong_shape(shape: tuple[int, ...], title: str, stored: DataSpec) -> InputError:
    """The sentence for examples of another shape than the run's, or none of them.

    Args:
        shape: (N, ...) of the user's array.
        title: how a sentence names the array.
        stored: the run's data.
    """
    if shape[0] == 0:
        return InputError(f"{title} holds no examples, since its shape is {list(shape)}: give at least one.")
    own = stored.shape
    layouts = [own] if len(own) == 1 else [own, (*own[1:], own[0]), *([own[1:]] if own[0] == 1 else [])]
    words = " or ".join(f"[N, {', '.join(map(str, layout))}]" for layout in dict.fromkeys(layouts))
    return InputError(
        f"{title} has the shape {list(shape)}, and this run was trained on {trained_on(stored)}: give {words}."
    )


def trained_on(stored: DataSpec) -> str:
    """What a run's own data are, in words."""
    sides = "×".join(map(str, stored.shape))
    if stored.columns:
        return f"rows of {len(stored.codes):,} columns" + (f", {stored.dims:,} numbers" if stored.codes else "")
    values = {
        "binary": "the values 0 and 1",
        "levels": f"the levels 0 to {(stored.levels or 0) - 1:,}",
        "counts": "counts 0, 1, 2, ...",
        "unit_interval": "values in [0, 1]",
    }.get(stored.support, "real numbers")
    return f"{stored.example}s of {sides} with {values}"


def _fault(values: _Values, kind: str, size: int, stored: DataSpec) -> str:
    """Why values are not those of a run; empty where they are."""
    support, levels = stored.support, stored.levels
    reach = f"holds values from {values.low:.6g} to {values.high:.6g}"
    if support == "unit_interval" and kind in "iu":
        return "holds whole numbers"
    if support == "unit_interval":
        return "" if values.low >= 0 and values.high <= 1 else reach
    if support == "real":
        return ""
    most = _MOST_COUNT if support == "counts" else (levels or 2) - 1
    if not values.are_whole:
        return f"{reach}, not all of them whole"
    if values.low < 0 or values.high > most:
        return reach
    return "is of 8 bits" if kind in "iu" and size == 1 and most > 255 and support == "levels" else ""


def _dtype_of(stored: DataSpec) -> np.dtype[Any]:
    if stored.support in ("unit_interval", "real"):
        return np.dtype(np.float32)
    return np.dtype(np.uint8 if stored.levels is not None and stored.levels <= 256 else np.int32)


def _type_of(images: Images) -> tuple[str, int]:
    """The kind of a type, as NumPy has it, and how many bytes a value takes."""
    if isinstance(images, np.ndarray | OnDisk):
        return images.dtype.kind, images.dtype.itemsize
    piece = _piece(images, slice(0, 1))
    return piece.dtype.kind, piece.dtype.itemsize


def _piece(images: Images, index: Tensor | slice) -> Array:
    if isinstance(images, np.ndarray):
        return images[index if isinstance(index, slice) else index.cpu().numpy()]
    piece: Array = gathered(images, index).cpu().numpy()
    return piece


def _pieces(images: Images) -> Iterator[Array]:
    step = max(1, _AT_ONCE // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), step):
        yield _piece(images, slice(start, start + step))


def _values_of(images: Images, levels: int | None, has_missing: bool, title: str) -> _Values:
    """What the values are.

    Raises:
        InputError: some are not finite.
    """
    low, high, are_whole, are_near = np.inf, -np.inf, True, True
    for piece in _pieces(images):
        if piece.dtype.kind == "f":
            piece = piece[~np.isnan(piece)] if has_missing else piece
            with np.errstate(over="ignore"):
                are_finite = np.isfinite(piece.astype(np.float32, copy=False))
            if count := int((~are_finite).sum()):
                raise InputError(
                    f"{title} has {count:,} values that are NaN or infinite as float32: remove or replace them."
                )
            if levels is not None:
                scaled = piece.astype(np.float64) * (levels - 1)
                are_near = are_near and bool((np.abs(scaled - np.rint(scaled)) <= _NEAR_A_LEVEL).all())
            are_whole = are_whole and bool((piece == np.rint(piece)).all())
        if piece.size:
            low, high = min(low, float(piece.min())), max(high, float(piece.max()))
    return _Values(low, high, are_whole, are_near)
