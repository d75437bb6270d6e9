"""The parts of the benchmarks that are no timings."""

import io
import json
import subprocess
import sys

import pytest

from benchmarks.environment import ROOT
from benchmarks.gate import Gate
from benchmarks.gpu.__main__ import PARTS, lines_of
from benchmarks.tables import speed_table, summary
from benchmarks.workloads import CONV, MLP, Net, Workload
from vaekl.model.nets import conv, mlp


@pytest.mark.parametrize(("workload", "build"), [(MLP, mlp), (CONV, conv)], ids=["mlp", "conv"])
def test_the_limit_has_as_many_parameters_as_vaekl(workload: Workload, build) -> None:
    ours = sum(p.numel() for net in build(workload.shape, 1, 20) for p in net.parameters())
    assert sum(p.numel() for p in Net(workload).parameters()) == ours


def test_a_turn_counts_its_own_images_and_ends_when_its_time_is_over() -> None:
    times, target = iter([0.0, 4.0, 10.0, 100.0, 107.0]), io.StringIO()
    gate = Gate(io.StringIO("go 10\ngo 7\ngo 1\n"), target, lambda: next(times, 200.0))
    gate.ready()
    gate.step(100)
    gate.step(100)
    gate.step(50)
    answers = [json.loads(line) for line in target.getvalue().splitlines()]
    assert answers[0]["ready"]
    assert answers[1:] == [{"images": 200, "seconds": 10.0}, {"images": 50, "seconds": 7.0}]


def test_the_table_shows_median_and_quartiles_and_says_why_a_row_is_empty() -> None:
    of = summary([0.5, 0.1, 0.2, 0.4, 0.3])
    assert of == {"median": 0.3, "low": 0.2, "high": 0.4, "count": 5}
    rate = {"median": 1234.0, "low": 1.0, "high": 2.0, "count": 5}
    rows = [{"name": "a", "threads": 2, "ratio": of, "images_per_second": rate}, {"name": "b", "failed": "no wheel"}]
    text = speed_table(rows)
    assert "| a | 2 | 1,234 | 0.30 | 0.20 to 0.40 |" in text
    assert "| b | – | – | – | failed: no wheel |" in text


def test_a_part_of_the_gpu_s_benchmark_ends_when_its_time_is_over() -> None:
    assert list(lines_of("importance", "cpu", True, 0.3)) == [{"ended": "after 0 s, its time"}]
    assert sum(PARTS.values()) < 8 * 60


@pytest.mark.nightly
def test_the_gpu_s_benchmark_runs_to_its_end_on_a_cpu(tmp_path) -> None:
    file = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--smoke", "--out", str(file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    results = json.loads(file.read_text(encoding="utf-8"))
    assert results["suite"]["tests"]["passed"] > 20 and results["suite"]["tests"]["failed"] == 0
    assert [row["runs"] for row in results["stacks"]["steps"]] == [1, 2, 3]
    assert {row["name"] for row in results["lone"]["mlp"] if "ratio" in row} >= {"limit", "vaekl"}
    assert results["importance"]["bound"]["ratio"] > 0
    assert [row["finished"] for row in results["sweep"]["whole sweeps"]] == [2, 2]
