"""A sweep is as safe as a single run: nothing is lost, nothing is done twice, and a failing run stops no other."""

import json
import os
import signal
import time

import pytest
import yaml
from cli_helpers import SMALL, contents, finished, process, refused, results, same_weights, trained, vaekl, weights
from forks import Fork, command

from vaekl.store import manifest, sweep_folder
from vaekl.sweep import trying

SERIAL = "hydra/launcher=basic"


def states(folder):
    return {name: run.status for name, run in manifest.read(folder).items()}


def only(folder):
    """The one sweep in outputs/."""
    (found,) = (folder / "outputs").glob("sweep_*")
    return found


def untried(words):
    """`python -m vaekl WORDS`, which does not first try the runs for a few steps, in processes of their own."""
    trying.tried = lambda *_, **__: None
    return command(words)


def sweep(folder, *words, group=False):
    """Such a command in a process of its own."""
    return Fork(untried, ("train", "-m", *words), folder=folder, group=group)


def test_the_same_command_skips_what_is_finished(tmp_path):
    words = ["train", "-m", "seed=0,1", SERIAL, *SMALL]
    assert vaekl(tmp_path, *words).code == 0
    before = contents(only(tmp_path))
    refused(vaekl(tmp_path, "resume", str(only(tmp_path))), "is a sweep", "the sweep's own `vaekl train -m` command")
    answer = vaekl(tmp_path, *words)
    assert answer.code == 0 and "2 finished" in answer.out
    after = contents(only(tmp_path))
    assert {name for name in before if before[name] != after[name]} == {"manifest.json"}
    # the order of the words does not matter, another value does
    assert vaekl(tmp_path, *words[:2], *reversed(words[2:])).code == 0
    assert only(tmp_path)
    assert vaekl(tmp_path, "train", "-m", "seed=0,2", SERIAL, *SMALL).code == 0
    assert len(list((tmp_path / "outputs").glob("sweep_*"))) == 2


@pytest.mark.parametrize("words", [(), ("hydra/launcher=joblib",)])
def test_as_many_runs_are_beside_each_other_as_are_typed_and_the_plan_says_so(words, tmp_path):
    for said in ("2 runs, 1 at a time with", "all finished before"):
        answer = finished(sweep(tmp_path, "seed=0,1", "hydra.launcher.n_jobs=1", *words, *SMALL))
        assert answer.code == 0 and said in answer.out and "2 finished" in answer.out, answer
        first, second = sorted(manifest.read(only(tmp_path)).values(), key=lambda run: run.started)
        assert first.ended <= second.started


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


@pytest.mark.nightly
def test_a_failing_run_in_another_process_stops_no_other(tmp_path):
    answer = finished(
        process(tmp_path, "train", "-m", "weighting=cb_normalizer,auto", "likelihood=gaussian,cb", *SMALL)
    )
    assert answer.code == 1 and len(answer.err.splitlines()) == 1
    assert "1 of 4 runs failed: weighting=cb_normalizer does not fit likelihood=gaussian" in answer.err
    assert "(likelihood=gaussian,weighting=cb_normalizer_" in answer.err
    assert sorted(states(only(tmp_path)).values()) == ["failed", "finished", "finished", "finished"]
    assert "at a time" in answer.out


HUNGRY = """
import os, signal
from vaekl import Gaussian

class Hungry(Gaussian):
    def __init__(self, dies=False):
        super().__init__()
        self.dies = dies

    def energy(self, eta, x, dispersion):
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)  # as the system does when memory runs out
        return super().energy(eta, x, dispersion)
"""


CUSTOM = ["likelihood=custom", "likelihood._target_=hungry.Hungry"]


def outcomes(folder):
    """The status of each run of the only sweep, by the values that it was given."""
    return {
        tuple(word.split("=")[1].lower() for word in name.rpartition("_")[0].split(",")): status
        for name, status in states(only(folder)).items()
    }


def test_a_bad_value_and_a_divergence_are_told_apart(tmp_path):
    answer = vaekl(tmp_path, "train", "-m", SERIAL, "optim.lr=0.001,1e30,-1", "seed=0", *SMALL)
    assert answer.code == 1 and "2 of 3 runs failed" in answer.err
    assert "optim.lr must be a positive number" in answer.err and "training diverged" in answer.err
    assert list(outcomes(tmp_path).values()) == ["finished", "diverged", "failed"]


