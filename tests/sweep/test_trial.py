"""What a few steps of some runs of a sweep show before it begins: their sizes and times."""

import io
import os
import signal
from pathlib import Path

import pytest
import torch
from cli_helpers import SMALL

from vaekl.config.job import single
from vaekl.run.build import build
from vaekl.run.config import RunConfig
from vaekl.sweep import trial, trying
from vaekl.system import devices
from vaekl.system.console import Console


def test_runs_whose_numbers_differ_are_tried_once(monkeypatch):
    requests = []

    def tried(tasks, threads):
        requests.extend(task.args[1] for task in tasks)
        return [{"runs": [], "stack": {}}]

    monkeypatch.setattr(trying, "_tried", tried)
    runs = [["likelihood=cb", f"weighting.beta={beta}", f"seed={seed}"] for beta in (0.1, 1) for seed in (0, 1)]
    trying.tried([*runs, ["likelihood=cb", "weighting.per=value"], ["model=conv"]], [], 1, 1)
    assert requests[0] == [runs[-1], ["likelihood=cb", "weighting.per=value"], ["model=conv"]]


@pytest.mark.nightly
def test_a_trial_knows_sizes_and_times():
    base = ["model=linear", "model.latents=4", "likelihood=gaussian", "trainer.valid_every=500"]
    runs = [[*base, f"trainer.steps={steps}", f"seed={seed}"] for steps in (1000, 20000) for seed in (0, 1)]
    trial = trying.tried([*runs, ["model=nonsense"]], [], 1, 1)
    # means 64 -> 4 with biases, 4 standard deviations that are the same for every image, 4 -> 64 with biases, ln φ
    assert trial.parameters == 64 * 4 + 4 + 4 + 4 * 64 + 64 + 1
    assert trial.device == "cpu" and 2e8 < trial.bytes < 4e9
    assert 0 < trial.seconds < 3600


@pytest.mark.nightly
def test_a_trial_of_a_stack_has_as_many_runs_as_it_will_have():
    base = ["model.hidden=[16]", "model.latents=2", "weighting=fixed_beta"]
    runs = [[*base, f"weighting.beta={beta}"] for beta in (0.1, 0.2)]
    trial = trying.tried(runs, [], 1, 1, runs, 12)
    assert trial.size == 12 and trial.reason == "" and 0 < trial.stacked < 1


@pytest.mark.parametrize(("on_gpu", "size"), [(0, 12), (100, 7), (1000, 2)])
def test_a_trial_s_stack_fits_the_memory_of_a_gpu(on_gpu, size, monkeypatch):
    cost = {"parameters": 10, "gpu_bytes": on_gpu, "step": 0.1}
    monkeypatch.setattr(trial, "_cost", lambda *_: cost)
    monkeypatch.setattr(trial, "_free_on_gpu", lambda: 799.0)
    monkeypatch.setattr(trial, "_stacked", lambda runs, directories, size: {"size": size})
    request = {"stack": [["seed=0"], ["seed=1"]], "size": 12, "room": 1e12, "directories": [], "report": False}
    assert trial.costs(request, [["seed=0"]])["stack"] == {"size": size}


@pytest.mark.nightly
def test_a_trial_of_fewer_steps_takes_less_time():
    words = ["model=linear", "model.latents=4", "likelihood=gaussian", "trainer.valid_every=500"]
    short, long = (trying.tried([[*words, f"trainer.steps={steps}"]], [], 1, 1) for steps in (1000, 20000))
    assert 0 < short.seconds < long.seconds


def test_runs_that_cannot_be_tried_have_no_sizes(monkeypatch):
    monkeypatch.setattr(trying, "_costs", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    assert trying.tried([["seed=0"]], [], 1, 1) is None


def test_a_tried_run_has_the_threads_of_the_plan(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(devices, "free_cores", lambda *_: 7)
    monkeypatch.setattr(devices, "_MOST_THREADS", 7)

    def threads(request, runs):
        build(RunConfig.of(single([*SMALL, *runs[0]]).content), Path("none"), Console(io.StringIO()), callbacks=[])
        cost = {"step": 1.0, "steps": 1, "seconds": float(torch.get_num_threads()), "bytes": 1, "parameters": 1}
        return {"runs": [cost | {"device": "cpu"}], "stack": {}}

    monkeypatch.setattr(trying, "_costs", threads)
    assert trying.tried([["seed=0"]], [], 1, 2).seconds == 2
    assert "OMP_NUM_THREADS" not in os.environ
