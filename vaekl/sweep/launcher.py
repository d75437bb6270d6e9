"""Hydra's launcher of runs on this machine: processes forked from this one, each with one run or a stack of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from hydra_plugins.hydra_joblib_launcher import _core
from omegaconf import DictConfig

from vaekl.config.compose import put_in
from vaekl.config.overrides import parse
from vaekl.sweep import forks, workers
from vaekl.sweep.plan import Plan
from vaekl.sweep.stacks import divided
from vaekl.system.errors import VaeklError


@contextmanager
def launched(plan: Plan) -> Iterator[None]:
    """Inside, runs that Hydra's joblib launcher is to start are forked from this process, a stack of them in each fork.

    Hydra takes launchers from its plugins alone; joblib's processes would import for seconds what is here already.

    Args:
        plan: how many of them at a time, with how many threads, and how many runs a stack has at most.

    Raises:
        VaeklError: another version of the launcher has not asked for them.
    """
    own, is_called = _core.launch, False

    def launch(launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        nonlocal is_called
        is_called = True
        one_each = [[number] for number in range(len(job_overrides))]
        parts = divided(job_overrides, plan.stack) if plan.stack > 1 else one_each
        hydra = {"context": launcher.hydra_context, "config": launcher.config, "task": launcher.task_function}
        train = partial(_train, **hydra, state=Singleton.get_state())
        tasks = [partial(train, {initial_job_idx + n: job_overrides[n] for n in part}) for part in parts]
        answers = forks.results(tasks, plan.at_once, partial(workers.begin, plan.threads))
        # a process that was killed leaves no figures: the manifest says what became of its runs
        figures = dict(pair for answer in answers if not isinstance(answer, forks.Died) for pair in answer)
        returned = []
        for number, words in enumerate(job_overrides, initial_job_idx):
            job = JobReturn(overrides=words, status=JobStatus.COMPLETED)
            job.return_value = figures.get(number)
            returned.append(job)
        return returned

    _core.launch = launch
    try:
        yield
    finally:
        _core.launch = own
    if not is_called:
        raise VaeklError(
            "this hydra-joblib-launcher starts runs in a way that vaekl does not know: install the version that "
            "constraints.txt names, or set hydra/launcher=basic."
        )


def _train(
    runs: dict[int, Sequence[str]], context: HydraContext, config: DictConfig, task: Any, state: dict[Any, Any]
) -> list[tuple[int, float | None]]:
    """Let Hydra make the config and the folder of each run, then train them; their numbers and validation ELBOs.

    Those of a stack of several have none: nobody searches with stacks.
    """
    if len(runs) == 1:
        ((number, words),) = runs.items()
        job = _core.execute_job(number, words, context, config, task, state)
        if job.status == JobStatus.FAILED:
            raise job._return_value  # `return_value` would print a line before that
        return [(number, job.return_value)]
    loader: Any = _OfAStack(context.config_loader)
    context = HydraContext(config_loader=loader, callbacks=context.callbacks)
    answers = [
        _core.execute_job(number, words, context, config, task.collected, state) for number, words in runs.items()
    ]
    task.together([answer._return_value for answer in answers])
    return [(number, None) for number in runs]


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
                overrides = [one for one in map(parse, sweep_overrides) if not one.is_hydra_override()]
                values = [_once_more(one) for one in overrides if one.input_line in {other for _, other in changed}]
                if not any(isinstance(one.value(), dict) for one in values):  # it would be merged with the first run's
                    cfg = deepcopy(first)
                    put_in(cfg, values, overrides)
                    return cfg
        composed = self._loader.load_sweep_config(master_config, sweep_overrides)
        self._first = list(sweep_overrides), deepcopy(composed)
        return composed


def _once_more(word: Override) -> Override:
    """A word that adds a key as one that gives it another value: the first run of the stack has added it."""
    return replace(word, type=OverrideType.FORCE_ADD) if word.is_add() else word
