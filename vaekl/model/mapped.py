"""What `torch.vmap` needs to map a model over several sets of parameters, as quickly as it can be done by hand.

A `torch.autograd.Function` may have a `vmap` of its own for this, but to call it takes longer than the kernels of a
small network: here the tensors of all models are taken out of `torch.vmap` and put back.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

try:
    from torch._C._functorch import _add_batch_dim, _unwrap_batched
    from torch._functorch.pyfunctorch import VmapInterpreter, retrieve_current_functorch_interpreter

    _CAN_MAP = True
except ImportError:  # another torch has other private parts: the runs of a stack then take their steps alone
    _CAN_MAP = False

#: inputs below which a layer's weights are transposed first: 590 instead of 850 µs for 23 layers of 8 to 128
_FEW = 16


def applied(function: type[torch.autograd.Function], *args: Any) -> Any:
    """`function.apply`, of a function of rows [B, ...] or of single values, also where `torch.vmap` maps it.

    Args:
        function: whose result for a row depends on that row of its arguments alone, those without rows left aside.
        args: of which the tensors broadcast against each other.
    """
    mapping = _mapping()
    return function.apply(*args) if mapping is None else _applied_to_all(mapping, function, args)


def needs_gradient(tensor: Tensor) -> bool:
    """`tensor.requires_grad`, also inside `torch.vmap`, where no tensor says so of itself.

    Args:
        tensor: of any shape.
    """
    mapping = _mapping()
    own = tensor if mapping is None else _unwrap_batched(tensor, mapping.level())[0]
    return bool(own.requires_grad)


def linears_of(module: nn.Module) -> list[nn.Linear]:
    """The linear layers for which `batched` has something quicker than `torch.vmap`.

    Args:
        module: in which they are.
    """
    return [part for part in module.modules() if type(part) is nn.Linear and part.bias is not None]


@contextmanager
def batched(layers: Sequence[nn.Linear]) -> Iterator[None]:
    """Inside, `torch.vmap` takes one batched product for a linear layer with weights for each model.

    Args:
        layers: those of `linears_of`.
    """
    for layer in layers:
        vars(layer)["forward"] = partial(_linear, layer)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]


def _mapping() -> "VmapInterpreter | None":
    """What maps the present call, where something does."""
    if not _CAN_MAP or torch.compiler.is_compiling() or not torch._C._are_functorch_transforms_active():
        return None
    mapping = retrieve_current_functorch_interpreter()
    return mapping if isinstance(mapping, VmapInterpreter) else None


def _moved(tensor: Tensor, mapping: "VmapInterpreter") -> tuple[Tensor, bool]:
    """Those of all models, [N, ...], or the one that they share; and which of the two it is."""
    of_all, place = _unwrap_batched(tensor, mapping.level())
    return of_all if not place else of_all.movedim(place, 0), place is not None


def _applied_to_all(mapping: "VmapInterpreter", function: type[torch.autograd.Function], args: Sequence[Any]) -> Any:
    """The rows of all models as rows of one."""
    models, level = mapping.batch_size(), mapping.level()
    with mapping.lower():
        moved = [_moved(arg, mapping) if isinstance(arg, Tensor) else (arg, False) for arg in args]
        # of one model
        shapes: list[tuple[int, ...]] = [
            (arg.shape[1:] if mapped else arg.shape) if isinstance(arg, Tensor) else () for arg, mapped in moved
        ]
        axes = max(len(shape) for shape in shapes)
        if axes == 0:
            return _put_back(function.apply(*(arg for arg, _ in moved)), level)
        rows = max(shape[0] for shape in shapes if len(shape) == axes)
        together = [
            arg.reshape(models if mapped else 1, *[1] * (axes - len(shape)), *shape)
            .expand(models, rows, *[-1] * (axes - 1))
            .flatten(0, 1)
            if isinstance(arg, Tensor)
            else arg
            for (arg, mapped), shape in zip(moved, shapes, strict=True)
        ]
        result = function.apply(*together)
        parts = result if isinstance(result, tuple) else (result,)
        apart = tuple(part.unflatten(0, (models, rows)) for part in parts)
    return _put_back(apart if isinstance(result, tuple) else apart[0], level)


def _put_back(result: Any, level: int) -> Any:
    if isinstance(result, tuple):
        return tuple(_add_batch_dim(part, 0, level) for part in result)
    return _add_batch_dim(result, 0, level)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """x [B, F] times weights [G, F], plus a bias [G]."""
    mapping = _mapping()
    if mapping is None or x.dim() != 2:
        return linear(x, layer.weight, layer.bias)
    with mapping.lower():
        of_each = [
            own if mapped else own.expand(mapping.batch_size(), *own.shape)
            for own, mapped in (_moved(tensor, mapping) for tensor in (x, layer.weight, layer.bias))
        ]
        weight = of_each[1].mT
        if layer.in_features < _FEW:  # so that the products of the gradients have long rows
            weight = weight.contiguous()
        result = torch.baddbmm(of_each[2].unsqueeze(1), of_each[0], weight)
    put_back: Tensor = _put_back(result, mapping.level())
    return put_back
