"""`vaekl train -m`: every run of a sweep in its folder, whoever launches it; a run that fails stops no other."""

import time
import uuid
from collections.abc import Collection, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

from omegaconf import DictConfig

from vaekl.config import job, mistakes, multirun, overrides
from vaekl.config.files import files_digest
from vaekl.store import RunFolder, manifest, sweep_folder
from vaekl.store.schema import Results
from vaekl.sweep import display, ending, parse, plan, slurm, stacks, workers
from vaekl.system.console import Console
from vaekl.system.cores import has_gpu
from vaekl.system.errors import StoppedError, VaeklError, first_line
from vaekl.system.files import made_folder, refuse_link, refuse_strange, sole_user, sole_writer, unwritable
from vaekl.system.places import check_name, check_place, is_full
from vaekl.system.terminal import printable
from vaekl.system.workers import in_worker, no_processes


def train(typed: Sequence[str], make_report: ending.MakeReport) -> None:
    """Every run that the words after `vaekl train` stand for: one, or a sweep; or what a config would be.

    Args:
        typed: the words.
        make_report: called at the end of a sweep with report=true.

    Raises:
        VaeklError: one sentence for a mistake in the words, or for the runs that have failed.
        StoppedError: after a signal, when every run that had begun has saved its state.
    """
    own, stack = parse.stacked(typed)
    own, report = parse.reported(own)
    words, names = parse.expanded(overrides.with_home(own))
    if overrides.is_sweep(words):
        mistakes.check(words)
        _sweep(parse.read(words, names, stack, report), make_report)
    elif report:
        raise VaeklError(
            "report=true makes a report at the end of a sweep: leave it away, and type `vaekl report RUN` once the run "
            "has ended."
        )
    elif overrides.shows(words):
        mistakes.check(words)
        multirun.show(words)
    else:
        _train_one(job.single(words))


def _train_one(run: job.Job) -> float | None:
    from vaekl.run import start  # imports torch, which a mistake in the words must not wait for

    return start.train(run)


def _sweep(sweep: parse.Sweep, make_report: ending.MakeReport) -> None:
    composed = mistakes.check_runs(sweep.runs(), sweep.of_hydra, sweep.directories)
    named = sweep.value("hydra.sweep.dir")
    path = (Path(str(composed.hydra.sweep.dir)) if named else sweep.folder()).absolute()
    if not named:
        refuse_link(path)
    check_name(path / (sweep.value("hydra.sweep.subdir") or ""))
    console, runs = Console(), sweep.count()
    check_place(path, "sweep", "output_dir")
    made_folder(path, "sweep", "output_dir")
    refuse_strange(path)  # Hydra and the launchers write there too
    with sole_user(path):
        _check_queue(path, sweep)
        local = sweep.launcher in (None, "basic", "joblib")
        chosen = (
            replace(_plan(sweep, path, console, composed), to_evaluate=ending.to_evaluate(path, sweep))
            if local
            else None
        )
        if chosen:
            chosen = replace(chosen, to_evaluate=ending.to_evaluate(path, sweep))
        console.print(chosen.text() if chosen else f"{runs} runs, launched by {sweep.launcher}")
        console.print(f"  sweep       {printable(str(path))}")
        where: _Where = "here" if sweep.launcher == "basic" else "worker" if local else "job"
        task = _Task(path, uuid.uuid4().hex, where, sweep.searches, chosen.stack if chosen else 1)
        _launch(task, sweep, chosen, runs, console)
    if task.stopped:
        raise task.stopped[0]
    ending.close(path, task.session, sweep, console, make_report)


_Where = Literal["here", "worker", "job"]


