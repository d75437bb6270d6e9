"""What all tasks of a suggestion share, made once in a process and those that are forked from it."""

import contextlib
import json
from functools import lru_cache
from pathlib import Path

from omegaconf import DictConfig

from vaekl.config.job import changed, composed
from vaekl.data.spec import Source
from vaekl.run.build_data import build_source_of
from vaekl.run.config import DataConfig, RunConfig

_SOURCES: dict[str, Source] = {}


@lru_cache(maxsize=4)
def base(words: tuple[str, ...]) -> DictConfig:
    """The config of the data and networks, from which those of the candidates differ in a few words."""
    with composed(words) as cfg:
        return cfg


def source_of(cfg: DataConfig) -> Source:
    """The data set as it is stored."""
    key = json.dumps(cfg.dataset, sort_keys=True, default=str)
    if key not in _SOURCES:
        _SOURCES.clear()
        _SOURCES[key] = build_source_of(cfg)
    return _SOURCES[key]


@lru_cache(maxsize=4)
def prepare(words: tuple[str, ...]) -> None:
    """Load what every run needs: the config and the data."""
    with contextlib.suppress(Exception):  # the run says what is wrong
        source_of(RunConfig.of(changed(base(words), (), Path()).content).data)
