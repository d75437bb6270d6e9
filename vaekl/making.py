"""The only file that makes objects of Hydra configs."""

import re
from collections.abc import Callable
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vaekl.data.spec import Source
from vaekl.data.transforms import Auto, Transform
from vaekl.errors import VaeklError, first_line
from vaekl.likelihoods import Likelihood
from vaekl.nets import Nets
from vaekl.weighting.base import Weighting

#: what the class or function of a group must make
_KINDS: dict[str, Any] = {
    "dataset": Source, "transform": (Transform, Auto), "likelihood": Likelihood, "weighting": Weighting, "model": Nets,
    "optim": torch.optim.Optimizer, "schedule": Callable, "lr_schedule": Callable,
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
    try:
        # in two steps, because Hydra would make config nodes of the objects
        made = instantiate(cfg[group], _partial_=True, _convert_="all")(**objects)
    except VaeklError:
        raise
    except Exception as error:
        raise VaeklError(_misfit(group, cfg, first_line(error.__cause__ or error))) from error
    if group in _KINDS and not isinstance(made, _KINDS[group]):
        raise VaeklError(
            f"{group}._target_={cfg[group].get('_target_')} makes a {type(made).__name__}, which is no {group}: name "
            "a class or function that makes one."
        )
    return made


def _misfit(group: str, cfg: DictConfig, reason: str) -> str:
    target = cfg[group].get("_target_")
    if found := re.search(r"unexpected keyword argument '(\w+)'", reason):
        if found[1] in cfg[group]:
            return (
                f"{group}.{found[1]} is no setting of {group}._target_={target}: take it away by ~{group}.{found[1]}."
            )
        return f"{group}._target_={target} does not take {found[1]}, which it is given: name one that makes a {group}."
    settings = str(OmegaConf.to_container(cfg[group]))[:600]
    return f"the {group} settings {settings} do not fit ({reason.rstrip(':')}): check {group}.*."
