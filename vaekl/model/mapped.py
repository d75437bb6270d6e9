"""What `torch.vmap` needs to map a model over several sets of parameters, as quickly as it can be done by hand."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode


def applied(function: type[torch.autograd.Function], *args: Any) -> Any:
    """`function.apply`, of a function of rows [B, ...] or of single values, also where `torch.vmap` maps it.

    Args:
        function: whose result for a row depends on that row of its arguments alone, those without rows left aside.
        args: of which the tensors broadcast against each other.
    """
    if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        return _Rows.apply(function, *args)
    return function.apply(*args)


def needs_gradient(tensor: Tensor) -> bool:
    """`tensor.requires_grad`, also inside `torch.vmap`, where no tensor says so of itself.

    Args:
        tensor: of any shape.
    """
    if not torch.compiler.is_compiling():
        while torch._C._functorch.is_batchedtensor(tensor):
            tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor.requires_grad


class Linears(TorchFunctionMode):
    """Inside it `torch.vmap` takes one batched product for a linear layer with weights for each model."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is linear and not kwargs and len(args) == 3 and args[0].dim() == 2 and args[2] is not None:
            return _Linear.apply(*args)
        return func(*args, **(kwargs or {}))


class _OnlyMapped(torch.autograd.Function):
    """A function that is never called but where `torch.vmap` maps it, by its `vmap`."""

    @staticmethod
    def forward(*args: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def setup_context(*args: Any) -> None:
        raise NotImplementedError


class _Rows(_OnlyMapped):
    """Another function, of the rows of all models as rows of one."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, function: type[torch.autograd.Function], *args: Any) -> Any:
        models, is_mapped = info.batch_size, [place is not None for place in in_dims[1:]]
        moved = [
            arg.movedim(place, 0) if place is not None else arg for arg, place in zip(args, in_dims[1:], strict=True)
        ]
        # of one model
        shapes: list[tuple[int, ...]] = [
            (arg.shape[1:] if mapped else arg.shape) if isinstance(arg, Tensor) else ()
            for arg, mapped in zip(moved, is_mapped, strict=True)
        ]
        axes = max(len(shape) for shape in shapes)
        if axes == 0:
            return function.apply(*moved), 0
        rows = max(shape[0] for shape in shapes if len(shape) == axes)
        together = [
            arg.reshape(models if mapped else 1, *[1] * (axes - len(shape)), *shape)
            .expand(models, rows, *[-1] * (axes - 1))
            .flatten(0, 1)
            if isinstance(arg, Tensor)
            else arg
            for arg, mapped, shape in zip(moved, is_mapped, shapes, strict=True)
        ]
        result = function.apply(*together)
        if isinstance(result, tuple):
            return tuple(part.unflatten(0, (models, rows)) for part in result), (0,) * len(result)
        return result.unflatten(0, (models, rows)), 0


class _Linear(_OnlyMapped):
    """x [B, F] times weights [G, F], plus a bias [G]."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Any:
        x, weight, bias = (
            arg.movedim(place, 0) if place is not None else arg.expand(info.batch_size, *arg.shape)
            for arg, place in zip((x, weight, bias), in_dims, strict=True)
        )
        return torch.baddbmm(bias.unsqueeze(1), x, weight.mT), 0
