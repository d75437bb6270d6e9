"""The tensors of PyTorch's files and of safetensors, by name, each described before it is copied into memory."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import ZIP_STORED, ZipFile, is_zipfile

import torch
from torch import Tensor

from vaekl.data.files import open_file
from vaekl.data.ondisk import Array
from vaekl.data.sources.array_files import (
    MOST_MEMBERS,
    InParts,
    Member,
    check_memory,
    check_unfolding,
    reading,
    unusable,
)
from vaekl.system.errors import VaeklError
from vaekl.system.libraries import formats

_TORCH, _SAFETENSORS = "a file of PyTorch's", "a safetensors file"
_CURE = "store it as an .npy file and set dataset.path to that; those are never loaded whole"
#: bytes of the description of a file's tensors
_LONGEST_PICKLE = 1 << 24


def of_torch(file: Path) -> dict[str, Member]:
    """The tensors that torch.save wrote: one, named as the file, or a dict or list of them; no other object is made.

    Raises:
        VaeklError: it is unreadable, or holds other objects.
    """
    content = _loaded(file)
    members: dict[str, Member] = {}
    for name, value in _items(content, file.stem):
        if len(members) >= MOST_MEMBERS:
            break
        members[name] = _tensor(file, value) if isinstance(value, Tensor) else unusable("no tensor")
    return members


def of_safetensors(file: Path) -> dict[str, Member]:
    """The tensors of a safetensors file.

    Raises:
        VaeklError: it is unreadable, or the library is not there.
    """
    library: Any = formats("safetensors", _SAFETENSORS, file)
    with reading(file, _SAFETENSORS):
        open_file(file).close()
        with library.safe_open(file, "pt") as content:
            names = list(content.keys())[:MOST_MEMBERS]
            return {name: _slice(file, name, content.get_slice(name), library) for name in names}


def _slice(file: Path, name: str, description: Any, library: Any) -> Member:
    """One tensor of a safetensors file, by its description."""
    shape, kind = tuple(description.get_shape()), str(description.get_dtype())

    def read() -> Array:
        with reading(file, _SAFETENSORS), library.safe_open(file, "pt") as content:
            return _array(file, content.get_tensor(name))

    return Member(shape, {"F": "f", "U": "u", "I": "i", "C": "c"}.get(kind[0], "b" if kind == "BOOL" else "f"), read)


def _loaded(file: Path) -> Any:
    """What a file of PyTorch's holds, its tensors mapped and not read."""
    with reading(file, _TORCH):
        with open_file(file) as opened:
            if not is_zipfile(opened):
                raise ValueError("it is none that torch.save of version 1.6 or later wrote")
        with InParts(open_file(file).detach()) as opened, ZipFile(opened) as archive:
            parts = archive.infolist()
        if any(part.compress_type != ZIP_STORED for part in parts):
            raise ValueError("its parts are compressed, as torch.save writes none")
        if sum(part.file_size for part in parts if part.filename.endswith(".pkl")) > _LONGEST_PICKLE:
            raise ValueError("it holds more than tensors")
        try:
            with warnings.catch_warnings():  # about tensors of rare kinds, which are not used
                warnings.simplefilter("ignore")
                return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except UnpicklingError as error:
            raise VaeklError(
                f"{file} holds objects that are not tensors, which are never read: save a tensor or a dict of tensors "
                "with torch.save."
            ) from error


def _items(content: Any, name: str, deepest: int = 2) -> Iterator[tuple[str, Any]]:
    """Tensors by name; those inside of a dict or list have its name before their own."""
    if not isinstance(content, Mapping | list | tuple) or not deepest:
        yield name, content
        return
    items = content.items() if isinstance(content, Mapping) else ((f"item_{i}", one) for i, one in enumerate(content))
    for key, value in items:
        yield from _items(value, str(key) if deepest == 2 else f"{name}/{key}", deepest - 1)


def _tensor(file: Path, tensor: Tensor) -> Member:
    """One tensor of a file of PyTorch's."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested or tensor.is_meta:
        return unusable("sparse, quantized, nested or without values")
    kind = "f" if tensor.is_floating_point() else "c" if tensor.is_complex() else "i"

    def read() -> Array:
        # an expanded tensor has more values than the file
        stored = tensor.untyped_storage().nbytes()
        check_unfolding(file, "a tensor", tensor.numel() * tensor.element_size(), stored)
        with reading(file, _TORCH):
            return _array(file, tensor)

    return Member(tuple(tensor.shape), "b" if tensor.dtype == torch.bool else kind, read)


def _array(file: Path, tensor: Tensor) -> Array:
    """A copy in memory, which does not change or vanish with the file."""
    check_memory(file, tensor.numel() * max(tensor.element_size(), 4 * tensor.is_floating_point()), _CURE)
    tensor = tensor.detach().resolve_conj().resolve_neg()
    is_known = tensor.dtype in (torch.float16, torch.float32, torch.float64) or not tensor.is_floating_point()
    array: Array = (tensor if is_known else tensor.float()).clone().contiguous().numpy()
    return array
