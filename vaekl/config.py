"""The command line's overrides -> a config. Knows Hydra, does not import torch: mistakes are answered at once."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from rich.console import Console

from vaekl import folder, multirun, sweep
from vaekl.errors import StoppedError, VaeklError, did_you_mean
from vaekl.groups import CONF, groups, options

Task = Callable[[DictConfig, Path], float | None]

_LONGEST_NAME = 120
_TAKE_A_VALUE = ("--config-dir", "-cd", "--cfg", "-c", "--package", "-p", "--info", "-i")


def _folder_name(text: str) -> str:
    """An override list as the name of one folder on any file system."""
    return "".join(c if c.isalnum() or c in "=,.-_+" else "-" for c in text)[:_LONGEST_NAME]


def _fingerprint(*, _root_: DictConfig) -> str:
    """The name that belongs to the config, without Hydra's own part, whose paths contain this name."""
    return folder.fingerprint(plain(OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])))


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The resolved config with paths of data made absolute: a run is resumed and measured from other folders too."""
    content: Any = OmegaConf.to_container(cfg, resolve=True)
    data = content.get("dataset")
    if isinstance(data, dict) and isinstance(data.get("path"), str):
        data["path"] = str(Path(data["path"]).expanduser().absolute())
    found: dict[str, Any] = content
    return found


OmegaConf.register_new_resolver("folder_name", _folder_name, replace=True)
OmegaConf.register_new_resolver("fingerprint", _fingerprint, replace=True)


class _Stopped(BaseException):
    pass


def run_with_hydra(task: Task, arguments: Sequence[str]) -> None:
    """Compose conf/train.yaml with the overrides and call the task, once or for every job of a sweep.

    A failing job does not stop the others of its sweep, and what became of each is in the sweep's manifest.

    Raises:
        VaeklError: one sentence for any mistake in the overrides, or the task's own.
    """
    _check(arguments)
    if not _is_sweep(arguments):
        _call_hydra(task, arguments)
        return
    begun, chosen, console = (
        time.time(),
        multirun.plan(arguments),
        Console(highlight=False, markup=False, soft_wrap=True),
    )
    words = [*arguments, *multirun.settings(arguments, chosen)]
    sweep_dir = _sweep_dir(words)
    shown: AbstractContextManager[None] = nullcontext()
    if chosen is not None:
        console.print(f"{chosen.text()}\n  sweep       {sweep_dir}")
        if chosen.at_once > 1:
            shown = multirun.spread(chosen, sweep_dir, console)
    with shown:
        _call_hydra(task, words)
    runs = {name: run for name, run in sweep.read(sweep_dir).items() if run["started"] >= begun}
    failed = [f"{name}: {run['reason']}" for name, run in runs.items() if run["status"] == "failed"]
    if runs:
        console.print(f"{sweep.summary(runs)}\n  tensorboard tensorboard --logdir {sweep_dir}")
    if failed:
        raise VaeklError(f"{len(failed)} of {len(runs)} runs failed: {'; '.join(failed)}")


def _call_hydra(task: Task, arguments: Sequence[str]) -> None:
    failures: list[Exception] = []

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
    def job(cfg: DictConfig) -> float | None:
        path, several = Path(HydraConfig.get().runtime.output_dir), job_number() is not None
        if (path.parent / multirun.STOP).exists() and several:
            return None
        if multirun.in_worker():
            multirun.prepare_worker()
        try:
            with sweep.recorded(path, overrides()) if several else nullcontext():
                resolved = with_choices(cfg)
                if several and folder.same_run(path, plain(resolved)) and (figures := folder.results(path)):
                    return folder.validation_elbo(figures)  # nothing of it needs torch
                return task(resolved, path)
        except StoppedError as error:
            if multirun.in_worker():  # the others are told by whoever asked this one
                return None
            # not an Exception to Hydra, which would go on with the next job
            raise _Stopped(str(error)) from error
        except Exception as error:
            if several:  # the manifest has it; a sweeper that learns from figures learns that there is none
                return float("nan")
            failures.append(error)
            return None
        finally:
            if multirun.in_worker():
                multirun.rest_worker()

    try:
        with _as_hydra_expects(arguments):
            job()
    except _Stopped as stop:
        raise StoppedError(str(stop)) from stop
    except (HydraException, OmegaConfBaseException) as error:
        raise VaeklError(_sentence(error, arguments)) from error
    if failures:
        raise failures[0]


def _is_sweep(arguments: Sequence[str]) -> bool:
    return bool({"-m", "--multirun"} & set(arguments)) and not any(
        a.startswith(("--cfg", "-c", "--info")) for a in arguments
    )


def _sweep_dir(words: Sequence[str]) -> Path:
    """Where the runs of a sweep will be."""
    values = [word.partition("=")[2].strip("'") for word in words if word.startswith("hydra.sweep.dir=")]
    outputs = [word.partition("=")[2] for word in words if word.startswith("output_dir=")] or ["outputs"]
    return Path(values[-1].replace("${output_dir}", outputs[-1])).absolute()


@contextmanager
def _as_hydra_expects(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads `sys.argv`, and prints tracebacks and exits by itself unless the environment tells it not to."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = ["vaekl", *_overrides_first(arguments)], "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def with_choices(cfg: DictConfig) -> DictConfig:
    """The resolved config, with the name that was chosen in each group under `choices`."""
    chosen = {group: name for group, name in HydraConfig.get().runtime.choices.items() if "hydra/" not in group}
    try:
        OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        with suppress(OSError):  # Hydra made the run's folder; one that holds something stays
            Path(HydraConfig.get().runtime.output_dir).rmdir()
        raise VaeklError(f"{error.full_key} must be given: add {error.full_key}=VALUE.") from error
    return OmegaConf.create({**plain(cfg), "choices": chosen})


def changed(content: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A run's resolved config with other data: dataset=NAME, dataset.key=value, transform=NAME, data_dir=DIR.

    Raises:
        VaeklError: one sentence for any mistake in the changes.
    """
    _check(changes)
    cfg = DictConfig(content)
    values = dict(change.split("=", 1) for change in changes)
    if "data_dir" in values:
        cfg.data_dir = values["data_dir"]
        if "root" in cfg.dataset:
            cfg.dataset.root = values["data_dir"]
    for group in ("dataset", "transform"):
        if OverridesParser.create().parse_override(f"{group}={values.get(group, group)}").is_sweep_override():
            raise VaeklError(f"{group}={values[group]} names several: look at one at a time.")
        if group in values:
            cfg[group], cfg.choices[group] = _option(group, values[group], cfg.data_dir), values[group]
    for key, value in values.items():
        if "." not in key:
            continue
        group, _, name = key.partition(".")
        if name not in cfg[group]:
            own = [f"{group}.{name}" for name in cfg[group] if not str(name).startswith("_")]
            raise VaeklError(f"there is no key {key}{did_you_mean(key, own)}: there are {', '.join(own)}.")
        OmegaConf.update(cfg, key, OverridesParser.create().parse_override(f"{key}={value}").value())
    return plain(cfg)