@dataclass
class _Prepared:
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
class _Task:
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
    where: _Where
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
        _import_training(_sources([run]))
        elbo: float | None = workers.alone(lambda: self._attempt(run), run.path)
        return elbo

    def collected(self, cfg: DictConfig) -> _Prepared:
        """The run that Hydra has just prepared."""
        if self.where == "worker" and in_worker():  # with one run at a time joblib uses this very process
            workers.leave_signals()
        try:
            prepared: job.Job | Exception = job.of_sweep(cfg)
        except Exception as error:  # the manifest says what it was
            prepared = error
        return _Prepared(job.current_folder(), job.current_overrides(), prepared)

    def together(self, runs: Sequence[_Prepared]) -> None:
        """Train the runs of a stack; those that are finished stand in it, so that the others' figures are the same."""
        begun = [run for run in runs if self._begins(run)]
        finished = [run for run in begun if _finished(run) is not None]
        for run in finished:
            self._attempt(run)
        if len(finished) == len(begun):
            return
        _import_training(_sources(begun))
        paths = [run.path for run in begun if run not in finished]
        workers.alone(lambda: self._stacked(begun, finished), *paths)

    def _stacked(self, runs: Sequence[_Prepared], finished: Sequence[_Prepared]) -> None:
        from vaekl.run import start, together

        def train(run: _Prepared) -> None:
            if run in finished:
                start.stand_in(cast(job.Job, run.job))
            elif not self.stopped and self._begins(run):
                self._attempt(run)

        together.train([partial(train, run) for run in runs], self.sweep)

    def _begins(self, run: _Prepared) -> bool:
        """Whether a run may begin: not where the sweep was stopped."""
        if not self.stopped and not workers.is_stopping(self.sweep):
            return True
        with suppress(OSError):  # Hydra made the folder; one in which a run was begun before stays
            run.path.rmdir()
        return False

    def _attempt(self, run: _Prepared) -> float | None:
        try:
            # a search may draw the same values twice: the second run waits for the first one, and takes its results
            with sole_writer(run.path / "attempt") if self.searches else nullcontext():
                if (figures := _finished(run)) is not None:
                    manifest.note(run.path, status="finished", reason=None, session=self.session)
                    return figures.validation_elbo
                with manifest.recorded(run.path, run.overrides, self.session, slurm.job()):
                    # looked at once more: a stop since the last look did not see this run in the manifest
                    if workers.is_stopping(self.sweep):
                        raise StoppedError("stopped before its first step.")
                    if isinstance(run.job, Exception):
                        raise run.job
                    return _train_one(run.job)
        except StoppedError as error:
            # a job goes back into the queue with this object, and must begin again there
            if self.where != "job":
                self.stopped.append(error)
            return None
        except Exception:  # the manifest says what it was; a search gets no figure
            with suppress(OSError):  # Hydra made the folder; one in which a run was begun stays
                run.path.rmdir()
            return None


def _sources(runs: Sequence[_Prepared]) -> set[str]:
    return {str(run.job.content["dataset"]["_target_"]) for run in runs if isinstance(run.job, job.Job)}


def _import_training(sources: Collection[str]) -> None:
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


def _finished(run: _Prepared) -> Results | None:
    """The results of a run that was finished before, whose files nobody has touched since; read without torch."""
    if isinstance(run.job, Exception):
        return None
    with suppress(VaeklError):  # the run itself will say what is wrong
        folder, content = RunFolder(run.path), run.job.content
        if folder.is_run_of(content) and folder.facts().data.files == files_digest(content["dataset"]):
            return folder.results()
    return None


