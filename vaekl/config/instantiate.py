"""The only file that makes objects of settings: each group's `_target_` is called with the rest."""

import re
from collections.abc import Mapping
from inspect import isabstract, signature
from typing import Any

from hydra.utils import instantiate

from vaekl.config import trust
from vaekl.system.devices import is_full_memory
from vaekl.system.errors import FullMemoryError, VaeklError, did_you_mean, first_line, users_line


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
    if settings.get("_target_") is None:
        raise VaeklError(
            f"the option of {group} names no class: write a line `_target_: MODULE.CLASS` into its file, or set "
            f"{group}._target_=MODULE.CLASS."
        )
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
        raise VaeklError(_misfit(group, settings, error.__cause__ or error, kind, objects)) from error
    if not isinstance(made, kind):
        names = " or ".join(map(_public_name, kind if isinstance(kind, tuple) else (kind,)))
        raise VaeklError(
            f"{group}._target_={settings.get('_target_')} makes a {type(made).__name__}: name a class or function "
            f"that makes a {names}."
        )
    if hasattr(made, "register_buffer") and "_modules" not in vars(made):
        raise VaeklError(_without_init(group, settings, kind))
    return made


def _public_name(kind: type) -> str:
    """The name by which users import a class."""
    package = kind.__module__
    return f"{'vaekl' if package.startswith('vaekl.') else package}.{kind.__name__}"


def _without_init(group: str, settings: Mapping[str, Any], kind: Any) -> str:
    words = ", ".join(signature(kind).parameters)
    return (
        f"{group}._target_={settings.get('_target_')} does not begin as its base class does: let "
        f"super().__init__({words}) be the first line of its __init__."
    )


def _misfit(
    group: str, settings: Mapping[str, Any], error: BaseException, kind: Any, objects: Mapping[str, Any]
) -> str:
    target, reason = settings.get("_target_"), first_line(error).rstrip(":")
    if unexpected := re.search(r"unexpected keyword argument '(\w+)'", reason):
        parameters = signature(trust.resolved(str(target))).parameters
        if surplus := [key for key in settings if not key.startswith("_") and key not in parameters]:
            options = [f"{group}.{key}" for key in parameters if key not in objects and key not in settings]
            keys = [f"{group}.{key}" for key in surplus]
            named = [key + did_you_mean(key, options) for key in keys]
            away = " ".join(f"~{key}" for key in keys)
            return f"{group}._target_={target} has no setting {' and no '.join(named)}: take away by {away}."
        return f"{group}._target_={target} takes no {unexpected[1]}, which vaekl passes: name one that makes a {group}."
    if trust.is_own(target):
        return _misfit_of_own(group, settings, error, kind)
    return f"the {group} settings {str(dict(settings))[:600]} do not fit ({reason}): check {group}.*."


def _misfit_of_own(group: str, settings: Mapping[str, Any], error: BaseException, kind: Any) -> str:
    target, reason = settings.get("_target_"), first_line(error).rstrip(":")
    made = trust.resolved(str(target))
    if isabstract(made):
        methods = [name for name in dir(made) if not hasattr(kind, name)]
        missing = [f"`{name}`{did_you_mean(name, methods)}" for name in sorted(made.__abstractmethods__)]
        return f"{group}._target_={target} has no method {' and no '.join(missing)}: write it."
    if "before Module.__init__() call" in reason:
        return _without_init(group, settings, kind)
    place = users_line(error)
    where = f", {place[1]}" if place else ""
    return (
        f"{group}._target_={target} failed ({type(error).__name__}: {reason}{where}): check it and {group}.*; --debug "
        "shows the traceback."
    )
