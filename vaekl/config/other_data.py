"""A run's config, looked at with other data than it was trained on."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vaekl.config.compose import compose, plain
from vaekl.config.mistakes import check
from vaekl.config.overrides import parse
from vaekl.system.errors import VaeklError, did_you_mean


def changed(content: dict[str, Any], changes: Sequence[str], whole: bool = False) -> dict[str, Any]:
    """A run's resolved config with other data: dataset=NAME, dataset.key=value, transform=NAME, data_dir=DIR.

    Args:
        content: the config.
        changes: overrides.
        whole: whether nothing is held out from other data than the run's: all images of a file are its test images,
            unless it has some of its own or `dataset.test_fraction` is among the changes.

    Raises:
        VaeklError: one sentence for any mistake in the changes.
    """
    check(changes)
    cfg = DictConfig(content)
    values = dict(change.split("=", 1) for change in changes)
    if "data_dir" in values:
        place = parse(f"data_dir={values['data_dir']}").value()
        cfg.data_dir = None if place is None else str(place)
        if "root" in cfg.dataset:
            cfg.dataset.root = cfg.data_dir
    own_offset = cfg.dataset.get("offset")
    if "dataset.offset" in values and parse(f"o={values['dataset.offset']}").value() != own_offset:
        raise VaeklError(
            f"dataset.offset is a part of the model, and the run was trained with {own_offset or 'none'}: leave it out."
        )
    for group in ("dataset", "transform"):
        if parse(f"{group}={values.get(group, group)}").is_sweep_override():
            raise VaeklError(f"{group}={values[group]} names several: look at one at a time.")
        if group in values:
            cfg[group], cfg.choices[group] = _option(group, values[group], cfg.data_dir), values[group]
    if "dataset" in values and "offset" in cfg.dataset:
        cfg.dataset.offset = own_offset
    for key, value in values.items():
        if "." not in key:
            continue
        group, _, name = key.partition(".")
        if name not in cfg[group]:
            own = [f"{group}.{name}" for name in cfg[group] if not str(name).startswith("_")]
            raise VaeklError(f"there is no key {key}{did_you_mean(key, own)}: there are {', '.join(own)}.")
        OmegaConf.update(cfg, key, parse(f"{key}={value}").value())
    if whole and any(key.partition(".")[0] == "dataset" for key in values):
        cfg.valid = 0
        if {"path", "test_fraction"} <= set(cfg.dataset) and "dataset.test_fraction" not in values:
            cfg.dataset.test_fraction = None
    return plain(cfg)


def _option(group: str, name: str, data_dir: str | None) -> dict[str, Any]:
    """The settings of an option, resolved."""
    cfg = compose([f"{group}={name}"])
    cfg.data_dir = data_dir
    resolved: Any = OmegaConf.to_container(OmegaConf.masked_copy(cfg, [group, "data_dir"]), resolve=True)
    option: dict[str, Any] = resolved[group]
    return option