def _option(group: str, name: str, data_dir: str | None) -> dict[str, Any]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"{group}={name}"])
    cfg.data_dir = data_dir
    known: Any = OmegaConf.to_container(OmegaConf.masked_copy(cfg, [group, "data_dir"]), resolve=True)
    option: dict[str, Any] = known[group]
    return option


def overrides() -> list[str]:
    """What the user typed for this job."""
    return list(HydraConfig.get().overrides.task)


def job_number() -> int | None:
    """This job's place in its sweep, or None outside a sweep."""
    config = HydraConfig.get()
    return int(config.job.num) if config.mode == RunMode.MULTIRUN else None


def _check(arguments: Sequence[str]) -> None:
    """What can be seen to be wrong before anything is composed or written."""
    known = ["-m", "--multirun", "--config-dir", "-cd", "--cfg", "-c", "--resolve", "--package", "-p", "--info", "-i"]
    directories = _config_dirs(arguments)
    for before, argument in zip(["", *arguments], arguments, strict=False):
        flag, _, _ = argument.partition("=")
        if flag.startswith("-"):
            if flag not in known:
                raise VaeklError(f"unknown option {flag}{did_you_mean(flag, known)}: see `vaekl train --help`.")
        elif before in _TAKE_A_VALUE:
            continue
        elif argument.startswith("=") or ("=" not in argument and not argument.startswith("~")):
            raise VaeklError(f"cannot read {argument!r}: write key=value, as in likelihood=gaussian.")
        else:
            _check_choice(argument, directories)


