"""What is done for each run of a sweep, in whatever process that is."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from omegaconf import DictConfig

from vaekl.config import job
from vaekl.config.files import files_digest
from vaekl.run.config import RunConfig
from vaekl.store import RunFolder, manifest, sweep_folder
from vaekl.store.schema import Results
from vaekl.sweep import slurm, workers
from vaekl.system.errors import StoppedError, VaeklError
from vaekl.system.files import sole_writer
from vaekl.system.places import check_place
from vaekl.system.terminal import printable


def train_one(run: job.Job, option: str) -> float | None:
    """Train a run by itself; returns its validation ELBO, nats.

    Args:
        run: is trained.
        option: the key that names another folder, for a sentence.
    """
    check_place(run.path, "run folder", option)
    if sweep_folder.is_planned(run.path) and not RunFolder(run.path).holds_run():
        raise VaeklError(
            f"{printable(str(run.path))} is the folder of a sweep, whose runs no report of it would show any more: "
            f"set {option}=FOLDER to another one."
        )
    RunConfig.of(run.content)
    from vaekl.run import start  # imports torch, which a mistake in the words must not wait for

    return start.train(run, option)


Where = Literal["here", "worker", "job"]


@dataclass
class Prepared:
    """A run for which Hydra has made a config and a folder.

    Args:
        path: the folder.
        overrides: the words that were typed for it.
        job: or why there is none.
    """

    path: Path
    overrides: list[str]
    job: job.Job | Exception


@dataclass
class Task:
    """What is done for each run; goes to other processes with all that it needs.

    Args:
        sweep: the folder.
        session: of this command.
        where: in this process, in a worker of this machine, or in a process that another program began.
        searches: whether two runs may be one.
        size: how many runs a stack has at most; 1 for runs that are trained by themselves.
        stopped: the error of the run that was stopped in this process, if one was.
    """

    sweep: Path
    session: str
    where: Where
    searches: bool
    size: int = 1
    stopped: list[StoppedError] = field(default_factory=list)

    def __call__(self, cfg: DictConfig) -> float | None:
        run = self.collected(cfg)
        if not self._begins(run):
            return None
        if self.where == "job":
            with workers.submitted():
                return self._attempt(run)
        if self.where == "here" or RunFolder(run.path).is_finished():
            return self._attempt(run)
        import_training(_sources([run]))
        elbo: float | None = workers.alone(lambda: self._attempt(run), run.path)
        return elbo

    def collected(self, cfg: DictConfig) -> Prepared:
        """The run that Hydra has just prepared."""
        try:
            prepared: job.Job | Exception = job.of_sweep(cfg)
        except Exception as error:  # the manifest says what it was
            prepared = error
        return Prepared(job.current_folder(), job.current_overrides(), prepared)

    def together(self, runs: Sequence[Prepared]) -> None:
        """Train the runs of a stack; those that are finished stand in it, so that the others' figures are the same."""
        begun = [run for run in runs if self._begins(run)]
        finished = [run for run in begun if _finished(run) is not None]
        for run in finished:
            self._attempt(run)
        if len(finished) == len(begun):
            return
        import_training(_sources(begun))
        paths = [run.path for run in begun if run not in finished]
        workers.alone(lambda: self._stacked(begun, finished), *paths)

    def _stacked(self, runs: Sequence[Prepared], finished: Sequence[Prepared]) -> None:
        from vaekl.run import start, together

        def train(run: Prepared) -> None:
            if run in finished:
                start.stand_in(cast(job.Job, run.job))
            elif not self.stopped and self._begins(run):
                self._attempt(run, len(runs))

        together.train([partial(train, run) for run in runs], self.sweep)

    def _begins(self, run: Prepared) -> bool:
        """Whether a run may begin: not where the sweep was stopped."""
        if not self.stopped and not workers.is_stopping(self.sweep):
            return True
        with suppress(OSError):  # Hydra made the folder; one in which a run was begun before stays
            run.path.rmdir()
        return False

    def _attempt(self, run: Prepared, stack: int = 1) -> float | None:
        try:
            # a search may draw the same values twice: the second run waits for the first one, and takes its results
            with sole_writer(run.path / "attempt") if self.searches else nullcontext():
                if (figures := _finished(run)) is not None:
                    manifest.note(run.path, status="finished", reason=_longer(run), session=self.session)
                    return figures.validation_elbo
                with manifest.recorded(run.path, run.overrides, self.session, slurm.job(), stack):
                    # looked at once more: a stop since the last look did not see this run in the manifest
                    if workers.is_stopping(self.sweep):
                        raise StoppedError("stopped before its first step.")
                    if isinstance(run.job, Exception):
                        raise run.job
                    return train_one(run.job, "hydra.sweep.dir")
        except StoppedError as error:
            # a job goes back into the queue with this object, and must begin again there
            if self.where != "job":
                self.stopped.append(error)
            return None
        except Exception:  # the manifest says what it was; a search gets no figure
            with suppress(OSError):  # Hydra made the folder; one in which a run was begun stays
                run.path.rmdir()
            return None


def _sources(runs: Sequence[Prepared]) -> set[str]:
    return {str(run.job.content["dataset"]["_target_"]) for run in runs if isinstance(run.job, job.Job)}


def import_training(sources: Collection[str]) -> None:
    """Once for all runs that are forked from this process, each of which would take some seconds for it.

    If that fails, the run says why.

    Args:
        sources: what makes the runs' data sets.
    """
    with suppress(Exception):
        import vaekl
        from vaekl.run import start  # noqa: F401

        for source in sources:
            if source.startswith("vaekl."):
                getattr(vaekl, source.partition(".")[2])  # imports its module


def _trainer_of(run: Prepared) -> dict[str, Any]:
    """A run's settings of the trainer, with the length that its folder's run was given later, by `vaekl resume`."""
    assert isinstance(run.job, job.Job)
    own, folder = run.job.content["trainer"], RunFolder(run.path)
    if (results := folder.results()) is None:
        return dict(own)
    kept = folder.config()["trainer"]
    lengths = [_steps(trainer, results.images.train) for trainer in (own, kept)]
    return {**own, **({key: kept[key] for key in ("steps", "epochs")} if lengths[1] > lengths[0] else {})}


def _steps(trainer: Mapping[str, Any], images: int) -> int:
    """How many steps settings of the trainer mean."""
    steps, epochs, batch = trainer["steps"], trainer["epochs"], trainer["batch_size"]
    return int(steps) if steps is not None else int(epochs) * max(1, images // int(batch))


def _longer(run: Prepared) -> str | None:
    """What a finished run has that its words did not give it, in words."""
    assert isinstance(run.job, job.Job)
    own, kept = run.job.content["trainer"], _trainer_of(run)
    given = [f"trainer.{key}={kept[key]}" for key in ("steps", "epochs") if kept[key] != own[key]]
    return f"with {given[0]}, which it was given since" if given else None


def _finished(run: Prepared) -> Results | None:
    """The results of a run that was finished before, whose files nobody has touched since; read without torch."""
    if isinstance(run.job, Exception):
        return None
    # the run itself will say what is wrong, in its folder or in its words
    with suppress(VaeklError, KeyError, TypeError, ValueError):
        folder, content = RunFolder(run.path), run.job.content
        is_it = folder.is_run_of(content | {"trainer": _trainer_of(run)})
        if is_it and folder.facts().data.files == files_digest(content["dataset"]):
            return folder.results()
    return None
