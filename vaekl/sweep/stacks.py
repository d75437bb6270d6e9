"""Stacks of runs, trained together in one process: which runs they are, and how Hydra launches them."""

import itertools
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from math import ceil
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from hydra_plugins.hydra_joblib_launcher import _core
from joblib import Parallel, delayed
from omegaconf import DictConfig, open_dict

from vaekl.sweep.plan import FREE


def divided(runs: Sequence[Sequence[str]], size: int) -> list[list[int]]:
    """The numbers of the runs in each stack; the same for the same runs in any order.

    Args:
        runs: the words of each.
        size: how many a stack has at most.
    """
    kinds: dict[tuple[str, ...], list[int]] = {}
    for number in sorted(range(len(runs)), key=lambda number: sorted(runs[number])):
        fixed = sorted(word for word in runs[number] if not word.startswith(FREE))
        kinds.setdefault(tuple(fixed), []).append(number)
    stacks = []
    for kind in kinds.values():
        count = ceil(len(kind) / size)
        cuts = [len(kind) * place // count for place in range(count + 1)]
        stacks += [kind[start:stop] for start, stop in itertools.pairwise(cuts)]
    return stacks


@contextmanager
def launched(size: int) -> Iterator[None]:
    """Inside, Hydra's joblib launcher takes a stack of runs for one job; Hydra takes launchers from its plugins alone.

    Args:
        size: how many runs a stack has at most; with 1 nothing is changed.
    """
    own = _core.launch

    def launch(launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        parts = divided(job_overrides, size)
        joblib = {**launcher.joblib, "backend": "loky"}
        _core.process_joblib_cfg(joblib)
        hydra = {"context": launcher.hydra_context, "config": launcher.config, "task": launcher.task_function}
        run = delayed(partial(train_stack, state=Singleton.get_state(), **hydra))
        returned = Parallel(**joblib)(run({initial_job_idx + n: job_overrides[n] for n in part}) for part in parts)
        by_number = {number: answer for stack in returned for number, answer in stack.items()}
        return [by_number[number] for number in sorted(by_number)]

    if size > 1:
        _core.launch = launch
    try:
        yield
    finally:
        _core.launch = own


def train_stack(
    runs: dict[int, Sequence[str]], context: HydraContext, config: DictConfig, task: Any, state: dict[Any, Any]
) -> dict[int, JobReturn]:
    """In a worker: let Hydra make the config and the folder of each run, then train them together."""
    loader: Any = _OfAStack(context.config_loader)
    context = HydraContext(config_loader=loader, callbacks=context.callbacks)
    answers = {
        number: _core.execute_job(number, words, context, config, task.collected, state)
        for number, words in runs.items()
    }
    task.together([answer._return_value for answer in answers.values()])
    for answer in answers.values():
        answer.return_value = None  # it goes back to the process that began the sweep
    return answers


class _OfAStack:
    """Composes the config of a stack's first run as Hydra does, and the others' from it: only values of keys differ.

    Args:
        loader: Hydra's own.
    """

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._first: tuple[list[str], DictConfig] | None = None

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """As Hydra's loader has it, in an eighth of the time."""
        if self._first is not None:
            before, first = self._first
            changed = [pair for pair in zip(before, sweep_overrides, strict=True) if pair[0] != pair[1]]
            if all(one.partition("=")[0] == other.partition("=")[0] for one, other in changed):
                return self._changed(deepcopy(first), sweep_overrides, {other for _, other in changed})
        composed = self._loader.load_sweep_config(master_config, sweep_overrides)
        self._first = list(sweep_overrides), deepcopy(composed)
        return composed

    @staticmethod
    def _changed(cfg: DictConfig, words: list[str], changed: Container[str]) -> DictConfig:
        overrides = [one for one in OverridesParser.create().parse_overrides(words) if not one.is_hydra_override()]
        ConfigLoaderImpl._apply_overrides_to_config([one for one in overrides if one.input_line in changed], cfg)
        with open_dict(cfg):
            naming = cfg.hydra.job.config.override_dirname
            cfg.hydra.overrides.task = [one.input_line for one in overrides]
            cfg.hydra.job.override_dirname = get_overrides_dirname(
                overrides, kv_sep=naming.kv_sep, item_sep=naming.item_sep, exclude_keys=naming.exclude_keys
            )
        return cfg
