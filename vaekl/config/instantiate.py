"""The only file that makes objects of Hydra configs."""

import re
from collections.abc import Callable
from inspect import signature
from traceback import extract_tb
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vaekl.config import trust
from vaekl.data.spec import Source
from vaekl.data.transforms import AutoTransform, Transform
from vaekl.model.likelihoods import Likelihood
from vaekl.model.nets import Nets
from vaekl.model.weighting.base import Weighting
from vaekl.system.devices import is_full_memory
from vaekl.system.errors import FullMemoryError, VaeklError, first_line

#: what the class or function of a group must make
_KINDS: dict[str, tuple[Any, ...]] = {
    "dataset": (Source,), "transform": (Transform, AutoTransform), "likelihood": (Likelihood,),
    "weighting": (Weighting,), "model": (Nets,), "optim": (torch.optim.Optimizer,), "schedule": (Callable,),
    "lr_schedule": (Callable,),
}  # fmt: skip


def make(group: str, cfg: DictConfig, **objects: Any) -> Any:
    """The object that a config group describes.

    Args:
        group: its name.
        cfg: the whole config.
        objects: what it needs beside its settings.

    Raises:
        VaeklError: the settings do not fit, or the object is not of the group's kind.
    """
    trust.import_own(group, OmegaConf.to_container(cfg[group]))
    try:
        # in two steps, because Hydra would make config nodes of the objects
        made = instantiate(cfg[group], _partial_=True, _convert_="all")(**objects)
    except VaeklError:
        raise
    except Exception as error:
        if is_full_memory(error):
            settings = OmegaConf.to_container(cfg[group])
            raise FullMemoryError(f"a {group} of {settings} does not fit the memory: choose a smaller one.") from error
        raise VaeklError(_misfit(group, cfg, error.__cause__ or error)) from error
    if group in _KINDS and not isinstance(made, _KINDS[group]):
        kinds = [f"{kind.__module__}.{kind.__name__}" for kind in _KINDS[group]]
        raise VaeklError(
            f"{group}._target_={cfg[group].get('_target_')} makes a {type(made).__name__}: name a class or function "
            f"that makes a {' or '.join(kinds)}."
        )
    return made


def _misfit(group: str, cfg: DictConfig, error: BaseException) -> str:
    target, reason = cfg[group].get("_target_"), first_line(error).rstrip(":")
    if found := re.search(r"unexpected keyword argument '(\w+)'", reason):
        taken = signature(trust.resolved(target)).parameters
        if surplus := [f"{group}.{key}" for key in cfg[group] if not key.startswith("_") and key not in taken]:
            away = " ".join(f"~{key}" for key in surplus)
            return f"{group}._target_={target} has no setting {' and no '.join(surplus)}: take away by {away}."
        return f"{group}._target_={target} does not take {found[1]}, which it is given: name one that makes a {group}."
    if trust.is_own(target):
        place = extract_tb(error.__traceback__)[-1]
        return (
            f"{group}._target_={target} failed ({type(error).__name__}: {reason}, line {place.lineno} of "
            f"{place.filename}): check it and {group}.*; --debug shows the traceback."
        )
    settings = str(OmegaConf.to_container(cfg[group]))[:600]
    return f"the {group} settings {settings} do not fit ({reason}): check {group}.*."
