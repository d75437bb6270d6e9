"""PyTorch's optimisers without its compiler, which takes more than a second to import, where nothing is compiled.

Some functions of `torch.optim` are marked so that `torch.compile` does not look into them. The marks are made by
`torch._dynamo`, which these functions import at their first call, also in a program that compiles nothing, for which
the marks do nothing. Here they get the marks once that module is loaded for another reason, and do without until then.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch

_COMPILER = "torch._dynamo"
#: what the two functions of PyTorch that make the marks name: one that names anything else is left as it is
_NAMED_BY_MARK = {"getattr", "torch._dynamo", "_dynamo", "disable", "__dynamo_disable"}
_NAMED_BY_STEP = {
    "torch._dynamo", "_dynamo", "graph_break", "cast", "Optimizer", "is_grad_enabled", "set_grad_enabled",
    "defaults",
}  # fmt: skip


def put_off() -> None:
    """Let the optimisers of PyTorch import its compiler no earlier than something is compiled.

    Nothing is changed where the compiler is loaded already, or where this PyTorch makes its marks in another way.
    """
    if _COMPILER in sys.modules:
        return
    try:
        from torch._compile import _disable_dynamo
        from torch.optim.optimizer import _use_grad_for_differentiable
    except ImportError:
        return
    mark, step = _disable_dynamo(_nothing).__code__, _use_grad_for_differentiable(_nothing).__code__
    optimizers = {torch.optim.Optimizer, *(kind for kind in vars(torch.optim).values() if _is_optimizer(kind))}
    for kind in optimizers:
        for name, function in list(vars(kind).items()):
            code = getattr(function, "__code__", None)
            if code is mark and set(code.co_names) == _NAMED_BY_MARK:
                _put_off_mark(function)
            elif code is step and set(code.co_names) == _NAMED_BY_STEP:
                setattr(kind, name, _without_breaks(function))


def _put_off_mark(marked: Any) -> None:
    """Fill the place where a marked function keeps what the compiler has made of it, until the compiler is there."""
    function = marked.__wrapped__

    def unmarked(*args: Any, **kwargs: Any) -> Any:
        if _COMPILER not in sys.modules:
            return function(*args, **kwargs)
        if function.__dict__.get("__dynamo_disable") is unmarked:
            del function.__dynamo_disable
        return marked(*args, **kwargs)

    function.__dynamo_disable = unmarked


def _without_breaks(marked: Any) -> Callable[..., Any]:
    """The step of an optimiser with gradients as it wants them, as PyTorch's own, without the compiler's two breaks."""
    function = marked.__wrapped__

    @functools.wraps(marked)
    def step(self: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> Any:
        if _COMPILER in sys.modules:
            return marked(self, *args, **kwargs)
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return function(self, *args, **kwargs)

    return step


def _is_optimizer(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)


def _nothing() -> None:
    """A function to be marked."""