def _launch(task: _Task, sweep: parse.Sweep, chosen: plan.Plan | None, runs: int, console: Console) -> None:
    on_slurm, path = sweep.launcher == "submitit_slurm", task.sweep
    at_once = chosen.at_once if chosen else None
    words = [*sweep.words, *sweep.settings(path, at_once, by_joblib=task.size > 1)]
    with ExitStack() as around:
        if task.where != "here":
            # Slurm says how many cores a job has; submitit's local jobs all run at once, so each gets one
            threads = chosen.threads if chosen else None if on_slurm else 1
            around.enter_context(workers.stoppable(path, task.session, threads, on_slurm))
            around.enter_context(display.shown(path, task.session, runs, console))
            if chosen and sweep.launcher is None and not sweep.tunes_launcher:
                around.enter_context(stacks.launched(chosen))
        before = slurm.jobs(path)
        try:
            with slurm.watched(path) if on_slurm else nullcontext():
                multirun.multirun(task, words)
        except VaeklError:
            raise
        except Exception as error:  # launchers and searches fail if a run leaves no answer; the manifest says why
            submitted = slurm.jobs(path) - before
            if type(error).__module__.startswith("submitit") and not submitted:
                raise VaeklError(
                    f"{sweep.launcher} could not begin a run ({first_line(error)}): check hydra.launcher.*."
                ) from error
            slurm.wait(submitted, local=not on_slurm)
            manifest.settle(path, task.session)
            ended = manifest.of_session(path, task.session)
            if not isinstance(error, slurm.NoJobsLeftError) and not manifest.failures(ended) and not submitted:
                if isinstance(error, OSError) and is_full(path):
                    raise VaeklError(unwritable(path, "sweep", error)) from error
                if isinstance(error, OSError) and not error.filename:  # a semaphore has no file's name
                    raise VaeklError(f"{no_processes(error)}, or set hydra/launcher=basic.") from error
                raise


def _check_queue(path: Path, sweep: parse.Sweep) -> None:
    if sweep.launcher == "submitit_slurm" and (waiting := slurm.jobs(path) & (slurm.queued() or set())):
        raise VaeklError(
            f"jobs of this sweep are still in the queue ({', '.join(sorted(waiting)[:5])}): wait for them, or take "
            "them out by `scancel`, then type the command again."
        )


def _plan(sweep: parse.Sweep, path: Path, console: Console, sources: Collection[str] = ()) -> plan.Plan:
    runs, before = sweep.count(), manifest.read(path)
    finished = min(runs, sum(run.status == "finished" for run in before.values()))
    may_stack = sweep.launcher is None and not sweep.tunes_launcher and not sweep.searches
    wants_stacks = sweep.stack not in ("", parse.OFF)  # who has not typed it need not know why there are none
    alone = "searches and settings of a launcher take no stacks" if wants_stacks and not may_stack else ""
    if sweep.launcher == "basic":  # one run after the other
        return replace(plan.one_by_one(runs, finished), alone=alone)
    device = sweep.value("trainer.device") or "auto"
    gpu = device.startswith("cuda") or (device == "auto" and has_gpu())
    guess = plan.plan(runs, finished, gpu, None)
    if finished == runs:
        return guess
    if gpu:
        workers.check_fork()
    console.print("trying some of the runs for a few steps, to know sizes and times")
    before_imports = time.perf_counter()
    _import_training(sources)
    start = time.perf_counter() - before_imports
    each = sweep.runs()
    kinds = stacks.divided(each, len(each))
    may_stack = may_stack and sweep.stack != parse.OFF and len(kinds) < len(each)
    if wants_stacks and not may_stack and not alone:
        alone = "no two of the runs differ in numbers of the loss and the optimiser only"
    if not may_stack:
        trial = plan.tried(each, sweep.directories, guess.at_once, guess.threads, report=sweep.report, start=start)
        return replace(plan.plan(runs, finished, gpu, trial), alone=alone)
    wish = int(sweep.stack) if sweep.stack.isdecimal() else sweep_folder.stacked(path)
    largest = max(kinds, key=len)
    size = plan.largest_stack(guess, len(largest)) if wish is None else wish
    some = [each[largest[0]], each[largest[-1]]] if size > 1 else []
    stack = min(size, len(largest))
    trial = plan.tried(each, sweep.directories, guess.at_once, guess.threads, some, stack, sweep.report, start)
    chosen = plan.plan(runs, finished, gpu, trial)
    tried = stacks.divided(each, trial.size if trial else 1)
    if wish is None:
        size = plan.stack_size(chosen, tried)
    sweep_folder.note_stacked(path, size)
    stacked = plan.in_stacks(chosen, stacks.divided(each, size))
    if size > 1:
        return replace(stacked, other=chosen.seconds)
    return replace(chosen, other=plan.in_stacks(chosen, tried).seconds if trial and trial.size > 1 else None)
