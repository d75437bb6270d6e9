"""Which runs of a sweep share their steps, from the words of the command on."""

import json

import pytest
from cli_helpers import SMALL, finished, results, vaekl
from forks import Fork, command

from vaekl.store import sweep_folder
from vaekl.sweep import launch, parse, plan, ready_made, trying
from vaekl.system.console import Console


def untried(words):
    """`python -m vaekl WORDS`, which does not first try the runs."""
    trying.tried = lambda *_, **__: None
    return command(words)


def test_the_runs_of_a_stack_that_is_typed_take_their_steps_together(tmp_path):
    words = ["train", "-m", "seed=0,1", "sweep.stack=2", "likelihood=cb", *SMALL]
    answer = finished(Fork(untried, tuple(words), folder=tmp_path))
    assert answer.code == 0 and "2 runs: 1 stack of 2" in answer.out, answer.err
    (sweep,) = (tmp_path / "outputs").glob("sweep_*")
    assert json.loads((sweep / "stacks.json").read_text())["size"] == 2
    assert not (sweep / "logs" / "stacks.log").exists()  # none takes its steps alone
    for seed in (0, 1):
        (run,) = sweep.glob(f"seed={seed}_*")
        assert vaekl(tmp_path, "train", "likelihood=cb", f"seed={seed}", f"run_name=alone{seed}", *SMALL).code == 0
        (alone,) = (tmp_path / "outputs").glob(f"alone{seed}_*")
        figures = [results(one)["test"]["elbo_nats"] for one in (run, alone)]
        assert figures[0] == pytest.approx(figures[1], rel=1e-5)
    again = finished(Fork(untried, tuple(words), folder=tmp_path))
    assert again.code == 0 and "all finished before" in again.out and "hydra.sweep.dir" not in again.out


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        ("2", "off", "2 of them were trained in stacks of 2: for runs by themselves, type another hydra.sweep.dir"),
        ("off", "2", "2 of them were trained by themselves: for stacks of 2, type another hydra.sweep.dir"),
    ],
)
def test_runs_that_were_finished_in_another_way_than_is_typed_are_named(first, then, said, tmp_path):
    words = ["train", "-m", "seed=0,1", "likelihood=cb", *SMALL]
    answers = [
        finished(Fork(untried, (*words, *stack), folder=tmp_path))
        for stack in ([f"sweep.stack={first}"], [f"sweep.stack={then}"], [f"sweep.stack={first}"], [])
    ]
    assert ["all finished before" in answer.out for answer in answers] == [False, True, True, True], answers[0].err
    assert [f"\n  {said}\n" in answer.out for answer in answers] == [False, True, False, False]
    assert ["hydra.sweep.dir" in answer.out for answer in answers] == [False, True, False, False]


def planned(folder, monkeypatch, words, trial):
    """The plan of a sweep, and what its runs were tried with."""
    sizes = []

    def tried(runs, directories, at_once, threads, stack=(), size=1, report=False, start=0.0):
        sizes.append((len(stack), size))
        return trial

    monkeypatch.setattr(trying, "tried", tried)
    monkeypatch.setattr(plan, "allowed_cores", lambda: 2)
    monkeypatch.setattr(plan, "free_memory", lambda: 64e9)
    own, stack = parse.stacked(words)
    expanded, names = ready_made.expanded(own)
    return launch._plan(parse.read(expanded, names, stack), folder, Console()), sizes


#: a run takes 50 s, of which 40 are steps, and a quarter of these in a stack of three
TRIAL = plan.Trial(50.0, 5.0, 1e9, 20_000, "cpu", in_steps=40.0, stacked=0.25, size=3)


