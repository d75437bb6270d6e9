"""Twelve runs on MNIST: whoever launches them, and however often they are killed, the figures are the same."""

import os
import random
import signal
import subprocess
import time

import pytest
from cli_helpers import finished, process, real_data, results

from vaekl.store import manifest

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("mnist sweep")]

WORDS = (
    "train", "-m", "dataset=mnist", "likelihood=cb,gaussian", "weighting=auto,fixed_beta", "seed=0,1,2",
    "trainer.steps=300", "trainer.valid_every=50", "sweep.stack=off",
)  # fmt: skip


def only(folder):
    (found,) = (folder / "outputs").glob("sweep_*")
    return found


def figures(folder):
    return {file.parent.name: results(file.parent) for file in only(folder).glob("*/results.json")}


def complete(folder, data, *words):
    folder.mkdir(exist_ok=True)
    answer = finished(process(folder, *WORDS, *words, f"data_dir={data}"), 1200)
    assert answer.code == 0, answer.err
    return figures(folder)


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    return real_data(tmp_path_factory.mktemp("data"), "MNIST")


@pytest.fixture(scope="module")
def undisturbed(mnist, tmp_path_factory):
    found = complete(tmp_path_factory.mktemp("joblib"), mnist)
    assert len(found) == 12
    return found


@pytest.mark.parametrize("launcher", ["basic", "submitit_local", "submitit_slurm"])
def test_every_launcher_gives_the_same_figures(launcher, mnist, undisturbed, tmp_path):
    if launcher == "submitit_slurm" and "SLURM_CONF" not in os.environ:
        pytest.skip("no Slurm here: `make slurm` starts one")
    words = ["hydra.launcher.mem_gb=null"] if launcher == "submitit_slurm" else []
    assert complete(tmp_path / "sweep", mnist, f"hydra/launcher={launcher}", *words) == undisturbed


def tree(process_id):
    """A process and all that it started, as the system knows them now."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}
    found = {process_id}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def test_a_sweep_whose_processes_are_all_killed_ends_as_if_it_had_not_been(mnist, undisturbed, tmp_path):
    rng, untouched = random.Random(0), {}
    for _ in range(4):
        running = process(tmp_path, *WORDS, f"data_dir={mnist}")
        time.sleep(rng.uniform(15, 30))
        for one in tree(running.pid):
            os.kill(one, signal.SIGKILL)
        running.communicate()
        for name, run in manifest.read(only(tmp_path)).items():
            if run.status == "finished":
                for file in (only(tmp_path) / name).iterdir():
                    untouched.setdefault(file, file.stat().st_mtime_ns)
    assert complete(tmp_path, mnist) == undisturbed
    assert {file: file.stat().st_mtime_ns for file in untouched} == untouched
