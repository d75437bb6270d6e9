"""A sweep on a real Slurm, which `make slurm` starts: no accounting, one node."""

import os
import signal
import subprocess
import time

import pytest
from cli_helpers import SMALL, finished, process, results, same_weights, vaekl, weights

from vaekl.store import manifest

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

ON_SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.mem_gb=null", "hydra.launcher.timeout_min=20")
#: long enough to be stopped in
LONG = (*SMALL[:2], "trainer.steps=4000", "trainer.valid_every=50", "trainer.log_every=50")


def only(folder):
    (found,) = (folder / "outputs").glob("sweep_*")
    return found


def states(folder):
    sweeps = list((folder / "outputs").glob("sweep_*"))
    return {name: run.status for name, run in manifest.read(sweeps[0]).items()} if sweeps else {}


def queue():
    return subprocess.run(["squeue", "-h", "-r", "-o", "%i %T"], capture_output=True, text=True, check=True).stdout


def wait_for(condition, seconds=90):
    for _ in range(seconds * 10):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"it did not come about; queue: {queue()}")


def undisturbed(folder, *words):
    """The results of the same runs, one after the other in this process."""
    here = folder / "here"
    here.mkdir()
    assert vaekl(here, *words, "hydra/launcher=basic").code == 0
    return {path.parent.name: results(path.parent) for path in only(here).glob("*/results.json")}


def test_slurm_trains_the_same_runs(tmp_path):
    words = ["train", "-m", "likelihood=cb,gaussian", "seed=0,1", *SMALL]
    answer = finished(process(tmp_path, *words, *ON_SLURM, "hydra.launcher.cpus_per_task=1"), 300)
    assert answer.code == 0, answer.err
    assert "4 runs, launched by submitit_slurm" in answer.out and "4 finished" in answer.out
    runs = manifest.read(only(tmp_path))
    assert len({run.slurm_job for run in runs.values()}) == 4
    expected = undisturbed(tmp_path, *words)
    assert {name: results(only(tmp_path) / name) for name in runs} == expected


def test_a_sweep_on_slurm_is_stopped_and_goes_on(tmp_path):
    words = ["train", "-m", "seed=0,1,2", *LONG]
    on_slurm = [*ON_SLURM, "hydra.launcher.array_parallelism=2"]
    running = process(tmp_path, *words, *on_slurm)
    wait_for(lambda: len(list(tmp_path.glob("outputs/*/*/last.pt"))) == 2)
    assert "PENDING" in queue()
    running.send_signal(signal.SIGTERM)
    answer = finished(running, 120)
    assert answer.code == 130 and "the same command goes on" in answer.err, answer.err
    assert list(states(tmp_path).values()) == ["stopped", "stopped"] and queue() == ""
    answer = finished(process(tmp_path, *words, *on_slurm), 300)
    assert answer.code == 0, answer.err
    assert {name: results(only(tmp_path) / name) for name in states(tmp_path)} == undisturbed(tmp_path, *words)


def test_a_job_that_is_killed_is_known_to_be(tmp_path):
    running = process(tmp_path, "train", "-m", "seed=0,1", *LONG, *ON_SLURM)
    wait_for(lambda: len(list(tmp_path.glob("outputs/*/*/last.pt"))) == 2)
    victim, run = next(iter(manifest.read(only(tmp_path)).items()))
    os.kill(run.process, signal.SIGKILL)
    answer = finished(running, 120)
    assert answer.code == 1 and "Traceback" not in answer.err, answer.err
    assert f"1 of 2 runs failed: its Slurm job {run.slurm_job} is over" in answer.err and victim in answer.err
    assert sorted(states(tmp_path).values()) == ["finished", "killed"]


def test_a_job_whose_time_is_up_saves_and_comes_back(tmp_path):
    running = process(tmp_path, "train", "-m", "seed=0,1", *LONG, *ON_SLURM)
    wait_for(lambda: len(list(tmp_path.glob("outputs/*/*/last.pt"))) == 2)
    name, run = next(iter(manifest.read(only(tmp_path)).items()))
    # what Slurm sends before the time limit, or when it pre-empts
    subprocess.run(["scancel", "--signal=USR2", run.slurm_job], check=True)
    wait_for(lambda: states(tmp_path)[name] == "stopped", 30)
    answer = finished(running, 300)
    assert answer.code == 0, answer.err
    log = (only(tmp_path) / "logs" / f"{name}.log").read_text()
    assert "resumed at step" in log
    (tmp_path / "alone").mkdir()
    assert vaekl(tmp_path / "alone", "train", "hydra.run.dir=run", name.split("_")[0], *LONG).code == 0
    assert same_weights(weights(only(tmp_path) / name), weights(tmp_path / "alone/run"))


def test_what_slurm_refuses_is_said_in_a_sentence(tmp_path):
    answer = finished(process(tmp_path, "train", "-m", "seed=0,1", *SMALL, *ON_SLURM, "hydra.launcher.partition=none"))
    assert answer.code == 1 and "Traceback" not in answer.err  # sbatch speaks first
    said = answer.err.strip().splitlines()[-1]
    assert said.startswith("vaekl: submitit_slurm could not begin a run") and "invalid partition" in said


def test_the_cluster_is_there():
    assert "SLURM_CONF" in os.environ, "start one: make slurm"
