"""A run from its config to its end: begun, or taken up where it was left; with what becomes of one that diverges."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from vaekl.config import trust
from vaekl.config.files import files_digest
from vaekl.config.job import Job
from vaekl.run import longer, recovery, same_images, warm_start
from vaekl.run.build import build, facts
from vaekl.run.build_data import build_likelihood_and_data
from vaekl.run.config import RunConfig, Settings
from vaekl.run.execute import Run, execute
from vaekl.run.lost import lost_weights
from vaekl.store import RunFolder, checkpoint
from vaekl.system import distributed
from vaekl.system.console import Console
from vaekl.system.devices import enough_memory
from vaekl.system.errors import StoppedError, VaeklError
from vaekl.system.files import inner_folder, open_regular, unwritable
from vaekl.system.places import check_name, check_place
from vaekl.system.terminal import printable
from vaekl.system.workers import in_worker
from vaekl.training import stack
from vaekl.training.divergence import DivergedError
from vaekl.training.saved_state import MOST_RESTORES

_SMALLER = "lower trainer.batch_size or the model's size, or free some"


def train(job: Job, option: str = "output_dir") -> float | None:
    """A new run, or the rest of the same one; returns the validation ELBO in nats, or None without validation.

    A finished run is left as it is, since the same config would end at the same figures, unless it is to be trained
    again.

    Args:
        job: the run.
        option: the key that names another folder, for a sentence.

    Raises:
        VaeklError: for any mistake of the user's, or a folder that holds another run.
    """
    path, folder = job.path, RunFolder(job.path)
    check_name(path, option)
    check_place(path, "run folder", option)
    with _console(path) as console, enough_memory("the run", _SMALLER), distributed.joined():
        is_there = distributed.on_first(lambda: folder.is_run_of(job.content))
        if is_there and not job.again:
            return _go_on(path, console, job.content)
        cfg = RunConfig.of(job.content)
        runs = [distributed.on_each(lambda: build(cfg, path, console))]
        begun_with = distributed.on_each(lambda: warm_start.begin(runs[0].trainer, cfg))
        facts_of_run = facts(runs[0].trainer, cfg.data) | {"init": begun_with and begun_with[0]}

        def keep_first_weights() -> None:
            if begun_with is not None:
                checkpoint.save(folder.initial, begun_with[1])

        if cfg.training.steps is not None and any(word.startswith("trainer.epochs=") for word in job.overrides):
            ignored = f"trainer.steps={cfg.training.steps} is the run's length: trainer.epochs is not looked at"
            runs[0].notes = [*runs[0].notes, ignored]
        with _held(folder, option):
            if is_there:
                names = distributed.on_first(folder.clear)
                console.print(f"training again: {', '.join(names)} in {printable(str(path))} taken away")
            distributed.on_first(lambda: longer.check_no_other_length(folder, job.content))
            distributed.on_first(lambda: folder.claim(cfg.yaml, job.overrides, facts_of_run, keep_first_weights))
            runs[0].init = distributed.on_first(lambda: warm_start.words(folder))
            return _complete(runs, cfg, path, console)


def stand_in(job: Job) -> None:
    """Take the place in a stack of a run that is finished, so that the steps of the others are what they were."""
    try:
        trainer = build(RunConfig.of(job.content), job.path, Console(StringIO()), callbacks=[]).trainer
        trainer.model.train()
        with stack.joined(trainer), closing(trainer.data.train.stream(trainer.batches_to_come())) as batches:
            trainer.train_step(next(batches))
    except Exception:  # its images are gone: the others' last digits will differ
        return


def resume(path: Path, length: tuple[str, int] | None = None, tracker: Settings | None = None) -> float | None:
    """Go on with a run that was stopped or killed, as if it never had been; or with any run to more steps.

    Args:
        path: its folder.
        length: trainer.steps or trainer.epochs with the new value, as if the run had had it from the start.
        tracker: settings of the one that the user has typed, empty for none; None where nothing was typed.

    Raises:
        VaeklError: if the folder holds no run, its checkpoint does not fit, or it would be another run.
    """
    check_name(path)
    with enough_memory("the run", _SMALLER), distributed.joined():
        if length is None:
            return _go_on(path, Console(), tracker=tracker)
        return _go_further(path, Console(), *length, tracker)


@contextmanager
def _console(path: Path) -> Iterator[Console]:
    """The terminal, or a file in the sweep's logs/ for a run in a process of its own."""
    if not in_worker():
        yield Console()
        return
    logs = path.parent / "logs"
    inner_folder(logs)
    file = logs / f"{path.name}.log"
    try:
        descriptor = open_regular(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    except OSError as error:
        raise VaeklError(unwritable(file, "log", error)) from error
    with open(descriptor, "a", encoding="utf-8") as log:
        yield Console(log)


def _go_on(
    path: Path, console: Console, own: dict[str, Any] | None = None, tracker: Settings | None = None
) -> float | None:
    """The rest of the run in a folder.

    Args:
        path: the folder.
        console: where the run speaks.
        own: the config that the user has typed for this run, whose classes may be called.
        tracker: without such a config, the settings of the tracker that the user has typed.
    """
    folder = RunFolder(path)
    content = distributed.on_first(lambda: trust.config(path, own))
    if own is not None:  # the same run may be typed with another tracker
        content = {key: part for key, part in content.items() if key != "tracker"}
        content |= {key: part for key, part in own.items() if key == "tracker"}
    cfg = RunConfig.of(content, folder.config_file)
    with _held(folder):
        if (results := distributed.on_first(folder.results)) is not None:
            if (lost := lost_weights(folder, results)) is not None:
                raise VaeklError(lost)
            distributed.on_first(lambda: _check_finished(folder, cfg, console))
            rest = "nothing to resume" if own is None else "nothing to train; --again trains it anew"
            console.print(f"{printable(str(path))} is finished: {rest}.")
            return results.validation_elbo
        if own is None:
            cfg = _with_tracker(cfg, tracker, console)
            distributed.on_first(lambda: same_images.check_place(cfg.data.dataset, path))
        return _complete([_restored(cfg, path, console)], cfg, path, console)


def _go_further(path: Path, console: Console, key: str, value: int, tracker: Settings | None) -> float | None:
    """The rest of the run in a folder with another length; nothing is changed before all that may fail has not."""
    folder = RunFolder(path)
    content = distributed.on_first(lambda: trust.config(path))
    former = RunConfig.of(content, folder.config_file)
    cfg = RunConfig.of(longer.with_length(content, key, value, path))
    cfg = _with_tracker(cfg, tracker, console)
    with _held(folder):
        is_finished = distributed.on_first(folder.results) is not None
        distributed.on_first(lambda: same_images.check_place(cfg.data.dataset, path))
        runs = [distributed.on_each(lambda: build(cfg, path, console))]
        distributed.on_each(lambda: longer.check_length(runs[0].trainer, former, path))
        _restore(runs[0], cfg, console)
        distributed.on_each(lambda: longer.check(runs[0].trainer, former, cfg, path, is_finished))
        distributed.on_first(lambda: folder.lengthen(cfg.yaml))
        return _complete(runs, cfg, path, console)


def _with_tracker(cfg: RunConfig, tracker: Settings | None, console: Console) -> RunConfig:
    """The config of a folder with the tracker that the user has typed: the folder's own may be a stranger's.

    One of a class of the user's own stays: `--trust` has vouched for it.
    """
    own = cfg.tracker
    if tracker is None and isinstance(own, Mapping):
        if trust.is_own(own.get("_target_")):
            return cfg
        console.print(
            "  warning: a tracker that a folder's config names is not believed: the run goes on without it; for its "
            "figures there too add tracker=mlflow or tracker=wandb, and tracker.KEY=VALUE for what else was typed."
        )
    return replace(cfg, tracker=tracker or None)


def _check_finished(folder: RunFolder, cfg: RunConfig, console: Console) -> None:
    """Refuse to call a run finished whose images have changed since.

    Its files are looked at, and read only where one of them was touched; images that are gone are no others.

    Raises:
        VaeklError: says of which splits they are others.
    """
    dataset: Any = cfg.data.dataset
    facts = folder.facts().data
    own = str(dataset.get("_target_", "")).startswith("vaekl.")
    if facts.files == files_digest(dataset) and (own or facts.files is not None):
        return
    try:
        data = build_likelihood_and_data(cfg)[1]
    except VaeklError as error:
        console.print(printable(f"  its {facts.example}s cannot be compared with what it began with: {error}"))
        return
    same_images.check(folder, data, "train on these in another folder, or once more by adding --again")


def _restored(cfg: RunConfig, path: Path, console: Console) -> Run:
    """The run as it was at its last checkpoint."""
    run = distributed.on_each(lambda: build(cfg, path, console))
    _restore(run, cfg, console)
    return run


def _restore(run: Run, cfg: RunConfig, console: Console) -> None:
    path, folder = run.path, RunFolder(run.path)
    if cfg.init is not None:
        distributed.on_each(lambda: warm_start.begin_again(run.trainer, folder))
        run.init = distributed.on_first(lambda: warm_start.words(folder))
    saved = distributed.on_first(lambda: recovery.saved_state(run.trainer, path, console))
    distributed.on_each(lambda: recovery.restore(run.trainer, path, saved, console))


def _complete(runs: list[Run], cfg: RunConfig, path: Path, console: Console) -> float | None:
    """Train to the end. A run that diverges says what was the first to, and may go back with half the learning rate.

    Args:
        runs: the run alone, which is taken out of the list: once it has diverged nobody may hold its memory.
        cfg: from which the run is built again.
        path: the run folder.
        console: where the run speaks.
    """
    while True:
        run = runs.pop()
        restores = run.trainer.restores
        try:
            return execute(run)
        except DivergedError as error:
            diverged = error.with_traceback(None)
        is_stopping = run.trainer.stop_requested
        del run
        if is_stopping:  # there may be no time to look further
            if cfg.training.on_nan == "stop":
                raise diverged
            goes_on = RunFolder(path).command("resume")
            raise StoppedError(f"stopped as it diverged ({diverged.what}): `{goes_on}` goes on from there.")
        diverged = _explained(diverged, restores, cfg, path, console).at_rate(cfg.training.lr)
        if cfg.training.on_nan == "stop":
            raise diverged
        if restores >= MOST_RESTORES:
            what = f"{diverged.what}, after {restores} times with half the learning rate"
            raise DivergedError(what, diverged.step, cure=diverged.cure)
        times = f"half the learning rate ({restores + 1} of {MOST_RESTORES})"
        console.print(f"  {diverged.what}: back to the last checkpoint with {times}.")
        runs.append(_restored(cfg, path, console))
        runs[0].trainer.restores = restores + 1


def _explained(diverged: DivergedError, restores: int, cfg: RunConfig, path: Path, console: Console) -> DivergedError:
    """The same error with what was the first to diverge, if the steps since the last checkpoint show it once more."""
    if distributed.size() > 1:
        return diverged
    console.print("  training diverged: looking for the first bad step since the last checkpoint")
    try:
        trainer = _restored(cfg, path, Console(StringIO())).trainer
        trainer.callbacks, trainer.restores = [], restores
        return diverged.beginning_with(recovery.first_fault(trainer, diverged.step))
    except Exception:  # the data are gone, the memory is full: the error is raised without an explanation
        return diverged


@contextmanager
def _held(folder: RunFolder, option: str = "output_dir") -> Iterator[None]:
    """The folder, made if need be, for this run alone; of several processes the first one holds it."""
    with ExitStack() as stack:
        distributed.on_first(lambda: stack.enter_context(folder.held(option)))
        yield
