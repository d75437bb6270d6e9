"""What the processes of a suggestion do: look at the data, and train a run to a step."""

import contextlib
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import msgspec
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from vaekl.config.job import changed
from vaekl.run import build_data
from vaekl.run.advance import advance
from vaekl.store import manifest
from vaekl.store.suggest_schema import Cost, Look
from vaekl.suggest.judge import Judge
from vaekl.suggest.look import look
from vaekl.suggest.shared import base, prepare
from vaekl.sweep import workers
from vaekl.system.console import Console
from vaekl.system.cores import memory_kills
from vaekl.system.errors import StoppedError, VaeklError, sentence
from vaekl.system.workers import in_worker, no_processes
from vaekl.training.trainer import Trainer

#: an answer of a task: its result, why it failed, or that it was stopped
Answer = dict[str, Any]


@dataclass(frozen=True)
class LookAtData:
    """See `look.look`."""

    words: tuple[str, ...]
    likelihoods: tuple[str, ...]
    latents: int | None

    def __call__(self) -> Any:
        return msgspec.to_builtins(look(self.words, self.likelihoods, self.latents))

    def read(self, answer: Any) -> Look:
        """The answer as a record."""
        return msgspec.convert(answer, Look)


@dataclass(frozen=True)
class Advance:
    """A run trained to a step, and judged there and at the steps of the grid before.

    Args:
        words: of the data and networks.
        own: of the candidate and its seed.
        path: the run's folder.
        steps: at which it is judged; it is trained to the last of them. None: the first step with training figures.
        images: validation examples that judge.
        aim: of the suggestion.
        deadline: seconds of `time.time`, after which it ends.
        session: of this command.
    """

    words: tuple[str, ...]
    own: tuple[str, ...]
    path: Path
    steps: tuple[int, ...] | None
    images: int
    aim: str
    deadline: float
    session: str

    def __call__(self) -> Any:
        begun = time.perf_counter()
        judges: list[Judge] = []

        def watching(trainer: Trainer) -> list[Judge]:
            steps = self.steps or (trainer.plan.log_every,)
            judges.append(Judge(self.path, steps, self.aim, self.images, self.deadline, trainer.request_stop))
            return judges

        words = (*self.words, *self.own)
        with manifest.recorded(self.path, words, self.session) if in_worker() else contextlib.nullcontext():
            if workers.is_stopping(self.path.parent):
                raise StoppedError("stopped before its first step.")
            job = changed(base(self.words), self.own, self.path)
            trainer = advance(job, watching, Console(io.StringIO()))
        if in_worker():  # "finished" would say that it was tested
            manifest.note(self.path, status="stopped", reason="trained as far as the suggestion needed it")
        (judge,) = judges
        cost = Cost(
            start=time.perf_counter() - begun - judge.fitting,
            step=max(0.0, judge.fitting - judge.judging) / max(1, trainer.step - judge.first),
            judge=judge.judging / max(1, judge.looks),
            parameters=sum(p.numel() for p in trainer.model.parameters()),
            steps=trainer.plan.total_steps,
            every=trainer.plan.log_every,
        )
        return msgspec.to_builtins(cost)


def attempt(task: Callable[[], Any]) -> Answer:
    """What a task answers, or why it does not."""
    try:
        return {"answer": task()}
    except StoppedError:
        return {"stopped": True}
    except Exception as error:  # it must not stop the others
        return {"error": sentence(error)}


def perform(tasks: Sequence[Any], folder: Path, session: str, jobs: int) -> Iterator[Answer]:
    """Do tasks, some at a time, each in a process of its own; one at a time in this process.

    Args:
        tasks: each is called; what it returns must be JSON.
        folder: of the suggestion.
        session: of this command.
        jobs: how many at a time.

    Returns:
        The answers in the order of the tasks.

    Raises:
        StoppedError: after a signal, when every run that had begun has saved its state.
    """
    if jobs == 1 or not tasks:
        for task in tasks:
            prepare(task.words)
            with build_data.shared():  # the data as one candidate has them are not kept for the next
                answer = attempt(task)
            if "stopped" in answer:
                raise StoppedError("the run that was training has saved its state")
            yield answer
        return
    with workers.stoppable(folder, session, 1, on_slurm=False):
        work = (joblib.delayed(_alone)(task, folder) for task in tasks)
        done, kills_before = 0, memory_kills()
        try:
            for answer in joblib.Parallel(n_jobs=jobs, return_as="generator")(work):
                done += 1
                yield answer
        except TerminatedWorkerError:
            memory = ": the system was out of memory" if memory_kills() > kills_before else ""
            yield from [{"error": f"its process was killed{memory}"}] * (len(tasks) - done)
        except OSError as error:
            raise VaeklError(f"{no_processes(error)}, or set jobs=1.") from error


def _alone(task: Any, folder: Path) -> Answer:
    """A task in a process of its own."""
    if in_worker():
        workers.leave_signals()
    if workers.is_stopping(folder):
        return {"stopped": True}
    torch.set_num_threads(1)  # with threads of its own a process must not be forked
    build_data.share()
    prepare(task.words)
    path = getattr(task, "path", folder / "look")
    answer: Answer | None = workers.alone(lambda: attempt(task), path)
    return answer or {"error": "its process was killed"}


def session_name() -> str:
    """A name of this command, by which its runs are known."""
    return f"{os.getpid()}-{time.time_ns():x}"
