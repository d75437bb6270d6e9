"""Long runs and long sweeps: memory, open files and threads stay as they are."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly

TINY = ("model.hidden=[8]", "model.latents=2", "trainer.log_every=10", "trainer.valid_every=20")


def watched(folder, *words):
    """(seconds, MB resident, open files, threads) of a command while it ran, twice a second."""
    rows, began = [], time.monotonic()
    with (folder / "said").open("w") as log:  # a pipe that nobody reads would stop it
        command = [sys.executable, "-m", "vaekl", *words]
        running = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    place = Path("/proc", str(running.pid))
    while running.poll() is None:
        try:
            status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
            files = len(list((place / "fd").iterdir()))
            rows.append(
                (time.monotonic() - began, int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"]))
            )
        except (OSError, KeyError):
            break
        time.sleep(0.5)
    assert running.wait(60) == 0, (folder / "said").read_text()
    return rows


def flat(rows, allowed):
    """What is always there in the second quarter and in the last one; memory may grow by so many MB between."""
    quarter = len(rows) // 4
    assert quarter > 10
    early, late = rows[quarter : 2 * quarter], rows[3 * quarter :]
    figures = [(min(row[i] for row in early), min(row[i] for row in late)) for i in (1, 2, 3)]
    for name, (before, after) in zip(("MB resident", "open files", "threads"), figures, strict=True):
        print(f"{name}: {before:.0f} in the second quarter, {after:.0f} in the last")
    (memory, memory_late), (files, files_late), (threads, threads_late) = figures
    assert memory_late - memory < allowed
    assert files_late <= files and threads_late <= threads


def test_a_run_of_50_000_steps(tmp_path):
    rows = watched(tmp_path, "train", "hydra.run.dir=run", "trainer.steps=50000", *TINY)
    print(f"50,000 steps, {rows[-1][0]:.0f} s")
    flat(rows, 10)


def test_a_sweep_of_200_runs_in_one_process(tmp_path):
    seeds = ",".join(map(str, range(200)))
    words = ("train", "-m", f"seed={seeds}", "hydra/launcher=basic", "trainer.steps=40", *TINY)
    rows = watched(tmp_path, *words)
    print(f"200 runs, {rows[-1][0]:.0f} s")
    assert len(list(tmp_path.glob("outputs/*/*/results.json"))) == 200
    # what is allocated stays the same, but glibc, told to keep what is freed, still finds new corners of it
    flat(rows, 25)
