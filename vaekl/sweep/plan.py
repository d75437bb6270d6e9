"""How a sweep uses the machine, said before its first run: how many runs at a time, with how many threads, how long."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from textwrap import indent

from vaekl.store.sweep_schema import MOST_STACKED
from vaekl.system.cores import allowed_cores, free_memory

#: assumed of a run that could not be tried: PyTorch, the data, TensorBoard
_BYTES_A_RUN = 1.5e9
SHARE_OF_MEMORY = 0.9
#: the share of a step's time above which to take it together is not worth it, since a process that dies takes all along
_WORTH_IT = 0.85
#: keys in which the runs of a stack may differ: numbers of the loss and of the optimiser; groups by their first word
FREE = ("seed", "weighting.", "control.", "optim.", "schedule.", "lr_schedule.", "trainer.clip_norm", "trainer.ema")


@dataclass(frozen=True)
class Trial:
    """What a few steps of some of the runs have shown.

    Args:
        seconds: for a whole run, with its validations, on average; None if none of them had room to be timed.
        start: seconds in which a process of its own imports what it needs.
        bytes: of memory, of the largest.
        parameters: of the largest.
        device: cpu or cuda.
        in_steps: how many of the seconds the steps take.
        stacked: the share of a step's time that a run needs in a stack of `size`; None where that was not tried.
        size: of the stack that was tried.
        stack_bytes: of memory, of the process that has tried it; 0 where none was.
        reason: which of the stack's runs take their steps alone, and why, in lines; or empty.
        evaluation: seconds in which `vaekl eval` measures a run, on average; None where that was not tried.
    """

    seconds: float | None
    start: float
    bytes: float
    parameters: int
    device: str
    in_steps: float = 0.0
    stacked: float | None = None
    size: int = 1
    stack_bytes: float = 0.0
    reason: str = ""
    evaluation: float | None = None


@dataclass(frozen=True)
class Plan:
    """How a sweep uses the machine.

    Args:
        runs: how many there are.
        finished: how many of them were finished before.
        at_once: how many at a time, each in a process of its own.
        threads: of each.
        reason: what set the number.
        trial: what a few steps of some runs have shown, or None.
        stack: how many runs share a process and their steps at most; 1 where each has its own.
        stacks: how many such processes there are in all.
        alone: why no runs can share their steps, where they were to; empty otherwise.
        other: seconds that processes would take where stacks were chosen, or stacks where processes were; None where
            only one of them was looked at.
        to_evaluate: how many runs the report at the end will evaluate first; 0 without one.
        typed: trainer.threads, where the words give it a number.
    """

    runs: int
    finished: int
    at_once: int
    threads: int
    reason: str
    trial: Trial | None = None
    stack: int = 1
    stacks: int = 0
    alone: str = ""
    other: float | None = None
    to_evaluate: int = 0
    typed: int | None = None

    @property
    def seconds(self) -> float | None:
        """How long the sweep will take on a machine that does nothing else."""
        trial = self.trial
        if trial is None or trial.seconds is None:
            return None
        if self.stack == 1:
            return trial.seconds * ceil((self.runs - self.finished) / self.at_once)
        saved = trial.in_steps * (1 - (trial.stacked or 1.0))
        left = min(self.stacks, ceil((self.runs - self.finished) / self.stack))
        return (trial.seconds - saved) * self.stack * ceil(left / self.at_once)

    def text(self) -> str:
        """The plan as it is printed before the first run."""
        if self.finished == self.runs:
            return f"{self.runs} runs, all finished before{self._evaluation()}"
        finished = f" ({self.finished} of them finished before)" if self.finished else ""
        threads = f"{self.threads} thread" + ("s" if self.threads > 1 else "")
        line = f"{self.runs} runs{finished}, {self.at_once} at a time with {threads} each ({self.reason})"
        if self.stack > 1:
            up_to = "" if self.stack * self.stacks == self.runs else "up to "
            stacks = f"{self.stacks} stack{'s' if self.stacks > 1 else ''} of {up_to}{self.stack}"
            how = f"{stacks}, {self.at_once} at a time with {threads} each"
            line = f"{self.runs} runs{finished}: {how} ({self.reason})"
        elif self.alone:
            line += f"\n  not stacked: {self.alone}"
        if self.trial is None:
            return line + self._evaluation()
        if self.trial.reason and not self.alone:
            line += (
                "\n  of a stack that was tried:" if self.stack > 1 else "\n  not stacked; of a stack that was tried:"
            )
            line += "\n" + indent(self.trial.reason, "  ")
        sizes = f"up to {self.trial.parameters:,} parameters and {self.trial.bytes / 1e9:.1f} GB each"
        if self.stack > 1 and self.trial.stack_bytes:
            sizes = f"up to {self.trial.parameters:,} parameters each, {self.trial.stack_bytes / 1e9:.1f} GB a stack"
        line += f"\n  on {self.trial.device}, {sizes}"
        if self.seconds is not None:
            line += f"; about {duration(self.seconds)}{self._evaluation()}"
            if self.other is not None:
                line += f", {'processes' if self.stack > 1 else 'stacks'} would take {duration(self.other)}"
        return line

    def _evaluation(self) -> str:
        """What the report at the end needs before it, with its time where that is known."""
        if not self.to_evaluate:
            return ""
        if self.trial is None or self.trial.evaluation is None:
            return f", and the report's evaluation of {self.to_evaluate} runs"
        # as `vaekl eval` does it: on each core one run at a time, or one in all on a GPU
        at_once = 1 if self.trial.device != "cpu" else min(self.to_evaluate, allowed_cores())
        seconds = self.trial.start + self.trial.evaluation * ceil(self.to_evaluate / at_once)
        return f", and about {duration(seconds)} for the report's evaluation"


def plan(
    runs: int, finished: int, gpu: bool, trial: Trial | None, typed: int | None = None, n_jobs: int | None = None
) -> Plan:
    """As many runs at a time as there are cores for, fewer where memory or a single GPU says so.

    One run with four threads is slower than four runs with one, so threads are what is left over.

    Args:
        runs: how many there are.
        finished: how many of them were finished before.
        gpu: whether they compute on one.
        trial: what a few steps of some runs have shown, or None.
        typed: trainer.threads, with which each run computes whatever is planned; None where that is no number.
        n_jobs: hydra.launcher.n_jobs, which says how many at a time; None where nobody has set it.
    """
    cores, left = allowed_cores(), max(1, runs - finished)
    typed = typed and min(typed, cores)  # as a run takes it
    if n_jobs:
        at_once = min(left, n_jobs)
        threads = typed or _threads(max(1, cores // min(runs, n_jobs)))
        return Plan(runs, finished, at_once, threads, "hydra.launcher.n_jobs", trial, typed=typed)
    if gpu:
        return Plan(runs, finished, 1, typed or _threads(cores), "they share one GPU", trial, typed=typed)
    fit = max(1, int(SHARE_OF_MEMORY * free_memory() // (trial.bytes if trial else _BYTES_A_RUN)))
    places = cores // (typed or 1)
    at_once = min(left, places, fit)
    # by all runs, not by those that are left: a run that goes on has the threads that it began with
    threads = typed or _threads(max(1, cores // min(runs, cores, fit)))
    reason = f"{cores} cores" if at_once < fit or places <= fit else f"{free_memory() / 1e9:.0f} GB of free memory"
    return Plan(runs, finished, at_once, threads, reason, trial, typed=typed)


def one_by_one(runs: int, finished: int, typed: int | None = None) -> Plan:
    """What `hydra/launcher=basic` asks for; `typed` is trainer.threads, where that is a number."""
    cores = allowed_cores()
    threads = min(typed, cores) if typed else _threads(cores)
    return Plan(runs, finished, 1, threads, "hydra/launcher=basic", typed=typed)


def _threads(cores: int) -> int:
    """As many as there are cores for, unless the user's environment knows better."""
    wish = os.environ.get("OMP_NUM_THREADS", "")
    return int(wish) if wish.isdecimal() and int(wish) > 0 else cores


