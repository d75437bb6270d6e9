"""Words -> a config; the only place where Hydra composes one. Does not import torch: mistakes are answered at once."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from vaekl.config.groups import CONF, groups
from vaekl.config.overrides import for_hydra, parse
from vaekl.store import fingerprint

#: letters, and bytes of those that take several: a system allows 255, and a digest follows
_LONGEST_NAME, _MOST_BYTES = 120, 200
#: keys by whose values Hydra composes other parts of the config
_BY_HYDRA = ("hydra.searchpath", "hydra.job.env_copy")


def compose(words: Sequence[str], directories: Sequence[Path] = ()) -> DictConfig:
    """The config that the words make, with Hydra's own part.

    Args:
        words: overrides; flags among them are left out.
        directories: the user's own config folders.

    Raises:
        HydraException or OmegaConfBaseException: it cannot be made; `mistakes.sentence` says what is wrong.
    """
    overrides = for_hydra(words, directories)
    parts = None if directories else _divided(overrides)
    if parts is None:
        with initialized():
            return hydra.compose("train", overrides, return_hydra_config=True)
    cfg = deepcopy(_of_choices(parts[0]))
    parsed = [parse(word) for word in overrides]
    cfg.hydra.overrides.hydra = [override.input_line for override in parsed if override.is_hydra_override()]
    cfg.hydra.runtime.cwd = os.getcwd()
    OmegaConf.clear_cache(cfg)  # else ${now:...} would be when the choices were composed
    put_in(cfg, parts[1], [override for override in parsed if not override.is_hydra_override()])
    return cfg


def put_in(cfg: DictConfig, values: list[Override], words: list[Override]) -> None:
    """Change a config that Hydra has composed as if it had been composed with these values.

    Args:
        cfg: the config.
        values: what is to be another value.
        words: all that the run is named by.
    """
    ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
    cfg.hydra.overrides.task = [override.input_line for override in words]
    naming = cfg.hydra.job.config.override_dirname
    cfg.hydra.job.override_dirname = get_overrides_dirname(
        words, kv_sep=naming.kv_sep, item_sep=naming.item_sep, exclude_keys=naming.exclude_keys
    )


def _divided(overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]] | None:
    """The words that choose options, and those that give a key a value; None where only Hydra can tell them apart."""
    chosen, values, names = [], [], groups()
    for word in overrides:
        override = parse(word)
        key = str(override.key_or_group)
        if override.is_sweep_override() or override.package is not None or key in _BY_HYDRA:
            return None
        if key not in names and "/" not in key:
            values.append(override)
        elif override.type is OverrideType.CHANGE and isinstance(override.value(), str):
            chosen.append(word)
        else:
            return None
    return tuple(chosen), values


@lru_cache(maxsize=8)
def _of_choices(words: tuple[str, ...]) -> DictConfig:
    """What Hydra composes of words that choose options alone, which takes it six times as long as all else."""
    with initialized():
        return hydra.compose("train", list(words), return_hydra_config=True)


@contextmanager
def initialized() -> Iterator[Any]:
    """Hydra, looking into `conf/`; a program that uses Hydra itself has its own again afterwards."""
    own = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), job_name="vaekl", version_base="1.3"):
            yield GlobalHydra.instance().hydra
    finally:
        GlobalHydra.instance().hydra = own


@contextmanager
def current(cfg: DictConfig) -> Iterator[None]:
    """Make a config with Hydra's part the one that `${hydra:...}` looks into, while its interpolations are resolved."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(cfg)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


def without_hydra(cfg: DictConfig) -> DictConfig:
    """The config without Hydra's part."""
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def plain(cfg: DictConfig, complete: bool = False) -> dict[str, Any]:
    """A config without Hydra's part, resolved; paths of data are absolute, since a run is read from other folders too.

    Args:
        cfg: the config.
        complete: refuse keys that must be given and are not.

    Raises:
        MissingMandatoryValue: it is not complete.
    """
    content: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=complete)
    # Hydra may have gone to a run's folder since the command was typed
    typed_in = HydraConfig.get().runtime.cwd if HydraConfig.initialized() else os.getcwd()
    data = content.get("dataset")
    places = [
        (content, "data_dir"),
        (content, "init"),
        *([(data, "path"), (data, "root")] if isinstance(data, dict) else []),
    ]
    for settings, key in places:
        if isinstance(settings.get(key), str) and settings[key]:
            settings[key] = os.path.join(typed_in, os.path.expanduser(settings[key]))
    if content.get("init", "") is None:  # runs that begin with weights of their own have no such key
        del content["init"]
    elif isinstance(content.get("init"), str) and content["init"]:  # one run by all its names: old, ./old and old/
        content["init"] = os.path.normpath(content["init"])
    if not content.get("tracker", True):  # runs whose figures go nowhere else have no such key
        del content["tracker"]
    resolved: dict[str, Any] = content
    return resolved


def flat(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """A config's dotted keys and their values; lists, and dicts that are empty or have other keys, stay whole."""
    if not isinstance(content, dict) or not content or not all(isinstance(key, str) for key in content):
        yield path, content
        return
    for key, child in content.items():
        yield from flat(child, f"{path}.{key}" if path else key)


def choices(cfg: DictConfig) -> dict[str, str | None]:
    """What stands in each group of the current config: the name of an option, or of the user's own class.

    Where figures go beside the run's own files is no part of what a run is.
    """
    runtime = HydraConfig.get().runtime
    return {group: _name(group, cfg) for group in runtime.choices if "hydra/" not in group and group != "tracker"}


def _name(group: str, cfg: DictConfig) -> str | None:
    """The name of the chosen option, or that of the class that the user has put in the place of the option's."""
    runtime = HydraConfig.get().runtime
    option: str | None = runtime.choices[group]
    target = OmegaConf.select(cfg, f"{group}._target_", throw_on_missing=False)
    for source in runtime.config_sources:
        file = Path(source.path, group, f"{option}.yaml")
        if source.schema == "file" and target is not None and file.is_file():
            replaced = target_of(file, file.stat().st_mtime_ns) not in (None, target)
            return str(target).rpartition(".")[2] if replaced else option
    return option


@lru_cache(maxsize=256)
def target_of(file: Path, changed: int) -> str | None:
    """What an option's file names as its class; `changed` is when the file was."""
    settings = OmegaConf.to_container(OmegaConf.load(file))
    return settings.get("_target_") if isinstance(settings, dict) else None


def _folder_name(text: str) -> str:
    """An override list as the name of one folder on any file system, with numbers that can be read."""
    text = re.sub(r"(?<=[=,])-?\d+\.\d{6,}(e-?\d+)?(?=,|$)", lambda number: f"{float(number[0]):.4g}", text)
    text = re.sub(r"[\[\]{}'\" ]", "", text)
    # a leading dot would hide it
    name = "".join(c if c.isalnum() or c in "=,.-_+" else "-" for c in text).lstrip(".")[:_LONGEST_NAME]
    return name.encode()[:_MOST_BYTES].decode(errors="ignore")


def _fingerprint(*, _root_: DictConfig) -> str:
    """The name that belongs to the config, without Hydra's own part, whose paths contain this name."""
    return fingerprint(plain(without_hydra(_root_)))


def _chosen(group: str, *, _root_: DictConfig) -> str:
    """What stands in a group, for the names of runs."""
    return str(_name(group, _root_))


OmegaConf.register_new_resolver("folder_name", _folder_name, replace=True)
OmegaConf.register_new_resolver("fingerprint", _fingerprint, replace=True)
OmegaConf.register_new_resolver("chosen", _chosen, replace=True)
