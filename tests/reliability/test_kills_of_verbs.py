"""`eval`, `report` and `sample` that are killed leave what was there, or what is new: never half of it."""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import joblib
import pytest
from cli_helpers import SMALL, Answer, contents, finished, process, refused, vaekl
from joblib.externals.loky.process_executor import TerminatedWorkerError
from killed import OTHER
from kills import KILLED, command

from vaekl.verbs import eval as evaluation

#: they share the runs
pytestmark = pytest.mark.xdist_group("kills of verbs")

VERBS = {
    "eval": ("eval", "runs/0", "eval.k=[1,5]"),
    "report": ("report", "runs", "report.pictures=2"),
    "pictures": ("sample", "runs/0", "sample.count=4"),
    "arrays": ("sample", "runs/0", "sample.count=4", "sample.format=npz"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs that are measured; no test changes them."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in "01":
        assert vaekl(folder, "train", f"hydra.run.dir=runs/{seed}", f"seed={seed}", *SMALL).code == 0
        assert vaekl(folder, "eval", f"runs/{seed}", "eval.k=1").code == 0
    return folder


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    """What each verb leaves where nobody kills it, and how often it passes each place."""
    done = {}
    for name, words in VERBS.items():
        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(runs / "runs", folder / "runs")
        before, counts = time.monotonic(), folder.parent / f"{name} counts.json"
        answer = command(folder, *words, counts=str(counts))
        assert answer.code == 0, answer
        done[name] = left(folder), json.loads(counts.read_text()), time.monotonic() - before
    return done


def left(folder):
    """Every file that a verb leaves, but for locks."""
    return {name: content for name, content in contents(folder).items() if not name.endswith(".lock")}


def killed(runs, folder, name, **aim):
    """The verb typed in a folder of its own, and killed."""
    shutil.copytree(runs / "runs", folder / "runs")
    return command(folder, *VERBS[name], **aim)


def whole_again(folder, name, whole):
    """The same command leaves what it leaves where nobody kills it, and nothing else."""
    answer = command(folder, *VERBS[name])
    assert answer.code == 0, answer
    assert left(folder) == whole[name][0]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        pytest.param("eval", "evaluation half written", marks=pytest.mark.nightly),
        pytest.param("report", "figure half written", marks=pytest.mark.nightly),
        pytest.param("pictures", "half a picture", marks=pytest.mark.nightly),
        pytest.param("arrays", "arrays half written", marks=pytest.mark.nightly),
    ],
)
def test_killed_while_it_writes(name, place, runs, whole, tmp_path):
    answer = killed(runs, tmp_path, name, place=place, number=2 if name == "report" else 1)
    assert answer.code == KILLED
    half = left(tmp_path)
    # what has a final name is what it was before, or what it is in the end
    before, after = left(runs), whole[name][0]
    final = {file: content for file, content in half.items() if ".partial" not in file}
    assert all(content in (before.get(file), after.get(file)) for file, content in final.items())
    whole_again(tmp_path, name, whole)


@pytest.mark.nightly
def test_a_file_that_is_written_in_place_is_found(runs, whole, tmp_path):
    """The test above sees half an eval.json where one is left."""
    killed(runs, tmp_path, "eval", place="evaluation half written", number=1, fault="written in place")
    half = left(tmp_path)["runs/0/eval.json"]
    assert half not in (left(runs)["runs/0/eval.json"], whole["eval"][0]["runs/0/eval.json"])


SEED, OUTSIDE_KILLS = 20, 10