def test_auto_takes_the_stack_that_was_tried_and_the_same_size_ever_after(tmp_path, monkeypatch):
    words = ["-m", "seed=0,1,2,3,4,5", "sweep.stack=auto"]
    chosen, sizes = planned(tmp_path, monkeypatch, words, TRIAL)
    assert (chosen.stack, chosen.stacks, chosen.at_once) == (3, 2, 2) and sizes == [(2, 3)]
    assert "about 60 s, processes would take 2 min" in chosen.text()
    assert sweep_folder.stacked(tmp_path) == 3
    slow = plan.Trial(50.0, 5.0, 1e9, 20_000, "cpu", in_steps=40.0, stacked=1.2, size=3)
    again, _ = planned(tmp_path, monkeypatch, words, slow)
    assert again.stack == 3  # in another stack the last digits would be others


def test_auto_takes_processes_where_these_are_faster(tmp_path, monkeypatch):
    slow = plan.Trial(50.0, 5.0, 1e9, 20_000, "cpu", in_steps=40.0, stacked=1.2, size=3)
    chosen, _ = planned(tmp_path, monkeypatch, ["-m", "seed=0,1,2,3,4,5", "sweep.stack=auto"], slow)
    assert chosen.stack == 1 and "stacks would take" in chosen.text()
    assert sweep_folder.stacked(tmp_path) == 1


@pytest.mark.parametrize("stack", ["auto", "8"])
def test_runs_that_cannot_share_their_steps_have_a_reason(stack, tmp_path, monkeypatch):
    trial = plan.Trial(50.0, 5.0, 1e9, 20_000, "cpu")
    words = ["-m", "likelihood=cb,gaussian,laplace", f"sweep.stack={stack}"]
    chosen, sizes = planned(tmp_path, monkeypatch, words, trial)
    assert chosen.stack == 1 and sizes == [(0, 1)]
    assert "not stacked: no two of the runs differ in numbers" in chosen.text()
    assert "stacks would take" not in chosen.text()


@pytest.mark.parametrize("stack", ["sweep.stack=auto", "sweep.stack=2", "sweep.stack=off"])
def test_the_usual_launcher_may_be_typed(stack, tmp_path, monkeypatch):
    words = ["-m", "seed=0,1,2,3,4,5", stack]
    for folder in (tmp_path / "usual", tmp_path / "typed"):  # the size that was chosen is kept there
        folder.mkdir()
    plans = [
        planned(tmp_path / folder, monkeypatch, [*words, *more], TRIAL)
        for folder, more in (("usual", []), ("typed", ["hydra/launcher=joblib"]))
    ]
    assert plans[0] == plans[1] and plans[0][0].stack == {"auto": 3, "2": 2, "off": 1}[stack.partition("=")[2]]
    typed = parse.read([*words[:2], "hydra/launcher=joblib"], [])
    assert typed.folder() == parse.read(words[:2], []).folder() and typed.of_hydra == ["hydra/launcher=joblib"]
    tuned = parse.read([*words[:2], "hydra.launcher.n_jobs=2"], [])
    assert tuned.of_hydra == ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


@pytest.mark.parametrize(
    "word", ["hydra/launcher=basic", "hydra.launcher.n_jobs=1", "hydra/launcher=joblib hydra.launcher.n_jobs=1"]
)
def test_a_launcher_of_one_s_own_takes_no_stacks_and_the_plan_says_so(word, tmp_path, monkeypatch):
    chosen, _ = planned(tmp_path, monkeypatch, ["-m", "seed=0,1", "sweep.stack=2", *word.split()], None)
    assert (
        chosen.stack == 1
        and "not stacked: searches, other launchers and settings of a launcher take no stacks" in chosen.text()
    )
    without, _ = planned(tmp_path, monkeypatch, ["-m", "seed=0,1", *word.split()], None)
    assert "not stacked" not in without.text()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("trainer.threads=2", (1, 2)),
        ("trainer.threads=1,2", (1, 2)),
        ("trainer.threads=1", (2, 1)),
        ("trainer.threads=auto", (2, 1)),
    ],
)
def test_the_plan_is_of_the_threads_that_are_typed(word, expected, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    chosen, _ = planned(tmp_path, monkeypatch, ["-m", "seed=0,1", "sweep.stack=off", word], None)
    assert (chosen.at_once, chosen.threads) == expected
