"""A few steps of some runs, to know what a sweep will cost: in a process of its own, so that none breaks anything."""

import contextlib
import functools
import io
import itertools
import resource
import sys
import time
from collections.abc import Mapping
from math import ceil
from typing import Any

import torch

from vaekl.config.job import Job, single
from vaekl.config.verb_options import defaults
from vaekl.data import generator
from vaekl.measures.elbo import evaluate
from vaekl.measures.importance import importance_bounds
from vaekl.measures.ruler import log_density
from vaekl.model.modes import evaluating
from vaekl.run import build_data
from vaekl.run.build import build
from vaekl.run.config import RunConfig
from vaekl.system.console import Console
from vaekl.training import stack
from vaekl.training.trainer import Trainer

_WARM_UP, _STEPS, _SECONDS = 2, 20, 1.0
#: steps until one is taken by a CUDA graph, where that is asked for
_RECORDED = 6
_JUDGED = 500
#: decoder passes in which the importance-weighted bound is timed, and passes over the test images beside it
_BOUND_PASSES, _OTHER_PASSES = 1000, 6
#: a parameter's gradient, Adam's two moments, and what a step needs for a moment, in float32
_BYTES_TO_TRAIN = 16
#: what a run more in a stack needs: its files and pictures, and its parameters with their gradient and memory
_BYTES_A_MEMBER, _BYTES_A_PARAMETER = 2e7, 24
_SHARE_OF_GPU = 0.9


