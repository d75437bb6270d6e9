"""What the processes of a suggestion do: look at the data, try a candidate for a few steps, train a run to a step."""

import contextlib
import io
import json
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

from vaekl.config.job import single
from vaekl.data.spec import Source
from vaekl.run.advance import advance
from vaekl.run.build import build
from vaekl.run.build_data import build_source_of
from vaekl.run.config import DataConfig, RunConfig
from vaekl.store import manifest
from vaekl.store.suggest_schema import Cost, Look
from vaekl.suggest.judge import Judge, judged
from vaekl.suggest.look import look
from vaekl.sweep import workers
from vaekl.system.console import Console
from vaekl.system.cores import memory_kills
from vaekl.system.errors import StoppedError, VaeklError, sentence
from vaekl.system.terminal import setting
from vaekl.system.workers import in_worker, no_processes

#: of the measurement of a candidate
_WARM_UP, _STEPS, _SECONDS = 1, 6, 0.3
#: validation examples that are judged then
_JUDGED = 200
_SOURCES: dict[str, Source] = {}
#: an answer of a task: what it found, why it failed, or that it was stopped
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
class Try:
    """A few steps of a candidate, and one look at it, to know what they cost; nothing is written.

    Args:
        words: of the candidate, with those of the data.
        images: validation examples that judge.
        aim: of the suggestion.
    """

    words: tuple[str, ...]
    images: int
    aim: str

    def __call__(self) -> Any:
        begun = time.perf_counter()
        job = single(self.words)
        cfg = RunConfig.of(job.content)
        trainer = build(cfg, job.path, Console(io.StringIO()), source_of(cfg.data), callbacks=[]).trainer
        start = time.perf_counter() - begun
        trainer.model.train()
        steps, before = 0, time.perf_counter()
        with contextlib.closing(trainer.data.train.stream(trainer.batches_to_come())) as batches:
            for stored in batches:
                if steps == _WARM_UP:
                    before = time.perf_counter()
                trainer.train_step(stored)
                steps += 1
                if steps > _WARM_UP and (time.perf_counter() - before > _SECONDS or steps == _WARM_UP + _STEPS):
                    break
        trainer.rows.cpu()  # waits for a GPU
        step = (time.perf_counter() - before) / max(1, steps - _WARM_UP)
        before = time.perf_counter()
        some = min(_JUDGED, self.images)
        judged(trainer, self.aim, some)
        share = min(self.images, len(trainer.data.valid or [])) / max(1, min(some, len(trainer.data.valid or [])))
        cost = Cost(
            start=start,
            step=step,
            judge=(time.perf_counter() - before) * share,
            parameters=sum(p.numel() for p in trainer.model.parameters()),
            steps=trainer.plan.total_steps,
            every=trainer.plan.log_every,
        )
        return msgspec.to_builtins(cost)


@dataclass(frozen=True)
class Advance:
    """A run trained to a step, and judged there and at the steps of the grid before.

    Args:
        words: of the candidate, with those of the data and the seed.
        path: the run's folder.
        steps: at which it is judged; it is trained to the last of them.
        images: validation examples that judge.
        aim: of the suggestion.
        deadline: seconds of `time.time`, after which it ends.
        session: of this command.
    """

    words: tuple[str, ...]
    path: Path
    steps: tuple[int, ...]
    images: int
    aim: str
    deadline: float
    session: str

    def __call__(self) -> Any:
        begun = time.perf_counter()
        with manifest.recorded(self.path, self.words, self.session) if in_worker() else contextlib.nullcontext():
            if workers.is_stopping(self.path.parent):
                raise StoppedError("stopped before its first step.")
            job = single([*self.words, setting("hydra.run.dir", self.path)])
            advance(
                job,
                lambda trainer: [
                    Judge(self.path, self.steps, self.aim, self.images, self.deadline, trainer.request_stop)
                ],
                Console(io.StringIO()),
                source_of(RunConfig.of(job.content).data),
            )
        if in_worker():  # "finished" would say that it was tested
            manifest.note(self.path, status="stopped", reason="trained as far as the suggestion needed it")
        return time.perf_counter() - begun


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
    with contextlib.suppress(Exception):  # loaded here once for all tasks of this process; the task says what is wrong
        _prepare(task.words)
    path = getattr(task, "path", folder / "look")
    answer: Answer | None = workers.alone(lambda: attempt(task), path)
    return answer or {"error": "its process was killed"}


def _prepare(words: Sequence[str]) -> None:
    """Load what every task needs, before processes are forked from this one: the data, and what Adam imports."""
    torch.set_num_threads(1)  # with threads of its own a process must not be forked
    source_of(RunConfig.of(single(words).content).data)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def source_of(cfg: DataConfig) -> Source:
    """The data set as it is stored, read once in a process and those that are forked from it."""
    key = json.dumps(cfg.dataset, sort_keys=True, default=str)
    if key not in _SOURCES:
        _SOURCES.clear()
        _SOURCES[key] = build_source_of(cfg)
    return _SOURCES[key]


def session_name() -> str:
    """A name of this command, by which its runs are known."""
    return f"{os.getpid()}-{time.time_ns():x}"
