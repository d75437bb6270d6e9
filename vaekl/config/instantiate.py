"""The only file that makes objects of settings: each group's `_target_` is called with the rest."""

import re
from collections.abc import Mapping
from inspect import signature
from traceback import extract_tb
from typing import Any

from hydra.utils import instantiate

from vaekl.config import trust
from vaekl.system.devices import is_full_memory
from vaekl.system.errors import FullMemoryError, VaeklError, first_line


def make(group: str, settings: Mapping[str, Any], kind: Any, **objects: Any) -> Any:
    """The object that the settings of a config group describe.

    Args:
        group: its name.
        settings: its part of the config: `_target_`, and what that takes.
        kind: the class, or the classes, of which the object must be one.
        objects: what is passed beside the settings.

    Raises:
        VaeklError: the settings do not fit, or the object is of another kind.
    """
    trust.import_own(group, settings)
    try:
        # in two steps, because Hydra would make config nodes of the objects
        made = instantiate(settings, _partial_=True, _convert_="all")(**objects)
    except VaeklError:
        raise
    except Exception as error:
        if is_full_memory(error):
            what = f"a {group} of {dict(settings)}"
            raise FullMemoryError(f"{what} does not fit the memory: choose a smaller one.") from error
        raise VaeklError(_misfit(group, settings, error.__cause__ or error)) from error
    if not isinstance(made, kind):
        names = " or ".join(map(_public_name, kind if isinstance(kind, tuple) else (kind,)))
        raise VaeklError(
            f"{group}._target_={settings.get('_target_')} makes a {type(made).__name__}: name a class or function "
            f"that makes a {names}."
        )
    return made


def _public_name(kind: type) -> str:
    """The name by which users import a class."""
    package = kind.__module__
    return f"{'vaekl' if package.startswith('vaekl.') else package}.{kind.__name__}"


def _misfit(group: str, settings: Mapping[str, Any], error: BaseException) -> str:
    target, reason = settings.get("_target_"), first_line(error).rstrip(":")
    if unexpected := re.search(r"unexpected keyword argument '(\w+)'", reason):
        parameters = signature(trust.resolved(str(target))).parameters
        if surplus := [f"{group}.{key}" for key in settings if not key.startswith("_") and key not in parameters]:
            away = " ".join(f"~{key}" for key in surplus)
            return f"{group}._target_={target} has no setting {' and no '.join(surplus)}: take away by {away}."
        return f"{group}._target_={target} takes no {unexpected[1]}, which vaekl passes: name one that makes a {group}."
    if trust.is_own(target):
        place = extract_tb(error.__traceback__)[-1]
        return (
            f"{group}._target_={target} failed ({type(error).__name__}: {reason}, line {place.lineno} of "
            f"{place.filename}): check it and {group}.*; --debug shows the traceback."
        )
    return f"the {group} settings {str(dict(settings))[:600]} do not fit ({reason}): check {group}.*."