@pytest.mark.nightly  # a process takes seconds to begin and to be killed
def test_a_killed_process_stops_no_other_run(tmp_path):
    (tmp_path / "hungry.py").write_text(HUNGRY)
    answer = finished(sweep(tmp_path, *CUSTOM, "+likelihood.dies=false,true", *SMALL))
    assert answer.code == 1 and len(answer.err.splitlines()) == 1
    assert "1 of 2 runs failed" in answer.err and "killed by SIGKILL" in answer.err
    assert outcomes(tmp_path) == {("false",): "finished", ("true",): "killed"}


@pytest.mark.nightly  # some seconds for every process that is killed
def test_a_bad_value_a_divergence_and_a_killed_process_are_told_apart(tmp_path):
    (tmp_path / "hungry.py").write_text(HUNGRY)
    words = [*CUSTOM, "+likelihood.dies=false,true", "optim.lr=0.001,1e30,-1"]
    answer = finished(process(tmp_path, "train", "-m", *words, *SMALL))
    assert answer.code == 1 and len(answer.err.splitlines()) == 1 and "Traceback" not in answer.out + answer.err
    for part in ("5 of 6 runs failed", "optim.lr must be a positive number", "training diverged", "killed by SIGKILL"):
        assert part in answer.err
    assert outcomes(tmp_path) == {
        ("false", "0.001"): "finished", ("false", "1e+30"): "diverged", ("false", "-1"): "failed",
        ("true", "0.001"): "killed", ("true", "1e+30"): "killed", ("true", "-1"): "failed",
    }  # fmt: skip
    assert vaekl(tmp_path, "report", str(only(tmp_path)), "report.pictures=0", "report.measure=false").code == 0
    table = (only(tmp_path) / "report/runs.csv").read_text()
    counts = {"finished": 1, "diverged": 1, "failed": 2, "killed": 2}
    assert {word: table.count(f",{word},") for word in counts} == counts


@pytest.mark.nightly  # some seconds for every process that is killed
def test_a_killed_sweep_leaves_no_process_and_goes_on(tmp_path):
    words = ["train", "-m", "seed=0,1,2,3", *SMALL[:2], "trainer.steps=600", "trainer.valid_every=50"]
    running = process(tmp_path, *words, "sweep.stack=off")
    while running.poll() is None and not {"finished", "running"} <= set(states_so_far(tmp_path)):
        time.sleep(0.02)
    running.kill()
    running.communicate()
    folder = only(tmp_path)
    for _ in range(200):  # what it started is asked to stop by the system, and saves first
        if "running" not in states(folder).values():
            break
        time.sleep(0.1)
    ended = states(folder)
    assert "running" not in ended.values() and "stopped" in ended.values()
    done = {name: contents(folder / name) for name, status in ended.items() if status == "finished"}
    times = {file: file.stat().st_mtime_ns for name in done for file in (folder / name).iterdir()}
    answer = finished(process(tmp_path, *words, "sweep.stack=off"), 300)
    assert answer.code == 0 and list(states(folder).values()) == ["finished"] * 4, answer.err
    assert "4 finished" in answer.out and all((folder / "logs" / f"{name}.log").read_text() for name in ended)
    assert done and {name: contents(folder / name) for name in done} == done
    assert {file: file.stat().st_mtime_ns for file in times} == times
    (tmp_path / "alone").mkdir()
    cut = next(name for name, status in ended.items() if status == "stopped")
    undisturbed = trained(tmp_path / "alone", cut.split("_")[0], *words[3:])
    assert same_weights(weights(folder / cut), weights(undisturbed))


def states_so_far(folder):
    sweeps = list((folder / "outputs").glob("sweep_*"))
    return list(states(sweeps[0]).values()) if sweeps else []


SLOW = """
import time
from vaekl import Gaussian

class Slow(Gaussian):
    def energy(self, eta, x, dispersion):
        if len(x) == 100:  # a batch of training
            time.sleep(0.3)
        return super().energy(eta, x, dispersion)
"""


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_terminal_s_whole_group_lets_all_save(number, tmp_path):
    """And a second command for the same sweep is refused meanwhile."""
    (tmp_path / "slow.py").write_text(SLOW)
    words = ["seed=0,1", "likelihood=custom", "likelihood._target_=slow.Slow", "trainer.steps=300"]
    quick = ["trainer.log_every=1", "trainer.valid_every=300", "valid=10", *SMALL[:2]]
    running = sweep(tmp_path, *words, *quick, group=True)
    while running.poll() is None and len(list(tmp_path.glob("outputs/*/*/.progress.json"))) < 2:
        time.sleep(0.05)
    refused(vaekl(tmp_path, "train", "-m", *words, *quick), "another process", "sweep_seed")
    assert states_so_far(tmp_path) == ["running", "running"]
    os.killpg(running.pid, number)
    answer = finished(running, 60)
    assert answer.code == 130 and "every run that had begun has saved its state" in answer.err
    folder = only(tmp_path)
    assert list(states(folder).values()) == ["stopped", "stopped"]
    assert all((folder / name / "last.pt").exists() for name in states(folder))
    assert not list(folder.glob("*/.progress.json"))


