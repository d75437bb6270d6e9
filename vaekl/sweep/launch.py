"""`vaekl train -m`: every run of a sweep in its folder, whoever launches it; a run that fails stops no other."""

import time
import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from vaekl.config import job, mistakes, multirun, overrides
from vaekl.run.config import RunConfig
from vaekl.store import RunFolder, manifest, sweep_folder
from vaekl.sweep import display, ending, launcher, parse, plan, ready_made, slurm, stacks, trying, workers
from vaekl.sweep.task import Task, Where, import_training, train_one
from vaekl.system.console import Console
from vaekl.system.cores import has_gpu
from vaekl.system.errors import VaeklError, first_line
from vaekl.system.files import own_folder, refuse_link, refuse_strange, unwritable
from vaekl.system.places import check_name, check_place, is_full
from vaekl.system.terminal import printable
from vaekl.system.workers import no_processes

#: runs of a sweep whose values are looked at before anything else, if none of them can be trained
_MOST_LOOKED_AT = 100


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
    words, names = ready_made.expanded(overrides.with_home(own))
    if overrides.is_sweep(words):
        mistakes.check(words)
        _sweep(parse.read(words, names, stack, report), make_report)
    elif stack:
        raise VaeklError(
            "sweep.stack says which runs of a sweep share their steps, and this is one run: leave it away, or give a "
            "key several values after -m."
        )
    elif report:
        raise VaeklError(
            "report=true makes a report at the end of a sweep: leave it away, and type `vaekl report RUN` once the run "
            "has ended."
        )
    elif overrides.shows(words):
        mistakes.check(words)
        multirun.show(words)
    else:
        named = any(word.startswith("hydra.run.dir=") for word in words)
        train_one(job.single(words), "hydra.run.dir" if named else "output_dir")


def _sweep(sweep: parse.Sweep, make_report: ending.MakeReport) -> None:
    composed = mistakes.check_runs(sweep.runs(), sweep.of_hydra, sweep.directories)
    local = sweep.launcher in (None, "basic", "joblib")
    if local:
        _check_keys(sweep)
    named = sweep.value("hydra.sweep.dir")
    option = "hydra.sweep.dir" if named else "output_dir"
    path = (Path(str(composed.hydra.sweep.dir)) if named else sweep.folder()).absolute()
    check_name(path, option)
    check_name(path / (sweep.value("hydra.sweep.subdir") or ""), "hydra.sweep.subdir")
    if not named:
        refuse_link(path)
    _check_values(sweep)
    console, runs = Console(), sweep.count()
    check_place(path, "sweep", option)
    if RunFolder(path).holds_run():
        raise VaeklError(
            f"{printable(str(path))} is the folder of a run, and no report of it would show those of a sweep: "
            f"set {option}=FOLDER to another one."
        )
    refuse_strange(path)  # Hydra and the launchers write there too
    with own_folder(path, "sweep", option):
        _check_queue(path, sweep)
        wish = composed.hydra.launcher.get("n_jobs", -1)
        sources = {str(composed.dataset._target_)}
        chosen = _plan(sweep, path, console, sources, wish if wish > 0 else None) if local else None
        if chosen:
            chosen = replace(chosen, to_evaluate=ending.to_evaluate(path, sweep))
        console.print(chosen.text() if chosen else f"{runs} runs, launched by {sweep.launcher}")
        if local and (otherwise := _trained_otherwise(sweep, path)):
            console.print(f"  {otherwise}")
        console.print(f"  sweep       {printable(str(path))}")
        where: Where = "here" if sweep.launcher == "basic" else "worker" if local else "job"
        task = Task(path, uuid.uuid4().hex, where, sweep.searches, chosen.stack if chosen else 1)
        _launch(task, sweep, chosen, runs, console)
    if task.stopped:
        raise task.stopped[0]
    ending.close(path, task.session, sweep, console, make_report)


def _launch(task: Task, sweep: parse.Sweep, chosen: plan.Plan | None, runs: int, console: Console) -> None:
    on_slurm, path = sweep.launcher == "submitit_slurm", task.sweep
    words = [*sweep.words, *sweep.settings(path, chosen.at_once if chosen else None)]
    with ExitStack() as around:
        if task.where != "here":
            # Slurm says how many cores a job has; submitit's local jobs all run at once, so each gets one
            threads = chosen.threads if chosen else None if on_slurm else 1
            around.enter_context(workers.stoppable(path, task.session, threads, on_slurm))
            around.enter_context(display.shown(path, task.session, runs, console))
            if chosen:
                around.enter_context(launcher.launched(chosen))
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
                if isinstance(error, FileExistsError):
                    place = printable(str(error.filename))
                    raise VaeklError(f"{place} is in the place of a run's folder: take it away.") from error
                if isinstance(error, OSError) and not error.filename:  # a process has no file's name
                    raise VaeklError(f"{no_processes(error)}, or set hydra/launcher=basic.") from error
                raise


def _check_values(sweep: parse.Sweep) -> None:
    """Refuse a sweep of which every run has a value that it cannot have, as far as that is seen without torch.

    Where one can be trained, the others fail by themselves.
    """
    runs, first = sweep.runs(), ""
    if sweep.searches or len(runs) > _MOST_LOOKED_AT:
        return
    for run in runs:
        try:
            RunConfig.of(job.single([*run, *(f"--config-dir={folder}" for folder in sweep.directories)]).content)
            return
        except VaeklError as error:
            first = first or str(error)
    raise VaeklError(f"none of the {len(runs)} runs can be trained; of the first it is said: {first}")


