"""The loss that FILE.py:NAME names: a function, a method, or an object or model that has one."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vaekl.config.own_file import cannot_import, import_file
from vaekl.system.errors import VaeklError, did_you_mean, first_line

#: methods that are a model's loss, the likeliest first
_METHODS = (
    "loss_function", "loss", "compute_loss", "vae_loss", "elbo_loss", "criterion", "get_loss", "calculate_loss",
    "_loss", "negative_elbo", "elbo", "training_step",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What is audited.

    Args:
        function: the loss.
        owner: the object that it is a method of; None for a function.
        name: of what is called.
    """

    function: Callable[..., Any]
    owner: Any
    name: str


def load(file: str, name: str) -> Target:
    """The loss in a file.

    Raises:
        VaeklError: the file fails, or has no such loss.
    """
    word = f"{file}:{name}"
    thing: Any = import_file(file, word)
    owner = None
    for part in name.split("."):
        if not hasattr(thing, part):
            others = [each for each in dir(thing) if not each.startswith("_")]
            raise VaeklError(f"{file} has no {name}{did_you_mean(part, others)}: name a loss in it.")
        if isinstance(thing, type):
            owner = (
                thing
                if isinstance(inspect.getattr_static(thing, part), staticmethod | classmethod)
                else _made(thing, word)
            )
            thing = owner
        elif not inspect.ismodule(thing):
            owner = thing
        thing = getattr(thing, part)
    return target(thing, owner, name, word)


def target(thing: Any, owner: Any, name: str, word: str) -> Target:
    """A function or bound method as it is; of a class or an object its loss.

    Raises:
        VaeklError: it has none.
    """
    if isinstance(thing, type):
        thing = _made(thing, word)
    if inspect.isroutine(thing):
        return Target(thing, None if inspect.ismodule(owner) else owner, name)
    if not callable(thing):
        raise VaeklError(f"{word} is a {type(thing).__name__}: name a loss, as a function or a method.")
    for method in _METHODS:
        if inspect.isroutine(getattr(thing, method, None)):
            return Target(getattr(thing, method), thing, f"{name}.{method}")
    call = getattr(thing, "forward", None) or thing
    return Target(call, thing, name)


def _made(kind: type, word: str) -> Any:
    """An object of a class, made without arguments."""
    try:
        return kind()
    except TypeError as error:
        raise VaeklError(
            f"{word}: {kind.__name__} cannot be made without arguments ({first_line(error)}): name an object of it, or "
            "give the arguments defaults."
        ) from error
    except Exception as error:  # whatever its class does
        raise cannot_import(word, error) from error