def _overrides_first(arguments: Sequence[str]) -> list[str]:
    """The same with the flags last: Hydra cannot read overrides on both sides of a flag."""
    pairs = zip(["", *arguments], arguments, strict=False)
    flags = [argument.startswith("-") or before in _TAKE_A_VALUE for before, argument in pairs]
    return [argument for _, argument in sorted(zip(flags, arguments, strict=True), key=lambda pair: pair[0])]


def _check_choice(argument: str, directories: Sequence[Path]) -> None:
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException as error:
        raise VaeklError(f"cannot read {argument!r}: put quotes around values with special characters.") from error
    group = override.key_or_group
    if group not in groups(directories):
        return
    names = list(options(group, directories))
    if override.is_delete():
        if group == "experiment":
            return
        raise VaeklError(f"no run can do without a {group}: choose one of {', '.join(names)}.")
    sweep = override.is_sweep_override()
    values = override.sweep_string_iterator() if sweep else [override.value()]
    for value in map(str, values):
        if value not in names:
            raise VaeklError(f"{group}={value} is not one of {', '.join(names)}{did_you_mean(value, names)}.")


def _sentence(error: Exception, arguments: Sequence[str]) -> str:
    """Name the key that does not exist, and what was probably meant."""
    directories = _config_dirs(arguments)
    known = groups(directories)
    keys = _known_keys(arguments, directories)
    for argument in arguments:
        key = argument.split("=")[0].split("@")[0]
        if "=" not in argument or key[0] in "+~-" or key in (*known, *keys) or key.startswith("hydra"):
            continue
        group, _, rest = key.partition(".")
        owners = [name for name in options(group, directories) if rest in _keys(group, name, directories)]
        own = [f"{group}.{k}" for name in options(group, directories) for k in _keys(group, name, directories)]
        same_end = [k for k in keys if k.split(".")[-1] == key.split(".")[-1]]
        if group in known and owners:
            hint = f"; {rest} belongs to {' or '.join(f'{group}={name}' for name in owners)}"
        elif same_end:
            hint = f" (did you mean {same_end[0]}?)"
        else:
            keys = [k for k in keys if not k.endswith("_")]
            hint = did_you_mean(key, [*keys, *own] if rest else [*known, *keys])
            beside = [k for k in keys if k.startswith(f"{group}.")]
            hint = hint or (f" beside {', '.join(beside)}" if rest and beside else "")
        return f"there is no key {key}{hint}: `vaekl train --help` lists the groups, `vaekl train --cfg job` the keys."
    return " ".join(str(error).split())[:300]


def _config_dirs(arguments: Sequence[str]) -> list[Path]:
    """The user's own config folders."""
    found = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        flag, _, value = argument.partition("=")
        if flag in ("--config-dir", "-cd"):
            found.append(Path(value or following))
    for directory in found:
        if not directory.is_dir():
            raise VaeklError(f"--config-dir {directory} is no folder: give one that holds groups like likelihood/.")
    return found


def _keys(group: str, name: str, directories: Sequence[Path]) -> list[str]:
    files = [root / group / f"{name}.yaml" for root in (CONF, *directories)]
    found = [str(key) for file in files if file.exists() for key in OmegaConf.load(file)]
    return [key for key in found if not key.startswith("_")]


def _known_keys(arguments: Sequence[str], directories: Sequence[Path]) -> list[str]:
    """The dotted keys of the config that the chosen options make, without the overrides of single keys."""
    known = groups(directories)
    picks = [a for a in arguments if a.partition("=")[0] in known and "," not in a]
    GlobalHydra.instance().clear()
    path = [f"hydra.searchpath=[{','.join(f'file://{d.resolve()}' for d in directories)}]"] if directories else []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*picks, *path])
    return _dotted(OmegaConf.to_container(cfg), "")


def _dotted(node: Any, prefix: str) -> list[str]:
    if not isinstance(node, dict):
        return [prefix]
    return [key for name, child in node.items() for key in _dotted(child, f"{prefix}.{name}" if prefix else name)]
