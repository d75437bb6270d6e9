"""What a stranger may have made of a tensor in a checkpoint: another form, or numbers that are not finite."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Subclass(Tensor):
    """A stranger's own."""


def _as(kind: torch.dtype) -> Callable[[Tensor, random.Random], Any]:
    return lambda t, _: t.to(kind)


def _twice(t: Tensor) -> Tensor:
    return torch.cat([t.flatten(), t.flatten()])


def _with_one(value: float) -> Callable[[Tensor, random.Random], Any]:
    def change(t: Tensor, rng: random.Random) -> Any:
        t = t.clone() if t.is_floating_point() else t.double()
        t.as_strided((t.numel(),), (1,))[rng.randrange(t.numel())] = value
        return t

    return change


def _reshaped(t: Tensor, rng: random.Random) -> Tensor:
    sizes = [size for size in range(1, t.numel() + 1) if t.numel() % size == 0]
    size = rng.choice(sizes)
    return t.reshape(size, t.numel() // size) if rng.random() < 0.7 else t.reshape(size, 1, t.numel() // size)


def _with_attributes(t: Tensor, _: random.Random) -> Tensor:
    t = t.clone()
    t.weird = "\x1b[2J"  # type: ignore[attr-defined]
    return t


TENSORS: dict[str, Callable[[Tensor, random.Random], Any]] = {
    "one fewer": lambda t, _: t.flatten()[:-1].clone(),
    "one more": lambda t, _: torch.cat([t.flatten(), t.flatten()[:1]]),
    "twice": lambda t, _: _twice(t),
    "half of its rows": lambda t, _: t[: len(t) // 2].clone() if t.dim() else t[None],
    "empty": lambda t, _: t.flatten()[:0].clone(),
    "another dimension": lambda t, _: t[None].clone(),
    "a single number": lambda t, _: t.flatten()[0].clone(),
    "huge and empty": lambda t, _: torch.empty(0, 2**40, dtype=t.dtype),
    "reshaped": _reshaped,
    "expanded": lambda t, _: t.flatten()[:1].expand(t.numel()).view(t.shape),
    "expanded to a million": lambda t, _: t.flatten()[:1].expand(1_000_000),
    "overlapping": lambda t, _: _twice(t).as_strided(t.shape, (1,) * t.dim()),
    "every second": lambda t, _: _twice(t)[::2].view(t.shape) if t.dim() < 2 else _twice(t)[::2].unflatten(0, t.shape),
    "transposed": lambda t, _: t.mT.contiguous().mT if t.dim() > 1 else t,
    "channels last": lambda t, _: t.to(memory_format=torch.channels_last) if t.dim() == 4 else t,
    "the beginning of a larger one": lambda t, _: _twice(t)[: t.numel()].view(t.shape),
    "the end of a larger one": lambda t, _: _twice(t)[t.numel() :].view(t.shape),
    "float64": _as(torch.float64),
    "float16": _as(torch.float16),
    "bfloat16": _as(torch.bfloat16),
    "float8": _as(torch.float8_e4m3fn),
    "int64": _as(torch.int64),
    "int8": _as(torch.int8),
    "uint16": lambda t, _: t.to(torch.int32).to(torch.uint16),
    "bool": _as(torch.bool),
    "complex": _as(torch.complex64),
    "conjugate": lambda t, _: t.to(torch.complex64).conj(),
    "negative": lambda t, _: t.to(torch.complex64).conj().imag,
    "the same bytes": lambda t, _: t.reshape(-1).view(torch.uint8),
    "with NaN": _with_one(float("nan")),
    "with inf": _with_one(float("inf")),
    "with -inf": _with_one(-float("inf")),
    "all NaN": lambda t, _: (t if t.is_floating_point() else t.float()) * float("nan"),
    "a parameter": lambda t, _: nn.Parameter(t.clone(), requires_grad=t.is_floating_point()),
    "with a gradient": lambda t, _: t.clone().to(torch.float32).requires_grad_(),
    "sparse": lambda t, _: (t if t.dim() else t[None]).to_sparse(),
    "compressed": lambda t, _: t.to(torch.float32).reshape(1, -1).to_sparse_csr(),
    "quantized": lambda t, _: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8),
    "nested": lambda t, _: torch.nested.nested_tensor([t.flatten(), t.flatten()]),
    "jagged": lambda t, _: torch.nested.nested_tensor([_twice(t).float(), t.flatten().float()], layout=torch.jagged),
    "meta": lambda t, _: t.to("meta"),
    "a subclass": lambda t, _: t.clone().as_subclass(Subclass),
    "with attributes": _with_attributes,
    "a list": lambda t, _: t.tolist(),
    "an array": lambda t, _: t.numpy(),
    "a number": lambda t, _: t.flatten()[0].item(),
    "a storage": lambda t, _: t.untyped_storage(),
    "None": lambda t, _: None,
    "text": lambda t, _: "weights",
    "a dict": lambda t, _: {"data": t},
    "in a list": lambda t, _: [t],
    "the same": lambda t, _: t.clone(),
}  # fmt: skip