def _check_keys(sweep: parse.Sweep) -> None:
    keys = [str(override.key_or_group) for override in sweep.overrides]
    if idle := [key for key in keys if key.startswith("hydra.launcher.") and key != "hydra.launcher.n_jobs"]:
        raise VaeklError(
            f"{idle[0]} would do nothing, since vaekl itself begins the processes of a sweep: leave it away; "
            "hydra.launcher.n_jobs is the number of runs at a time."
        )


def _check_queue(path: Path, sweep: parse.Sweep) -> None:
    if sweep.launcher == "submitit_slurm" and (waiting := slurm.jobs(path) & (slurm.queued() or set())):
        raise VaeklError(
            f"jobs of this sweep are still in the queue ({', '.join(sorted(waiting)[:5])}): wait for them, or take "
            "them out by `scancel`, then type the command again."
        )


def _trained_otherwise(sweep: parse.Sweep, path: Path) -> str:
    """How runs that are finished were trained, where that is not what sweep.stack, as it is typed, stands for."""
    if sweep.stack == parse.OFF:
        wish, sizes = "runs by themselves", Counter({1: sweep.count()})
    elif sweep.stack.isdecimal() and sweep.may_stack and not sweep.compiles:
        stack, each = int(sweep.stack), sweep.runs()
        wish = f"stacks of {stack}" if stack > 1 else "runs by themselves"
        sizes = Counter(len(those) for those in stacks.divided(each, stack) for _ in those)
    else:
        return ""
    runs = manifest.read(path).values()
    finished = Counter(run.stack for run in runs if run.status == "finished" and run.stack)
    if not (others := finished - sizes):
        return ""
    ways = [
        f"{count} of them {'was' if count == 1 else 'were'} trained "
        + (f"in stacks of {size}" if size > 1 else f"by {'itself' if count == 1 else 'themselves'}")
        for size, count in sorted(others.items())
    ]
    return f"{', '.join(ways)}: for {wish}, type another hydra.sweep.dir"


def _plan(
    sweep: parse.Sweep, path: Path, console: Console, sources: Collection[str] = (), n_jobs: int | None = None
) -> plan.Plan:
    runs, before = sweep.count(), manifest.read(path)
    finished = min(runs, sum(run.status == "finished" for run in before.values()))
    wants_stacks = sweep.stack not in ("", parse.OFF)  # who has not typed it need not know why there are none
    alone = (
        "searches, other launchers and settings of a launcher take no stacks"
        if wants_stacks and not sweep.may_stack
        else ""
    )
    if sweep.launcher == "basic":  # one run after the other
        return replace(plan.one_by_one(runs, finished, sweep.threads), alone=alone)
    device = sweep.value("trainer.device") or "auto"
    gpu = device.startswith("cuda") or (device == "auto" and has_gpu())
    guess = plan.plan(runs, finished, gpu, None, sweep.threads, n_jobs)
    if finished == runs:
        return guess
    if gpu:
        workers.check_fork()
    console.print("trying some of the runs for a few steps, to know sizes and times")
    before_imports = time.perf_counter()
    import_training(sources)
    start = time.perf_counter() - before_imports
    each = sweep.runs()
    kinds = stacks.divided(each, len(each))
    if wants_stacks and not alone and len(kinds) == len(each):
        alone = "no two of the runs differ in numbers of the loss and the optimiser only"
    if wants_stacks and not alone and sweep.compiles:
        alone = "with trainer.compile each run takes its steps by itself"
    may_stack = sweep.may_stack and sweep.stack != parse.OFF and len(kinds) < len(each) and not sweep.compiles
    if not may_stack:
        trial = trying.tried(each, sweep.directories, guess.at_once, guess.threads, report=sweep.report, start=start)
        return replace(plan.plan(runs, finished, gpu, trial, sweep.threads, n_jobs), alone=alone)
    wish = int(sweep.stack) if sweep.stack.isdecimal() else sweep_folder.stacked(path)
    largest = max(kinds, key=len)
    size = plan.largest_stack(guess, len(largest)) if wish is None else wish
    some = [each[largest[0]], each[largest[-1]]] if size > 1 else []
    stack = min(size, len(largest))
    layout = guess if wish is None else plan.in_stacks(guess, stacks.divided(each, size))
    trial = trying.tried(each, sweep.directories, layout.at_once, layout.threads, some, stack, sweep.report, start)
    chosen = plan.plan(runs, finished, gpu, trial, sweep.threads, n_jobs)
    tried = stacks.divided(each, trial.size if trial else 1)
    if wish is None:
        size = plan.stack_size(chosen, tried)
    elif sweep.stack.isdecimal() and trial is not None and 1 < trial.size < stack:
        size = trial.size  # memory holds no more
    sweep_folder.note_stacked(path, size)
    if size > 1:
        stacked = plan.in_stacks(chosen, stacks.divided(each, size))
        return replace(stacked, other=chosen.seconds if wish is None else None)
    return replace(chosen, other=plan.in_stacks(chosen, tried).seconds if trial and trial.size > 1 else None)