@pytest.mark.nightly
def test_a_stop_before_the_first_step_is_heard(tmp_path):
    running = sweep(tmp_path, "seed=0,1", "trainer.steps=1000000", *SMALL[:2])
    while running.poll() is None and not list(tmp_path.glob("outputs/*/multirun.yaml")):
        time.sleep(0.02)
    running.send_signal(signal.SIGTERM)
    answer = finished(running, 90)
    assert answer.code == 130 and "the sweep was stopped, before a run of it had taken a step:" in answer.err
    assert set(states(only(tmp_path)).values()) <= {"stopped"}


@pytest.mark.nightly
def test_one_dead_job_of_submitit_does_not_end_the_others(tmp_path):
    pytest.importorskip("submitit")
    (tmp_path / "hungry.py").write_text(HUNGRY)
    words = ["likelihood=custom", "likelihood._target_=hungry.Hungry", "+likelihood.dies=true,false"]
    answer = finished(
        process(tmp_path, "train", "-m", *words, *SMALL[:2], "trainer.steps=2000", "hydra/launcher=submitit_local"), 120
    )
    assert answer.code == 1 and "1 of 2 runs failed" in answer.err and "unexpected" not in answer.err
    assert sorted(states(only(tmp_path)).values()) == ["finished", "killed"]


def test_hydra_s_own_names_for_folders(tmp_path):
    words = ["train", "-m", "seed=0,1", SERIAL, *SMALL]
    answer = vaekl(tmp_path, *words, "hydra.sweep.dir=mine/${now:%Y}", "hydra.sweep.subdir=${seed}")
    assert answer.code == 0, answer.err
    assert len(list(tmp_path.glob("mine/2*/[01]/results.json"))) == 2 and not (tmp_path / "outputs").exists()
    refused(vaekl(tmp_path, *words, "hydra.sweep.subdir=a/${seed}"), "hydra.sweep.subdir", "slash")


def test_a_value_in_letters_of_several_bytes_names_a_folder_too(tmp_path):
    answer = vaekl(tmp_path, "train", "-m", f"run_name='{'数' * 100}',b", SERIAL, *SMALL)
    assert answer.code == 0, answer.err
    names = sorted(path.parent.name for path in only(tmp_path).glob("*/results.json"))
    assert [name.partition("_1")[0][:18] for name in names] == ["run_name=b", f"run_name={'数' * 9}"]
    assert max(len(name.encode()) for name in names) < 220


@pytest.mark.parametrize("launcher", [SERIAL, "hydra/launcher=joblib"])
def test_a_key_that_all_swept_options_have_and_the_usual_option_lacks_has_one_value(launcher, tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/mine.yaml").write_text("likelihood: gaussian,laplace\nlikelihood.scale: decoder\n")
    answer = finished(sweep(tmp_path, "sweep=mine", "--config-dir", str(tmp_path), launcher, *SMALL))
    assert answer.code == 0 and "2 finished" in answer.out, answer
    runs = [yaml.safe_load(file.read_text())["likelihood"] for file in only(tmp_path).glob("*/config.yaml")]
    assert sorted((run["_target_"], run["scale"]) for run in runs) == [
        ("vaekl.Gaussian", "decoder"), ("vaekl.Laplace", "decoder"),
    ]  # fmt: skip
    assert "likelihood=gaussian,laplace" in sweep_folder.planned_words(only(tmp_path))


@pytest.mark.nightly  # the tests with a real Slurm go through submitit too
def test_submitit_runs_the_same_runs(tmp_path):
    pytest.importorskip("submitit")
    words = ["train", "-m", "seed=0,1", *SMALL]
    answer = finished(process(tmp_path, *words, "hydra/launcher=submitit_local"))
    assert answer.code == 0, answer.err
    assert "2 finished" in answer.out and "launched by submitit_local" in answer.out
    by_submitit = {name: results(only(tmp_path) / name) for name in states(only(tmp_path))}
    (tmp_path / "here").mkdir()
    assert vaekl(tmp_path / "here", *words, SERIAL).code == 0
    assert {name: results(only(tmp_path / "here") / name) for name in by_submitit} == by_submitit
