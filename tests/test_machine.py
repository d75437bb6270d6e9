"""Which cores are really free, and that a run takes no more threads than that."""

import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
import torch
from cli_helpers import SMALL

from vaekl import devices, machine
from vaekl.errors import VaeklError

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
QUOTA, PERIOD = (f"cpu/x/cpu.cfs_{name}_us" for name in ("quota", "period"))


@pytest.fixture
def busy():
    """Starts processes that keep a core each busy."""
    with ExitStack() as stack:

        def start(count):
            for _ in range(count):
                process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                stack.callback(process.wait)
                stack.callback(process.kill)

        yield start


def test_others_work_is_taken_off_and_one_s_own_is_not(monkeypatch):
    loads = iter(
        [
            machine.Load(2.0, busy=8.0, own=4.0),
            machine.Load(2.0, busy=5.8, own=2.0),
            machine.Load(2.0, busy=100.0, own=0.0),
        ]
    )
    monkeypatch.setattr(machine, "allowed_cores", lambda: 4)
    monkeypatch.setattr(machine.Load, "now", lambda: next(loads))
    begun = machine.Load(0.0, 0.0, 0.0)
    # in two seconds of four cores: others took 2 of them; 1.9; all and more
    assert [machine.free_cores(begun) for _ in range(3)] == [2, 2, 1]


@pytest.mark.skipif(not CORES, reason="the system does not say how busy its cores are")
def test_a_core_that_others_keep_busy_is_not_free(busy):
    busy(CORES)
    before = machine.Load.now()
    time.sleep(1)
    assert machine.free_cores(before) <= max(1, CORES // 2)


@pytest.mark.skipif(not CORES, reason="the system does not say how busy its cores are")
def test_one_s_own_work_leaves_no_core_taken():
    before, end = machine.Load.now(), time.monotonic() + 1
    while time.monotonic() < end:
        pass
    after = machine.Load.now()
    assert after.own - before.own > 0.3
    assert after.busy - before.busy >= 0.8 * (after.own - before.own)


@pytest.mark.parametrize(
    ("place", "files", "quotas"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, [(150000, 100000)]),
        ("0::/", {"cpu.max": "max 100000"}, []),
        # the tightest one may be any group above
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, [(200000, 100000)]),
        ("4:cpu,cpuacct:/x", {QUOTA: "50000", PERIOD: "100000"}, [(50000, 100000)]),
        ("4:cpu:/x", {QUOTA: "-1", PERIOD: "100000"}, []),
        ("5:memory:/x", {QUOTA: "50000", PERIOD: "100000"}, []),
    ],
)  # fmt: skip
def test_quotas_of_control_groups(place, files, quotas, tmp_path):
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    (tmp_path / "own").write_text(place + "\n")
    assert machine._quotas(tmp_path / "groups", tmp_path / "own") == quotas


@pytest.mark.parametrize("value", ["many", 0, -1, 2.5, True, None])
def test_threads_that_are_no_number(value):
    with pytest.raises(VaeklError, match=r"trainer\.threads must be auto or a whole number from 1"):
        devices.take_threads(value)


def test_threads_are_taken_as_asked_and_kept():
    before = torch.get_num_threads()
    try:
        devices.take_threads(2)
        assert torch.get_num_threads() == 2
        devices.keep_threads(3)
        assert torch.get_num_threads() == 2
        devices.keep_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(CORES < 2, reason="one core has nothing to give up")
def test_beside_busy_cores_a_run_does_not_collapse(busy, tmp_path):
    """Threads that wait for each other by spinning made 190 images/s of 8,500 on four cores beside four busy loops."""
    environment = {name: text for name, text in os.environ.items() if name != "OMP_NUM_THREADS"}
    words = [sys.executable, "-m", "vaekl", "train", *SMALL, "trainer.steps=400", "trainer.log_every=400"]
    busy(CORES)
    command = [*words, "model.hidden=[500,500]", "trainer.valid_every=400", f"hydra.run.dir={tmp_path / 'run'}"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    threads = int(re.search(r"threads: (\d+)", answer.stdout)[1])
    assert threads <= max(1, CORES // 2)
    speed = float(re.search(r"([\d,]+) images/s", answer.stdout)[1].replace(",", ""))
    # a single thread that has half a core makes thousands: this fails for a collapse alone
    assert speed > 400
