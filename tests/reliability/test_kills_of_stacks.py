"""Runs that take their steps together, killed whenever it may be: typed again, they end as if they never had been."""

import contextlib
import json
import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from cli_helpers import finished
from forks import Fork
from killed import typed
from kills import KILLED, differences, undisturbed

KILLS = 40
#: four runs in one process; their checkpoints lie in the middle of an epoch and of a line of the log
STACK = (
    "train", "-m", "seed=0,1", "weighting=fixed_beta", "weighting.beta=0.1,1", "sweep.stack=4", "hydra.sweep.dir=sweep",
    "model.hidden=[16]", "model.latents=4", "trainer.steps=200", "trainer.valid_every=15", "trainer.log_every=6",
)  # fmt: skip


@pytest.mark.nightly
def test_a_stack_killed_forty_times_ends_with_the_bits_of_one_that_never_was(tmp_path, capsys):
    whole, draw, kills, sweeps = undisturbed(tmp_path / "whole", *STACK), random.Random(20), 0, 0
    while kills < KILLS:
        folder = tmp_path / str(sweeps)
        folder.mkdir()
        sweeps += 1
        while (code := killed_once(folder, draw, whole.seconds)) != 0:
            kills += 1
            assert code in (1, KILLED)
        assert differences(folder, whole.folder) == []
    with capsys.disabled():
        print(f"\n{kills} kills of {sweeps} stacked sweeps")


def killed_once(folder, draw, seconds):
    """The command's exit code; all of its processes are killed at some moment, or the one that trains alone."""
    fork = Fork(partial(typed, STACK), folder=folder, group=True)
    begun, longest = time.monotonic(), seconds
    if draw.random() < 0.8:  # else perhaps before it trains
        while fork.poll() is None and not training(folder):
            time.sleep(0.02)
        begun, longest = time.monotonic(), seconds / 3
    end = begun + draw.uniform(0, longest)
    while fork.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    processes = training(folder) if draw.random() < 0.3 else set()
    with contextlib.suppress(ProcessLookupError):
        if processes:
            os.kill(processes.pop(), signal.SIGKILL)
        elif fork.poll() is None:
            os.killpg(fork.pid, signal.SIGKILL)
    answer = finished(fork)
    assert answer.code != 1 or "killed" in answer.err, answer
    return answer.code


def training(folder):
    """The processes that train now, as the manifest has them."""
    file = folder / "sweep" / "manifest.json"
    entries = json.loads(file.read_text())["runs"].values() if file.exists() else []
    running = {entry["process"] for entry in entries if entry["status"] == "running"}
    return {process for process in running if Path(f"/proc/{process}").exists()}
