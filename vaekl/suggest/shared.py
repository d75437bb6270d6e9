"""What all tasks of a suggestion share, made once in a process and those that are forked from it."""

import contextlib
from functools import lru_cache
from pathlib import Path

from omegaconf import DictConfig

from vaekl.config.job import changed, composed
from vaekl.run.build_data import source_of
from vaekl.run.config import DataConfig, RunConfig


@lru_cache(maxsize=4)
def base(words: tuple[str, ...]) -> DictConfig:
    """The config of the data and networks, from which those of the candidates differ in a few words."""
    with composed(words) as cfg:
        return cfg


def prepare(words: tuple[str, ...]) -> None:
    """Load what every run needs, the config and the data, inside `build_data.shared`."""
    with contextlib.suppress(Exception):  # the run says what is wrong
        source_of(_data_config(words))


@lru_cache(maxsize=4)
def _data_config(words: tuple[str, ...]) -> DataConfig:
    return RunConfig.of(changed(base(words), (), Path()).content).data
