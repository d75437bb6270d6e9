"""Random draws of a loss that samples, held at +1 and −1: of these the mean of a quadratic is that of a normal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

_NARROW = (torch.float32, torch.float16, torch.bfloat16)


@contextmanager
def held(sign: float) -> Iterator[None]:
    """While inside, every normal draw is `sign`, no .float() costs digits, and what else is random has one seed."""

    def like(values: Tensor, **options: Any) -> Tensor:
        return torch.full_like(values, sign, **options)

    def sized(*size: Any, **options: Any) -> Tensor:
        options.pop("generator", None)
        shape = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
        return torch.full(tuple(options.pop("size", shape)), sign, **options)

    def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, **options: Any) -> Tensor:
        options.pop("generator", None)
        drawn = torch.full(tuple(size), sign, **options) if size is not None else sign
        return torch.as_tensor(mean + std * drawn)

    def filled(values: Tensor, mean: float = 0.0, std: float = 1.0, **_: Any) -> Tensor:
        return values.fill_(mean + sign * std)

    change: Callable[..., Tensor] = Tensor.to

    def to(values: Tensor, *arguments: Any, **options: Any) -> Tensor:
        if options.get("dtype") in _NARROW:
            options["dtype"] = torch.float64
        return change(values, *(torch.float64 if each in _NARROW else each for each in arguments), **options)

    places: tuple[tuple[Any, str, Callable[..., Tensor]], ...] = (
        (torch, "randn_like", like),
        (torch, "randn", sized),
        (torch, "normal", normal),
        (Tensor, "normal_", filled),
        (Tensor, "float", Tensor.double),
        (Tensor, "half", Tensor.double),
        (Tensor, "bfloat16", Tensor.double),
        (Tensor, "to", to),
    )
    before = [getattr(place, name) for place, name, _ in places]
    for place, name, draw in places:
        setattr(place, name, draw)
    torch.default_generator.manual_seed(0)
    try:
        yield
    finally:
        for (place, name, _), original in zip(places, before, strict=True):
            setattr(place, name, original)
