"""How a sweep fills the machine, and what its plan says of that."""

import os
from dataclasses import replace

import joblib
import pytest
import torch
from cli_helpers import SMALL, refused, vaekl

from vaekl.sweep import plan as plans
from vaekl.system import cores


@pytest.mark.parametrize(
    ("runs", "cores", "memory", "gpu", "at_once", "threads"),
    [
        (12, 4, 64e9, False, 4, 1),
        (2, 8, 64e9, False, 2, 4),
        (12, 16, 7e9, False, 4, 4),
        (12, 4, 1e9, False, 1, 4),
        (12, 4, 64e9, True, 1, 4),
        (1, 4, 64e9, False, 1, 4),
    ],
)
def test_the_plan_fills_the_machine_and_no_more(runs, cores, memory, gpu, at_once, threads, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(plans, "allowed_cores", lambda: cores)
    monkeypatch.setattr(plans, "free_memory", lambda: memory)
    plan = plans.plan(runs, 0, gpu, None)
    assert (plan.at_once, plan.threads) == (at_once, threads)
    assert f"{runs} runs, {at_once} at a time" in plan.text()


@pytest.mark.parametrize(
    ("typed", "runs", "at_once", "threads"), [(1, 12, 4, 1), (2, 12, 2, 2), (3, 12, 1, 3), (9, 12, 1, 4), (1, 2, 2, 1)]
)
def test_threads_that_are_typed_leave_each_run_as_many_cores(typed, runs, at_once, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a run looks at what is typed first
    monkeypatch.setattr(plans, "allowed_cores", lambda: 4)
    monkeypatch.setattr(plans, "free_memory", lambda: 64e9)
    plan = plans.plan(runs, 0, False, None, typed)
    assert (plan.at_once, plan.threads) == (at_once, threads)
    assert f"{at_once} at a time with {threads} thread" in plan.text() and "(4 cores)" in plan.text()
    stacked = plans.in_stacks(plan, [[0, 1]])
    assert (stacked.at_once, stacked.threads) == (1, threads)
    assert plans.plan(runs, 0, True, None, typed).threads == plans.one_by_one(runs, 0, typed).threads == threads


@pytest.mark.parametrize(
    ("n_jobs", "runs", "at_once", "threads"), [(2, 8, 2, 4), (16, 12, 12, 1), (3, 2, 2, 4), (1, 8, 1, 8)]
)
def test_the_number_of_jobs_that_is_typed_divides_the_cores(n_jobs, runs, at_once, threads, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(plans, "allowed_cores", lambda: 8)
    monkeypatch.setattr(plans, "free_memory", lambda: 1e9)  # who types a number knows
    plan = plans.plan(runs, 0, False, None, None, n_jobs)
    assert (plan.at_once, plan.threads) == (at_once, threads)
    assert "(hydra.launcher.n_jobs)" in plan.text()


def test_runs_are_beside_each_other_without_semaphores_too(monkeypatch):
    """Joblib's processes need them, and the forks of a sweep are none of joblib's."""
    monkeypatch.setattr(joblib, "effective_n_jobs", lambda _: 1)
    monkeypatch.setattr(plans, "allowed_cores", lambda: 2)
    monkeypatch.setattr(plans, "free_memory", lambda: 64e9)
    assert plans.plan(2, 0, False, None).at_once == 2


def test_finished_runs_need_no_worker_and_large_ones_leave_room(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(plans, "allowed_cores", lambda: 8)
    monkeypatch.setattr(plans, "free_memory", lambda: 10e9)
    large = plans.Trial(seconds=600, start=4, bytes=4e9, parameters=101_000_000, device="cpu")
    plan = plans.plan(12, 3, False, large)
    assert (plan.at_once, plan.threads) == (2, 4)
    # nine runs, two at a time, ten minutes each: five rounds
    assert plan.text().splitlines() == [
        "12 runs (3 of them finished before), 2 at a time with 4 threads each (10 GB of free memory)",
        "  on cpu, up to 101,000,000 parameters and 4.0 GB each; about 50 min",
    ]
    last = plans.plan(12, 10, False, None)
    assert (last.at_once, last.threads) == (2, plans.plan(12, 0, False, None).threads)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert plans.plan(12, 3, False, large).threads == plans.one_by_one(12, 3).threads == 3


@pytest.mark.parametrize(
    ("share", "size", "runs", "text"),
    [
        (0.25, 3, 6, "6 runs: 2 stacks of 3, 2 at a time with 1 thread each (2 cores)"),
        (0.25, 3, 5, "5 runs: 2 stacks of up to 3, 2 at a time with 1 thread each (2 cores)"),
        (1.05, 3, 6, "6 runs, 2 at a time with 1 thread each (2 cores)"),
    ],
)
def test_stacks_are_taken_where_they_are_faster_and_the_plan_says_by_how_much(share, size, runs, text, monkeypatch):
    monkeypatch.setattr(plans, "allowed_cores", lambda: 2)
    monkeypatch.setattr(plans, "free_memory", lambda: 64e9)
    trial = plans.Trial(50.0, 5.0, 1e9, 20_000, "cpu", in_steps=40.0, stacked=share, size=size)
    processes = plans.plan(runs, 0, False, trial)
    each = [list(range(start, min(start + size, runs))) for start in range(0, runs, size)]
    assert processes.seconds == 50 * 3
    chosen = plans.stack_size(processes, each)
    assert chosen == (size if share < 1 else 1)
    other = plans.in_stacks(processes, each)
    assert other.seconds == (10 + 40 * share) * size
    plan = replace(other, other=processes.seconds) if chosen > 1 else replace(processes, other=other.seconds)
    # ten seconds of each run are no steps
    times = "60 s, processes would take 2 min" if chosen > 1 else "2 min, stacks would take 3 min"
    assert plan.text() == f"{text}\n  on cpu, up to 20,000 parameters and 1.0 GB each; about {times}"


def test_a_process_that_has_used_the_gpu_forks_no_runs_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    answer = vaekl(tmp_path, "train", "-m", "seed=0,1", *SMALL, "trainer.device=cuda")
    refused(answer, "this process has used the GPU", "hydra/launcher=basic")


def test_stacks_whose_runs_are_finished_take_no_time(monkeypatch):
    monkeypatch.setattr(plans, "allowed_cores", lambda: 2)
    monkeypatch.setattr(plans, "free_memory", lambda: 64e9)
    trial = plans.Trial(50.0, 5.0, 1e9, 20_000, "cpu", in_steps=40.0, stacked=0.25, size=4, stack_bytes=2e9)
    each = [list(range(start, start + 4)) for start in range(0, 16, 4)]
    whole, nearly = (plans.in_stacks(plans.plan(16, finished, False, trial), each) for finished in (0, 12))
    assert whole.seconds == (10 + 40 * 0.25) * 4 * 2  # two rounds of two stacks of four
    assert nearly.seconds == whole.seconds / 2
    assert "2.0 GB a stack" in whole.text()


def test_stacks_that_memory_does_not_hold_are_not_beside_each_other(monkeypatch):
    monkeypatch.setattr(plans, "allowed_cores", lambda: 4)
    monkeypatch.setattr(plans, "free_memory", lambda: 10e9)
    trial = plans.Trial(50.0, 5.0, 1e9, 20_000, "cpu", in_steps=40.0, stacked=0.25, size=4, stack_bytes=4e9)
    assert plans.in_stacks(plans.plan(16, 0, False, trial), [[0] * 4] * 4).at_once == 2


def test_cores_and_memory_are_those_that_this_process_has(monkeypatch):
    assert 1 <= cores.allowed_cores() <= len(os.sched_getaffinity(0))
    assert 1e8 < cores.free_memory() < 1e14
    assert cores.memory_kills() >= 0
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert cores.allowed_cores() == 1
