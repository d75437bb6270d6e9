"""Runs test_history.py and keeps its timings, so that `pytest-benchmark compare` shows how it came along."""

import os
import subprocess

from benchmarks.environment import ROOT, peers

_STORE = "file://benchmarks/results/history"


def measure(smoke: bool = False) -> str:
    """pytest-benchmark's own words.

    Raises:
        RuntimeError: one of the tests crashed.
    """
    python, failed = peers()
    if failed is not None and "pytest-benchmark" in failed:
        return failed
    kept = ["--benchmark-max-time=0.05", "--benchmark-min-rounds=1"] if smoke else ["--benchmark-autosave"]
    words = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "benchmarks/test_history.py",
        f"--benchmark-storage={_STORE}",
    ]
    columns = "--benchmark-columns=median,iqr,rounds"
    environment = os.environ | {"GOMP_SPINCOUNT": "30000"}
    done = subprocess.run(
        [python, *words, columns, *kept], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:])
    table = [line for line in done.stdout.splitlines() if line.startswith(("test_", "Name"))]
    return "```\n" + "\n".join(table) + "\n```"