def largest_stack(plan: Plan, alike: int) -> int:
    """How many runs can share a process and their steps at most, so that each process has a stack.

    Args:
        plan: without stacks.
        alike: how many runs may share them.
    """
    return max(1, min(ceil(alike / plan.at_once), MOST_STACKED))


def stack_size(plan: Plan, each: Sequence[Sequence[int]]) -> int:
    """How many runs shall share a process and their steps at most; 1 where that was not faster by enough.

    Args:
        plan: without stacks.
        each: the stacks, where as many runs share them as have been tried.
    """
    if plan.trial is None or plan.trial.stacked is None or plan.trial.size == 1:
        return 1
    stacks, processes = in_stacks(plan, each).seconds, plan.seconds
    return plan.trial.size if stacks and processes and stacks < _WORTH_IT * processes else 1


def in_stacks(plan: Plan, stacks: Sequence[Sequence[int]]) -> Plan:
    """The same plan with stacks of runs, as many of them at a time as it had runs."""
    cores = plan.at_once * plan.threads
    bytes_each = plan.trial.stack_bytes if plan.trial else 0.0
    fit = int(SHARE_OF_MEMORY * free_memory() // bytes_each) if bytes_each else plan.at_once
    at_once = max(1, min(plan.at_once, len(stacks), fit))
    threads = plan.typed or _threads(max(1, cores // at_once))
    return replace(plan, at_once=at_once, threads=threads, stack=max(map(len, stacks)), stacks=len(stacks))


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(45), duration(200), duration(9000)
    ('45 s', '3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