@pytest.mark.nightly
@pytest.mark.parametrize("name", VERBS)
def test_killed_at_every_place_and_at_any_time(name, runs, whole, tmp_path, capsys):
    """Each place at its first passing and at another one; then from outside, one kill after the other in one folder."""
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    _, counts, seconds = whole[name]
    aims = [
        {"place": place, "number": number}
        for place in (*OTHER, "half a picture")
        for number in sorted({1, draw.randint(1, counts[place])} if place in counts else ())
    ]
    for aim in aims:
        folder = tmp_path / f"{aim['place']} {aim['number']}"
        assert killed(runs, folder, name, **aim).code == KILLED
        whole_again(folder, name, whole)
    shutil.copytree(runs / "runs", tmp_path / "outside/runs")
    codes = [
        command(tmp_path / "outside", *VERBS[name], after=draw.uniform(0, seconds)).code for _ in range(OUTSIDE_KILLS)
    ]
    whole_again(tmp_path / "outside", name, whole)
    with capsys.disabled():
        print(f"\n{name}: {len(aims)} kills at places, {codes.count(KILLED)} from outside")


def test_of_several_runs_those_before_a_killed_process_are_kept(runs, tmp_path, monkeypatch):
    """joblib then gives no more answers."""

    def parallel(**_):
        def answers(work):
            function, arguments, named = next(iter(work))
            yield function(*arguments, **named)
            raise TerminatedWorkerError("killed")

        return answers

    shutil.copytree(runs / "runs", tmp_path / "runs")
    monkeypatch.setattr(evaluation.joblib, "Parallel", parallel)
    answer = vaekl(tmp_path, "eval", "runs", "eval.k=1", "eval.images=20")
    text = refused(answer, "1 of 2 runs could not be measured: runs/1: its process, or that of a run beside it, was")
    assert "eval.jobs=1." in text and "│ 0 " in answer.out
    assert len(list(tmp_path.glob("runs/0/eval_*.json"))) == 1
    for file in tmp_path.glob("runs/*/eval.json"):
        file.unlink()
    answer = vaekl(tmp_path, "report", "runs", "report.pictures=0")
    assert answer.code == 0 and "1 could not be measured: its process" in answer.out


def children(pid):
    """The processes that one has started."""
    return [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]


def measuring(folder):
    """`vaekl eval` of two runs, which takes minutes; the numbers of its workers, when both compute."""
    running = process(folder, "eval", "runs", "eval.ais_steps=100000", "eval.jobs=2")
    for _ in range(6000):
        started = [(child, Path(f"/proc/{child}/cmdline").read_text()) for child in children(running.pid)]
        workers = [child for child, line in started if "popen_loky" in line]
        if len(workers) == 2 and all(seconds_of(worker) > 4 for worker in workers):
            return running, workers
        time.sleep(0.05)
    running.kill()
    raise AssertionError(finished(running))


def seconds_of(pid):
    """The time that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.nightly
def test_a_real_process_that_is_killed(runs, tmp_path):
    shutil.copytree(runs / "runs", tmp_path / "runs")
    running, workers = measuring(tmp_path)
    os.kill(workers[1], signal.SIGKILL)
    refused(finished(running), "could not be measured", "was killed")
    assert left(tmp_path) == left(runs)


@pytest.mark.nightly
def test_a_killed_eval_leaves_no_process(runs, tmp_path):
    shutil.copytree(runs / "runs", tmp_path / "runs")
    running, workers = measuring(tmp_path)
    running.kill()
    for _ in range(200):
        if not any(Path(f"/proc/{worker}").exists() for worker in workers):
            break
        time.sleep(0.05)
    else:
        raise AssertionError("a worker outlives the command that started it")
    assert isinstance(finished(running), Answer)
    assert left(tmp_path) == left(runs)


def test_without_semaphores_runs_are_measured_one_after_the_other(runs, tmp_path, monkeypatch):
    shutil.copytree(runs / "runs", tmp_path / "runs")
    monkeypatch.setattr(joblib, "effective_n_jobs", lambda _: 1)
    answer = vaekl(tmp_path, "eval", "runs", "eval.k=1", "eval.images=20", "eval.jobs=2")
    assert answer.code == 0 and "2 runs, 1 at a time (processes need semaphores, and /dev/shm" in answer.out
