"""Parts of a model that are neither PyTorch's nor vaekl's, and may therefore do something else in a later step."""

from collections import deque
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any

from torch import Tensor

#: packages whose classes and functions do the same in each step, unless their tensors differ
_KNOWN = ("vaekl", "torch", "builtins", "collections", "functools", "pathlib")


def foreign_part(value: Any, seen: set[int] | None = None) -> str | None:
    """The name of a class or function of another package in an object, such as a hook's; None where there is none.

    Args:
        value: any object; looked through are a module's parts, attributes, containers and what functions hold.
        seen: those that were looked at already.
    """
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, Tensor | ModuleType):
        return None
    seen.add(id(value))
    package = str(getattr(value, "__module__", type(value).__module__))
    if package.split(".")[0] not in _KNOWN:
        return f"{package}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    return next((name for part in _parts(value) if (name := foreign_part(part, seen)) is not None), None)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, type):
        return []
    parts = [*getattr(value, "__dict__", {}).values()]
    slots = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    parts += [getattr(value, name, None) for name in slots if not name.startswith("__")]
    if isinstance(value, partial):
        parts += [value.func, value.args, value.keywords]
    for cell in getattr(value, "__closure__", None) or ():
        with suppress(ValueError):  # nothing is in it yet
            parts.append(cell.cell_contents)
    parts += [getattr(value, name) for name in ("__self__", "__func__") if hasattr(value, name)]
    if isinstance(value, dict):
        parts += value.values()
    elif isinstance(value, list | tuple | set | frozenset | deque):
        parts += value
    return parts
