"""What a run folder may have called when it is read back: it may come from a stranger."""

import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from vaekl.config.groups import CONF
from vaekl.store import RunFolder
from vaekl.store.config import targets
from vaekl.system.errors import VaeklError, first_line

#: those that take a step without being handed a function
_OPTIMISERS = (
    "Adadelta", "Adafactor", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD",
)  # fmt: skip
_LIBRARIES = {
    "vaekl", "torch", "torchvision", "torchmetrics", "numpy", "scipy", "sklearn", "PIL", "matplotlib", "hydra",
    "hydra_plugins", "omegaconf", "yaml", "joblib", "cloudpickle", "submitit", "tensorboard", "jinja2", "rich",
}  # fmt: skip
#: modules that the user of this process has vouched for
_vouched: list[str] = []


def vouch(words: Sequence[str]) -> list[str]:
    """Take `--trust package.module` out of a command's words, and believe it from here on.

    Raises:
        VaeklError: no module's name follows.
    """
    rest, unread = [], iter(words)
    for word in unread:
        flag, equals, name = word.partition("=")
        if flag != "--trust":
            rest.append(word)
            continue
        vouch_for(name if equals else next(unread, ""))
    return rest


def vouch_for(module: str) -> None:
    """Believe what is defined in a module, or below it, from here on.

    Raises:
        VaeklError: that is no module's name, or a library's.
    """
    if not _is_module(module):
        raise VaeklError(f"--trust needs the name of a module, as in --trust package.module, not {module!r}.")
    if _is_library(module):
        raise VaeklError(f"--trust {module} would let a run folder call everything: name a module of your own.")
    _vouched.append(module)


def vouched() -> tuple[str, ...]:
    """The modules that are believed, for a process that this one starts."""
    return tuple(_vouched)


def config(path: Path, own: Any = None) -> dict[str, Any]:
    """The resolved config of the run in a folder, in which every name to be called may be called.

    Allowed are what the options in `conf/` call, PyTorch's optimisers, what lies below a module that `--trust` names,
    and what the user typed for this very run. A prefix such as `vaekl.` would not do: `vaekl.cli.os.system` has it too.

    Args:
        path: the run folder.
        own: the config that the user has typed for this very run, if any.

    Raises:
        VaeklError: there is no run, its config cannot be read, or it asks for something else.
    """
    run = RunFolder(path)
    content, file = run.config(), run.config_file
    allowed = _shipped() | {name for _, name in targets(own) if isinstance(name, str)}
    for key, name in targets(content):
        if not isinstance(name, str) or (name not in allowed and not _is_vouched(name, key)):
            module = str(name).rpartition(".")[0]
            if _is_module(module) and not _is_library(module):
                raise VaeklError(
                    f"{file} would have {name!r} called, which is no part of vaekl: add --trust {module} if that is "
                    "yours."
                )
            raise VaeklError(
                f"{file} would have {name!r} called, which no option of vaekl's does: somebody changed it; restore it, "
                "or train afresh."
            )
    if any("${" in text for text in _texts(content)):
        raise VaeklError(f"{file} holds an unresolved ${{...}}, which vaekl never writes: restore it, or train afresh.")
    return content


def import_own(group: str, node: Any) -> None:
    """Before what a config names is called: import the user's own modules, from where the command was typed too.

    Only where it names one of those is that folder searched: it may be a stranger's, and libraries look for many
    modules that are not installed, such as TensorBoard for `tensorflow`.

    Raises:
        VaeklError: there is no such module, or no class or function of that name in it.
    """
    for key, name in targets(node, group):
        if isinstance(name, str) and is_own(name) and not callable(_imported(name, key)):
            raise VaeklError(f"{key}={name} is no class or function: name one in it.")


def is_own(name: Any) -> bool:
    """Whether a name to be called is the user's, and no option of vaekl's has it."""
    return name not in _shipped()


def resolved(name: str) -> Any:
    """What a dotted name means, as Hydra takes it: an attribute comes before a module of the same name.

    Raises:
        Exception: whatever its module does when it is imported, or AttributeError where there is nothing of that name.
    """
    first, *others = name.split(".")
    path, thing = first, import_module(first)
    for part in others:
        above, path = path, f"{path}.{part}"
        try:
            thing = getattr(thing, part) if hasattr(thing, part) else import_module(path)
        except ModuleNotFoundError as error:
            raise AttributeError(f"there is no {part} in {above}") from error
    return thing


def _imported(name: str, key: str) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return resolved(name)
    except Exception as error:  # whatever the module does when it is imported
        raise VaeklError(
            f"{key}={name} cannot be imported ({type(error).__name__}: {first_line(error)}): check the name, and type "
            "the command in the folder where the module lies."
        ) from error


def _is_module(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _is_library(name: str) -> bool:
    """Whether a module is Python's, vaekl's or one that vaekl needs, through which everything could be called."""
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top in _LIBRARIES


def _is_vouched(name: str, key: str) -> bool:
    """Whether something is defined below a module that was vouched for: `mine.os.system` is not defined in `mine`.

    Raises:
        VaeklError: the module cannot be imported, or has no such thing.
    """
    return _is_below(name) and _is_below(str(getattr(_imported(name, key), "__module__", "")))


def _is_below(name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in _vouched)


@cache
def _shipped() -> frozenset[str]:
    """Every name that an option in `conf/` has called."""
    contents = [yaml.safe_load(file.read_text("utf-8")) for file in CONF.glob("*/*.yaml")]
    names = {str(name) for content in contents for _, name in targets(content)}
    return frozenset(
        {name for name in names if name.startswith("vaekl.")} | {f"torch.optim.{name}" for name in _OPTIMISERS}
    )


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from (*_texts(key), *_texts(child))
    elif isinstance(node, list):
        for child in node:
            yield from _texts(child)
    elif isinstance(node, str):
        yield node
