"""The command line's overrides -> a config. Knows Hydra, does not import torch: mistakes are answered at once."""

import difflib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaekl.errors import VaeklError
from vaekl.groups import CONF, groups, options

Task = Callable[[DictConfig, Path], float | None]

_LONGEST_NAME = 120


def _folder_name(text: str) -> str:
    """An override list as the name of one folder on any file system."""
    return "".join(c if c.isalnum() or c in "=,.-_+" else "-" for c in text)[:_LONGEST_NAME]


OmegaConf.register_new_resolver("folder_name", _folder_name, replace=True)


def run_with_hydra(task: Task, arguments: Sequence[str]) -> None:
    """Compose conf/train.yaml with the overrides and call the task, once or for every job of a sweep.

    Raises:
        VaeklError: one sentence for any mistake in the overrides, or the task's own.
    """
    _check_flags(arguments)
    sys.argv = ["vaekl", *arguments]
    # Hydra prints tracebacks and exits by itself unless it is told to let errors through
    os.environ["HYDRA_FULL_ERROR"] = "1"

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
    def job(cfg: DictConfig) -> float | None:
        return task(with_choices(cfg), Path(HydraConfig.get().runtime.output_dir))

    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        raise VaeklError(_sentence(error, arguments)) from error


def with_choices(cfg: DictConfig) -> DictConfig:
    """The resolved config, with the name that was chosen in each group under `choices`."""
    chosen = {group: name for group, name in HydraConfig.get().runtime.choices.items() if "hydra/" not in group}
    plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    return OmegaConf.create({**plain, "choices": chosen})  # type: ignore[dict-item]


def overrides() -> list[str]:
    """What the user typed for this job."""
    return list(HydraConfig.get().overrides.task)


def job_number() -> int | None:
    """This job's place in its sweep, or None outside a sweep."""
    config = HydraConfig.get()
    return int(config.job.num) if config.mode.name == "MULTIRUN" else None


def _check_flags(arguments: Sequence[str]) -> None:
    known = ["-m", "--multirun", "--config-dir", "-cd", "--cfg", "-c", "--resolve", "--package", "-p", "--info", "-i"]
    for argument in arguments:
        flag = argument.split("=")[0]
        if flag.startswith("-") and flag not in known:
            raise VaeklError(f"unknown option {flag}{_did_you_mean(flag, known)}: see `vaekl train --help`.")


def _sentence(error: Exception, arguments: Sequence[str]) -> str:
    """Name the override that does not fit, and what was probably meant."""
    directories = [Path(b) for a, b in zip(arguments, arguments[1:], strict=False) if a in ("--config-dir", "-cd")]
    known_groups = groups(directories)
    typed = [a for a in arguments if "=" in a and not a.startswith("-")]
    for text in typed:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException:
            return f"cannot read the override {text!r}: write key=value, with quotes around special characters."
        key = override.key_or_group
        if key in known_groups and not key.startswith("hydra/"):
            names = list(options(key, directories))
            sweep = override.is_sweep_override()
            values = [str(v) for v in (override.sweep_string_iterator() if sweep else [override.value()])]
            for value in values:
                if value not in names and value not in ("None", "null"):
                    return f"{key}={value} is not one of {', '.join(names)}{_did_you_mean(value, names)}."
    default, keys = _default_config(arguments)
    for text in typed:
        key = text.lstrip("+~").split("=")[0].split("@")[0]
        if text[0] in "+~" or key in known_groups or key.startswith("hydra") or key in keys:
            continue
        same_end = [k for k in keys if k.split(".")[-1] == key.split(".")[-1]]
        hint = f" (did you mean {same_end[0]}?)" if same_end else _did_you_mean(key, [*known_groups, *keys])
        return f"there is no key {key}{hint}: `vaekl train --help` lists the groups, `vaekl train --cfg job` the keys."
    return " ".join(str(error).split())[:300]


def _default_config(arguments: Sequence[str]) -> tuple[DictConfig, list[str]]:
    """The config without the faulty overrides, and its dotted keys."""
    picks = []
    known = groups([])
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key in known and value in options(key, []):
            picks.append(argument)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", picks)
    return cfg, list(_dotted(OmegaConf.to_container(cfg), ""))


def _dotted(node: Any, prefix: str) -> list[str]:
    if not isinstance(node, dict):
        return [prefix]
    return [key for name, child in node.items() for key in _dotted(child, f"{prefix}.{name}" if prefix else name)]


def _did_you_mean(word: str, choices: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""
