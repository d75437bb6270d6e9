"""The command line's words -> a config, and a task for it. Does not import torch: mistakes are answered at once."""

import os
import re
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from rich.console import Console

from vaekl import folder
from vaekl import overrides as words_of
from vaekl.errors import StoppedError, VaeklError, first_line
from vaekl.files import unwritable
from vaekl.groups import CONF
from vaekl.machine import has_gpu
from vaekl.sweep import cluster, display, manifest, plan, words, workers

Task = Callable[[DictConfig, Path], float | None]

_LONGEST_NAME = 120


def _folder_name(text: str) -> str:
    """An override list as the name of one folder on any file system, with numbers that can be read."""
    text = re.sub(r"(?<=[=,])-?\d+\.\d{6,}(e-?\d+)?(?=,|$)", lambda number: f"{float(number[0]):.4g}", text)
    text = re.sub(r"[\[\]{}'\" ]", "", text)
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


def run_with_hydra(task: Task, arguments: Sequence[str], load: Callable[[], None] = lambda: None) -> None:
    """Compose conf/train.yaml with the words and call the task, once or for every run of a sweep.

    Args:
        task: gets the config, and the folder that is the run's.
        arguments: what the user typed after the verb.
        load: imports what the task needs, once for all runs of a process.

    Raises:
        VaeklError: one sentence for any mistake in the words, or the task's own; which runs of a sweep failed.
    """
    expanded, names = words.expanded(arguments)
    words_of.check(expanded)
    if words.is_sweep(expanded):
        _run_sweep(task, words.read(expanded, names), load)
        return
    failures: list[Exception] = []

    def job(cfg: DictConfig) -> float | None:
        try:
            return task(with_choices(cfg), _output_dir())
        except Exception as error:  # Hydra would print it in a way of its own
            failures.append(error)
            return None

    _call_hydra(job, expanded)
    if failures:
        raise failures[0]


def _run_sweep(task: Task, sweep: words.Sweep, load: Callable[[], None]) -> None:
    """Every run in its folder, and what became of it in the manifest; a run that fails stops no other."""
    words_of.check_runs(sweep.runs(), sweep.of_hydra, sweep.directories)
    console, path, session = Console(highlight=False, markup=False, soft_wrap=True), sweep.folder(), uuid.uuid4().hex
    here, on_cluster = sweep.launcher == "basic", sweep.launcher == "submitit_slurm"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VaeklError(unwritable(path, "sweep", error)) from error
    chosen = _plan(sweep) if sweep.launcher in (None, "basic", "joblib") else None
    runs = sweep.count()
    console.print(chosen.text() if chosen else f"{runs} runs, launched by {sweep.launcher}")
    console.print(f"  sweep       {path}")
    stopped: list[StoppedError] = []

    def job(cfg: DictConfig) -> float | None:
        path = _output_dir()
        if stopped or workers.asked_to_stop(path.parent):
            with suppress(OSError):  # Hydra made it; what was begun before stays
                path.rmdir()
            return None

        def attempt() -> float | None:
            try:
                with manifest.recorded(path, overrides(), session):
                    resolved = with_choices(cfg)
                    if folder.same_run(path, plain(resolved)) and (figures := folder.results(path)):
                        return folder.validation_elbo(figures)  # nothing of it needs torch
                    return task(resolved, path)
            except StoppedError as error:
                if here:  # elsewhere the others are told by whoever asked this one
                    stopped.append(error)
                return None
            except Exception:  # the manifest has it; a search learns that there is no figure
                return None

        if here or (path / folder.RESULTS).exists():
            return attempt()
        if chosen is None:
            with workers.submitted():
                return None if workers.asked_to_stop(path.parent) else attempt()
        with suppress(Exception):  # what is wrong with it, the run says
            load()
        return workers.alone(attempt, path)

    with ExitStack() as around:
        if not here:
            threads = chosen.threads if chosen else None if on_cluster else 1
            around.enter_context(workers.stoppable(path, session, threads))
            around.enter_context(display.shown(path, session, runs, console))
        if on_cluster:
            around.enter_context(cluster.watched(path))
        try:
            _call_hydra(job, [*sweep.words, *sweep.settings(chosen.at_once if chosen else None)])
        except VaeklError:
            raise
        except cluster.NoJobsLeftError:
            manifest.settle(path, session)
        except Exception as error:  # a launcher or a search may be at a loss for what the manifest can say
            if type(error).__module__.startswith("submitit") and not manifest.of_session(path, session):
                raise VaeklError(
                    f"{sweep.launcher} could not begin a run ({first_line(error)}): check hydra.launcher.*."
                ) from error
            if not manifest.failures(manifest.of_session(path, session)):
                raise
    if stopped:
        raise stopped[0]
    if (best := words.best(path)) is not None:
        console.print(f"  best        {best}")
    ended = manifest.of_session(path, session)
    console.print(f"{manifest.summary(ended)}\n  tensorboard tensorboard --logdir {path}")
    if failures := manifest.failures(ended):
        raise VaeklError(f"{failures}; {path / manifest.MANIFEST} has them all.")
    if not sweep.searches and (left := runs - sum(run["status"] == "finished" for run in ended.values())):
        raise VaeklError(f"{left} of {runs} runs were stopped, or did not begin: the same command goes on with them.")


def _plan(sweep: words.Sweep) -> plan.Plan:
    runs, known = sweep.count(), manifest.read(sweep.folder())
    finished = min(runs, sum(run["status"] == "finished" for run in known.values()))
    device = sweep.value("trainer.device") or "auto"
    gpu = device.startswith("cuda") or (device == "auto" and has_gpu())

    def planned(trial: plan.Trial | None) -> plan.Plan:
        if sweep.launcher == "basic":
            return plan.one_by_one(runs, finished, trial)
        return plan.plan(runs, finished, gpu, trial)

    guess = planned(None)
    if finished == runs:
        return guess
    return planned(plan.tried(sweep.runs(), sweep.directories, guess.at_once, guess.threads))


def _call_hydra(job: Callable[[DictConfig], float | None], arguments: Sequence[str]) -> None:
    try:
        with _as_hydra_expects(arguments):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise VaeklError(words_of.sentence(error, arguments, words_of.config_dirs(arguments))) from error


def _output_dir() -> Path:
    return Path(HydraConfig.get().runtime.output_dir)


@contextmanager
def _as_hydra_expects(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads `sys.argv`, and prints tracebacks and exits by itself unless the environment tells it not to."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = ["vaekl", *words_of.flags_last(arguments)], "1"
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


def overrides() -> list[str]:
    """What the user typed for this job."""
    return list(HydraConfig.get().overrides.task)
