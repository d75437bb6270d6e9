"""A sweep is as safe as a single run: nothing is lost, nothing is done twice, and a failing run stops no other."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from cli_helpers import SMALL, contents, finished, process, results, same_weights, trained, vaekl, weights

from vaekl import machine, sweep
from vaekl.folder import fingerprint

SERIAL = "hydra/launcher=basic"


def states(folder):
    return {name: run["status"] for name, run in sweep.read(folder).items()}


def only(folder):
    """The one sweep in outputs/."""
    (found,) = (folder / "outputs").glob("sweep_*")
    return found


def test_the_same_command_skips_what_is_finished(tmp_path):
    words = ["train", "-m", "seed=0,1", SERIAL, *SMALL]
    assert vaekl(tmp_path, *words).code == 0
    before = contents(only(tmp_path))
    answer = vaekl(tmp_path, *words)
    assert answer.code == 0 and "2 finished" in answer.out
    after = contents(only(tmp_path))
    assert {name for name in before if before[name] != after[name]} == {"manifest.json"}
    # the order of the words does not matter, another value does
    assert vaekl(tmp_path, *words[:2], *reversed(words[2:])).code == 0
    assert only(tmp_path)
    assert vaekl(tmp_path, "train", "-m", "seed=0,2", SERIAL, *SMALL).code == 0
    assert len(list((tmp_path / "outputs").glob("sweep_*"))) == 2


def test_the_same_single_command_is_the_same_run(tmp_path):
    words = ["train", *SMALL]
    assert vaekl(tmp_path, *words).code == 0
    (run,) = (path for path in (tmp_path / "outputs").iterdir())
    assert run.name.startswith("digits_cb_auto_mlp_seed0_")
    whole, ended = contents(run), weights(run)
    answer = vaekl(tmp_path, *words)
    assert answer.code == 0 and "finished" in answer.out and contents(run) == whole
    (run / "results.json").unlink()
    assert vaekl(tmp_path, *words).code == 0
    assert same_weights(weights(run), ended) and results(run) == json.loads(whole["results.json"])


def test_what_is_cut_short_is_gone_on_with_in_other_processes(tmp_path):
    words = [
        "train",
        "-m",
        "seed=0,1,2",
        *SMALL[:2],
        "trainer.steps=3000",
        "trainer.valid_every=20",
        "trainer.log_every=10",
    ]
    running = process(tmp_path, *words)
    while running.poll() is None and not list(tmp_path.glob("outputs/*/*/last.pt")):
        time.sleep(0.02)
    running.send_signal(signal.SIGTERM)
    answer = finished(running, 180)
    assert answer.code == 130, answer.err
    assert "the same command goes on" in answer.err and "Traceback" not in answer.err
    folder = only(tmp_path)
    assert "finished" not in states(folder).values() and "stopped" in states(folder).values()
    answer = finished(process(tmp_path, *words), 300)
    assert answer.code == 0, answer.err
    assert list(states(folder).values()) == ["finished"] * 3 and "3 finished" in answer.out
    (tmp_path / "alone").mkdir()
    undisturbed = trained(tmp_path / "alone", "seed=1", *words[3:])
    (same,) = folder.glob("seed=1_*")
    assert same_weights(weights(same), weights(undisturbed)) and results(same)["test"] == results(undisturbed)["test"]
    assert all((folder / "logs" / f"{name}.log").read_text() for name in states(folder))


def test_a_failing_run_in_another_process_stops_no_other(tmp_path):
    answer = finished(
        process(tmp_path, "train", "-m", "weighting=cb_normalizer,auto", "likelihood=gaussian,cb", *SMALL)
    )
    assert answer.code == 1 and len(answer.err.splitlines()) == 1
    assert "1 of 4 runs failed: likelihood=gaussian,weighting=cb_normalizer" in answer.err
    assert sorted(states(only(tmp_path)).values()) == ["failed", "finished", "finished", "finished"]
    assert "at a time" in answer.out.splitlines()[0]


def test_many_processes_write_one_manifest(tmp_path):
    code = "import sys; from pathlib import Path; from vaekl import sweep\n"
    code += "for i in range(20): sweep.note(Path(sys.argv[1]) / f'{sys.argv[2]}-{i}', status='finished')"
    workers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)]) for number in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    assert len(sweep.read(tmp_path)) == 80


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
    monkeypatch.setattr(sweep, "free_cores", lambda: cores)
    monkeypatch.setattr(sweep, "free_memory", lambda: memory)
    plan = sweep.plan(runs, gpu)
    assert (plan.at_once, plan.threads) == (at_once, threads)
    assert f"{runs} runs, {at_once} at a time" in plan.text()


def test_cores_and_memory_are_those_that_this_process_has():
    assert 1 <= machine.free_cores() <= len(os.sched_getaffinity(0))
    assert 1e8 < machine.free_memory() < 1e14


def test_a_fingerprint_is_the_run_s_and_not_its_place_s():
    config = {"seed": 0, "trainer": {"device": "cpu", "steps": 3}, "dataset": {"name": "mnist", "root": "/a"}}
    elsewhere = {
        **config,
        "output_dir": "b",
        "trainer": {"device": "cuda", "steps": 3},
        "dataset": {"name": "mnist", "root": "/b"},
    }
    assert fingerprint(config) == fingerprint(elsewhere)
    for changed in (
        {"seed": 1},
        {"trainer": {"device": "cpu", "steps": 4}},
        {"dataset": {"name": "kmnist", "root": "/a"}},
    ):
        assert fingerprint(config) != fingerprint({**config, **changed})
