"""A run as it is to be trained: its config, its folder and the words that it was typed with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, flag_override, read_write
from omegaconf.errors import MissingMandatoryValue

from vaekl.config import compose, mistakes
from vaekl.config.groups import CONF
from vaekl.config.overrides import config_dirs, parse
from vaekl.store.read import plain
from vaekl.system.errors import VaeklError
from vaekl.system.files import refuse_link
from vaekl.system.places import check_name, locale_cure
from vaekl.system.terminal import printable


@dataclass(frozen=True)
class Job:
    """A run that is to be trained.

    Args:
        content: the resolved config, with the name of what stands in each group under `choices`.
        path: the run folder, absolute; it need not be there yet.
        overrides: the words that were typed for this run.
        again: whether a run of the same config that is in the folder is trained once more, from its first step.
    """

    content: dict[str, Any]
    path: Path
    overrides: list[str]
    again: bool = False


def single(words: Sequence[str]) -> Job:
    """The run that the words of `vaekl train` stand for; nothing is written.

    Raises:
        VaeklError: one sentence for any mistake in the words.
    """
    with composed(words) as cfg:
        job = _job(compose.without_hydra(cfg), str(cfg.hydra.run.dir))
        named = any(word.startswith("hydra.run.dir=") for word in words)
        check_name(job.path, "hydra.run.dir" if named else "output_dir")
        if not named:
            refuse_link(job.path)  # a folder that the user names may be one
        return replace(job, again="--again" in words)


@contextmanager
def composed(words: Sequence[str]) -> Iterator[DictConfig]:
    """The config of a single run, with Hydra's part, as the one that `${hydra:...}` looks into.

    Raises:
        VaeklError: one sentence for any mistake in the words.
    """
    mistakes.check(words)
    mistakes.check_single(words)
    directories = config_dirs(words)
    try:
        cfg = compose.compose(words, directories)
        with compose.current(cfg):
            mistakes.check_added(words, cfg, directories)
            yield cfg
    except VaeklError:
        raise
    except Exception as error:  # Hydra's and OmegaConf's own, and whatever else they meet in strange words
        raise VaeklError(mistakes.sentence(error, words, directories)) from error


def changed(cfg: DictConfig, words: Sequence[str], path: Path) -> Job:
    """The run of some more words, in a tenth of the time that it takes to compose all of them.

    Args:
        cfg: composed, with Hydra's part, of words that choose none of the groups that these choose.
        words: options of vaekl's own groups but experiments, each before its keys, and values of keys that are there.
        path: the folder of the run.

    Raises:
        ValueError: a word is no such option.
    """
    cfg = deepcopy(cfg)
    for word in words:
        override = parse(word)
        key, value = str(override.key_or_group), override.value()
        file = CONF / key / f"{value}.yaml"
        if (CONF / key).is_dir() and (not file.is_file() or key == "experiment"):
            raise ValueError(f"{word} must be composed: it is no option of vaekl's own, or one that changes others")
        if file.is_file():
            with flag_override(cfg, "struct", False):
                cfg[key] = OmegaConf.load(file)
            with read_write(cfg.hydra):
                cfg.hydra.runtime.choices[key] = value
        else:
            OmegaConf.update(cfg, key, value)
    with read_write(cfg.hydra):
        cfg.hydra.overrides.task.extend(words)
    with compose.current(cfg):
        return _job(compose.without_hydra(cfg), str(path))


def of_sweep(cfg: DictConfig) -> Job:
    """The run of a sweep for which Hydra has made this config, and a folder.

    Raises:
        VaeklError: a key that must be given is not.
    """
    return _job(cfg, HydraConfig.get().runtime.output_dir)


def current_folder() -> Path:
    """The folder that Hydra has made for the run of a sweep."""
    return Path(HydraConfig.get().runtime.output_dir)


def current_overrides() -> list[str]:
    """The words that were typed for the current run, and the values that a sweep gives it."""
    return [str(word) for word in HydraConfig.get().overrides.task]


def _job(cfg: DictConfig, path: str) -> Job:
    """The job of a config without Hydra's part, while that is the current one."""
    try:
        content = compose.plain(cfg, complete=True)
    except MissingMandatoryValue as error:
        raise VaeklError(f"{error.full_key} must be given: add {error.full_key}=VALUE.") from error
    for key, value in compose.flat(content):
        try:
            altered = repr(plain({key: value})) != repr({key: value})
        except ValueError as error:
            raise VaeklError(f"{printable(key)} holds {error}, which no run folder may: change it.") from error
        if altered:
            cure = locale_cure(str(value)) or "change it"
            raise VaeklError(f"{key} holds a control character or no UTF-8, which no run folder may: {cure}.")
    return Job(content | {"choices": compose.choices(cfg)}, Path(path).absolute(), current_overrides())
