"""The keys of a run's files, as paths: 0 is a list's first element, and a star a dict's first key."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import inspect

Key = tuple[Any, ...]


def of_record(kind: type[msgspec.Struct]) -> list[Key]:
    """Every key of a record, however deep."""
    return list(_keys(inspect.type_info(kind), ()))


def _keys(node: inspect.Type, path: Key) -> Iterator[Key]:
    if path:
        yield path
    if isinstance(node, inspect.UnionType):
        for kind in node.types:
            yield from (key for key in _keys(kind, path) if key != path)
    elif isinstance(node, inspect.StructType):
        for field in node.fields:
            yield from _keys(field.type, (*path, field.encode_name))
    elif isinstance(node, inspect.ListType):
        yield from _keys(node.item_type, (*path, 0))
    elif isinstance(node, inspect.TupleType):
        yield from _keys(node.item_types[0], (*path, 0))
    elif isinstance(node, inspect.DictType):
        yield from _keys(node.value_type, (*path, "*"))


def completed(content: Any, node: inspect.Type) -> Any:
    """A record in which every key is there and has a value, so that each can be changed."""
    if isinstance(node, inspect.UnionType):
        return completed(content, next(kind for kind in node.types if not isinstance(kind, inspect.NoneType)))
    if isinstance(node, inspect.StructType):
        before = content if isinstance(content, dict) else {}
        return {f.encode_name: completed(before.get(f.encode_name), f.type) for f in node.fields}
    if isinstance(node, inspect.ListType):
        return [completed(item, node.item_type) for item in content or [None]]
    if isinstance(node, inspect.TupleType):
        return [completed(item, kind) for item, kind in zip(content or [None] * 99, node.item_types, strict=False)]
    if isinstance(node, inspect.DictType):
        return {key: completed(value, node.value_type) for key, value in (content or {"all": None}).items()}
    if content is not None:
        return content
    if isinstance(node, inspect.LiteralType):
        return node.values[0]
    return {inspect.StrType: "x", inspect.BoolType: False, inspect.IntType: 1, inspect.FloatType: 1.0}[type(node)]


def of_tree(node: Any, path: Key = ()) -> Iterator[Key]:
    """Every key of what was read from YAML; of lists the first one."""
    if path:
        yield path
    if isinstance(node, dict):
        for key, child in node.items():
            yield from of_tree(child, (*path, key))
    elif isinstance(node, list) and node:
        yield from of_tree(node[0], (*path, 0))


def of_state(node: Any, path: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every key of a checkpoint; of lists, and of parameters that are numbered, the first one."""
    if path:
        yield path, node
    if isinstance(node, dict):
        for key in [*node][:1] if 0 in node else node:
            yield from of_state(node[key], (*path, key))
    elif isinstance(node, list | tuple) and node:
        yield from of_state(node[0], (*path, 0))


def changed(node: Any, key: Key, change: Callable[[Any, Any], Any]) -> Any:
    """A tree in which what holds the last part of a key is replaced by what a function makes of the two."""
    first, rest = next(iter(node)) if key[0] == "*" else key[0], key[1:]
    if not rest:
        return change(node, first)
    node = [*node] if isinstance(node, tuple) else node
    node[first] = changed(node[first], rest, change)
    return node
