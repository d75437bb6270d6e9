"""What the reference pages show of each public name: a sentence, every argument, and the shape of every tensor."""

import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import vaekl


def names(module: ModuleType) -> dict[str, Any]:
    """What a module offers: what it lists, or what is written in it; of its public modules likewise."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    offered: dict[str, Any] = {}
    for name in getattr(module, "__all__", [name for name in own if name[0] != "_"]):
        thing = getattr(module, name)
        inner = names(thing) if isinstance(thing, ModuleType) else {"": thing}
        offered |= {f"{name}.{rest}".rstrip("."): value for rest, value in inner.items()}
    return offered


PUBLIC = names(vaekl)
#: those that are called; nobody but vaekl makes its error
CALLED = {name: thing for name, thing in PUBLIC.items() if name != "VaeklError"}
#: what it is, or where its shape follows from another's
SHAPE = re.compile(r"\[.*\]|\ba (number|scalar)\b|\bany( one)? shape\b|\bbroadcasts against\b")


def methods() -> Iterator[tuple[str, type, str, Any]]:
    """The public methods and properties that each public class writes: its name and theirs."""
    for name, thing in PUBLIC.items():
        for attribute, value in vars(thing).items() if isinstance(thing, type) else ():
            if attribute[0] != "_" and (callable(value) or isinstance(value, property | staticmethod | classmethod)):
                yield name, thing, attribute, value


def texts(thing: type | Callable[..., Any], method: str = "") -> list[str]:
    """The docstrings that speak of something: its own and those of vaekl's bases."""
    classes = [base for base in getattr(thing, "__mro__", [thing]) if base.__module__.startswith("vaekl.")]
    owners = [vars(base)[method] for base in classes if method in vars(base)] if method else []
    return [inspect.getdoc(owner) or "" for owner in [*owners, *classes]]


def entry(name: str, documents: list[str]) -> str:
    """What Args or Shapes say of a parameter, over all of its lines; nothing where they do not."""
    for text in documents:
        for line in re.finditer(rf"^( +)(?:- `)?\*{{0,2}}{name}`?: .*(?:\n\1 +.*)*", text, re.MULTILINE):
            return line[0]
    return ""


def test_every_public_name_has_a_sentence():
    first = {name: (thing.__doc__ or "").strip().partition("\n\n")[0] for name, thing in PUBLIC.items()}
    assert [name for name, sentence in first.items() if not re.search(r"\w.*[.:]$", sentence, re.DOTALL)] == []


def test_every_public_method_has_a_sentence():
    without = [f"{name}.{method}" for name, thing, method, _ in methods() if not inspect.getdoc(getattr(thing, method))]
    assert without == []


def test_every_argument_of_a_public_name_is_explained():
    missing = []
    for name, thing in CALLED.items():
        parameters = inspect.signature(thing).parameters.values()
        named = [parameter.name for parameter in parameters if parameter.kind not in (2, 4)]  # *args and **kwargs
        missing += [f"{name}({argument})" for argument in named if not entry(argument, texts(thing, "__init__"))]
    assert missing == []


def test_every_tensor_has_its_shape():
    missing = []
    calls = [(name, thing, "__init__", thing) for name, thing in CALLED.items()]
    for name, thing, method, value in [*calls, *methods()]:
        function = getattr(value, "__func__", value)
        if isinstance(value, property):
            continue
        for parameter in inspect.signature(function).parameters.values():
            is_tensor = "Tensor" in str(parameter.annotation)
            if is_tensor and not SHAPE.search(entry(parameter.name, texts(thing, method))):
                missing.append(f"{name}.{method}({parameter.name})")
    assert missing == []