def costs(request: Mapping[str, Any], runs: list[list[str]]) -> dict[str, Any]:
    """What some runs cost.

    Args:
        request: the user's own config folders as `directories`; the `room` in memory, bytes; the runs of a `stack` and
            how many it has, its `size`; whether a `report` is wanted.
        runs: the words of each.

    Returns:
        Under `runs` what each costs that could be tried, under `stack` what they cost together.
    """
    answers = []
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for overrides in runs:
            with contextlib.suppress(Exception):  # what is wrong with a run, the run says
                answers.append(_cost(overrides, request["directories"], request["room"], request["report"]))
        stacked: dict[str, Any] = {}
        parameters = max((answer["parameters"] for answer in answers), default=0)
        if len(request["stack"]) > 1 and answers and all(answer["step"] is not None for answer in answers):
            with contextlib.suppress(Exception):
                rooms = [(request["room"] - _resident()) // max(_BYTES_A_MEMBER + _BYTES_A_PARAMETER * parameters, 1)]
                if on_gpu := max(answer["gpu_bytes"] for answer in answers):
                    rooms.append(_free_on_gpu() // on_gpu)
                size = max(2, min(request["size"], *map(int, rooms)))
                stacked = _stacked(request["stack"][:size], request["directories"], size)
    return {"runs": answers, "stack": stacked}


@functools.cache
def _composed(*words: str) -> Job:
    return single(words)


def _stacked(runs: list[list[str]], directories: list[str], size: int) -> dict[str, Any]:
    """Seconds of a step of each run of a stack, or why the runs do not take it together.

    Args:
        runs: some of them; where the stack has more, they are there several times.
        directories: the user's own config folders.
        size: how many the stack has.
    """
    reasons: list[str] = []
    begun, ended, steps = 0.0, 0.0, _STEPS // 2
    words = [[*run, *(f"--config-dir={directory}" for directory in directories)] for run in runs]
    jobs = [_composed(*run) for run in words]

    def train(job: Job) -> None:
        nonlocal begun, ended
        trainer = build(RunConfig.of(job.content), job.path, Console(io.StringIO()), callbacks=[]).trainer
        trainer.model.train()
        first = _untimed(trainer)
        indices = itertools.islice(trainer.batches_to_come(), first + steps)
        with stack.joined(trainer), contextlib.closing(trainer.data.train.stream(indices)) as batches:
            for number, stored in enumerate(batches):
                if number == first:
                    begun = _now(trainer)
                trainer.train_step(stored)
        ended = _now(trainer)

    with build_data.shared():
        stack.train([functools.partial(train, jobs[place % len(jobs)]) for place in range(size)], reasons.append)
    return {"step": (ended - begun) / steps / size, "size": size, "bytes": _resident(), "reason": "\n".join(reasons)}


def _cost(overrides: list[str], directories: list[str], room: float, report: bool) -> dict[str, Any]:
    begun = time.perf_counter()
    if torch.cuda.is_initialized():  # by a run before
        torch.cuda.reset_peak_memory_stats()
    job = _composed(*overrides, *(f"--config-dir={directory}" for directory in directories))
    trainer = build(RunConfig.of(job.content), job.path, Console(io.StringIO())).trainer
    start = time.perf_counter() - begun
    parameters = sum(p.numel() for p in trainer.model.parameters())
    facts = {"parameters": parameters, "device": trainer.device.type}
    needed = _resident() + _BYTES_TO_TRAIN * parameters
    if needed > room:  # others are tried beside it: its size must do
        return facts | {"bytes": needed, "gpu_bytes": 0, "seconds": None, "step": None}
    step = _seconds_a_step(trainer)
    plan, data = trainer.plan, trainer.data
    some, before = data.train.first(_JUDGED), time.perf_counter()
    evaluate(trainer.model, some, generator("trial", 0, trainer.device))
    an_image = (time.perf_counter() - before) / len(some)
    validations = ceil(plan.total_steps / plan.valid_every) + 1
    judged = validations * len(data.valid or []) + len(data.test)
    seconds = start + step * plan.total_steps + an_image * judged
    measured = {"seconds": seconds, "step": step, "steps": plan.total_steps}
    if report:
        measured["evaluation"] = _evaluation(trainer, an_image)
    on_gpu = torch.cuda.max_memory_allocated() if trainer.device.type == "cuda" else 0
    return facts | measured | {"bytes": _resident(), "gpu_bytes": on_gpu}


def _evaluation(trainer: Trainer, an_image: float) -> float:
    """Seconds in which `vaekl eval` measures the run: most of them are the importance-weighted bound's.

    Args:
        trainer: at its first step.
        an_image: seconds of one image in one evaluation.
    """
    model, data = trainer.model, trainer.data
    k = max(defaults("eval")["k"])
    some, noise = data.test.first(max(1, _BOUND_PASSES // k)), generator("trial", 0, trainer.device)
    with evaluating(model):
        before = time.perf_counter()
        importance_bounds(model, some, log_density(model), [k], noise)
        of_bound = (time.perf_counter() - before) / len(some)
    neighbours = 0 if data.train.labels is None else len(data.train)
    return of_bound * len(data.test) + an_image * (_OTHER_PASSES * len(data.test) + neighbours)


def _resident() -> float:
    """The most memory that this process has had, bytes."""
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def _seconds_a_step(trainer: Trainer) -> float:
    trainer.model.train()
    steps, first = 0, _untimed(trainer)
    with contextlib.closing(trainer.data.train.stream(trainer.batches_to_come())) as batches:
        for stored in batches:
            if steps == first:
                begun = _now(trainer)
            trainer.train_step(stored)
            steps += 1
            if steps > first and (time.perf_counter() - begun > _SECONDS or steps == first + _STEPS):
                break
    return (_now(trainer) - begun) / (steps - first) if steps > first else 0.0


def _untimed(trainer: Trainer) -> int:
    """How many steps are taken before the clock starts."""
    return _WARM_UP if trainer.recorder is None else _RECORDED


def _now(trainer: Trainer) -> float:
    """Seconds of the clock once the device has done what it was told."""
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)
    return time.perf_counter()


def _free_on_gpu() -> float:
    """Bytes of a GPU's memory that stacked runs may fill: what is free, and what this process keeps."""
    return _SHARE_OF_GPU * (torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved())
