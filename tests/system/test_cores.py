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

from vaekl.system import cores, devices
from vaekl.system.errors import VaeklError

#: busy loops of two tests at once would tell neither what it asks
pytestmark = pytest.mark.xdist_group("cores")
CORES = len(os.sched_getaffinity(0)) if cores.Load.now().busy else 0
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
            cores.Load(2.0, busy=8.0, own=4.0),
            cores.Load(2.0, busy=5.8, own=2.0),
            cores.Load(2.0, busy=100.0, own=0.0),
        ]
    )
    monkeypatch.setattr(cores, "allowed_cores", lambda: 4)
    monkeypatch.setattr(cores, "_affinity", lambda: 4)
    monkeypatch.setattr(cores.Load, "now", lambda: next(loads))
    begun = cores.Load(0.0, 0.0, 0.0)
    # in two seconds of four cores: others took 2 of them; 1.9; all and more
    assert [cores.free_cores(begun) for _ in range(3)] == [2, 2, 1]


@pytest.mark.skipif(not CORES, reason="the system does not say how busy its cores are")
def test_a_core_that_others_keep_busy_is_not_free(busy):
    busy(CORES)
    before = cores.Load.now()
    time.sleep(1)
    assert cores.free_cores(before) <= max(1, CORES // 2)


def test_a_quota_s_cores_may_be_any_that_are_idle(monkeypatch):
    """Four of a host's 64, of which neighbours use six."""
    monkeypatch.setattr(cores, "allowed_cores", lambda: 4)
    monkeypatch.setattr(cores, "_affinity", lambda: 64)
    monkeypatch.setattr(cores.Load, "now", lambda: cores.Load(10.0, busy=60.0, own=0.0))
    assert cores.free_cores(cores.Load(0.0, 0.0, 0.0)) == 4


@pytest.mark.skipif(not CORES, reason="the system does not say how busy its cores are")
def test_one_s_own_work_is_in_both_sums():
    before, end = cores.Load.now(), time.process_time() + 0.5
    while time.process_time() < end:
        pass
    after = cores.Load.now()
    assert after.own - before.own == pytest.approx(0.5, abs=0.1)
    # the system counts in hundredths of a second
    assert after.busy - before.busy >= 0.4


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
    assert cores._quotas(tmp_path / "groups", tmp_path / "own") == quotas


@pytest.mark.parametrize("value", ["many", 0, -1, 2.5, True, None])
def test_threads_that_are_no_number(value):
    with pytest.raises(VaeklError, match=r"trainer\.threads must be auto or a whole number from 1"):
        devices.take_threads(value)


def test_threads_are_taken_as_asked_and_kept(monkeypatch):
    before = torch.get_num_threads()
    try:
        devices.take_threads(2)
        assert torch.get_num_threads() == min(2, CORES)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(devices, "allowed_cores", lambda: 3)
        devices.take_threads(1_000_000)
        assert torch.get_num_threads() == 3
        assert devices.keep_threads(3) and torch.get_num_threads() == 3
        # what cannot be had is said
        assert not devices.keep_threads(4) and torch.get_num_threads() == 3
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert not devices.keep_threads(1) and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.nightly  # its busy loops would slow every test beside it
@pytest.mark.skipif(CORES < 2, reason="one core has nothing to give up")
def test_beside_busy_cores_a_run_does_not_collapse(busy, tmp_path):
    """Threads that wait for each other by spinning made 190 images/s of 8,500 on four cores beside four busy loops."""
    environment = {name: text for name, text in os.environ.items() if name != "OMP_NUM_THREADS"}
    words = [sys.executable, "-m", "vaekl", "train", *SMALL, "trainer.steps=400", "trainer.log_every=400"]
    words += ["model.hidden=[500,500]", "trainer.valid_every=400"]

    def threads_and_speed(threads):
        command = [*words, f"trainer.threads={threads}", f"hydra.run.dir={tmp_path / str(threads)}"]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert answer.returncode == 0, answer.stderr
        speed = re.search(r"([\d,]+) images/s", answer.stdout)[1].replace(",", "")
        return int(re.search(r"threads: (\d+)", answer.stdout)[1]), float(speed)

    busy(CORES)
    threads, speed = threads_and_speed("auto")
    assert threads <= max(1, CORES // 2)
    # beside the same run with one thread: a collapse is a factor of 45, and a noisy machine's one of 2
    assert speed > threads_and_speed(1)[1] / 8
