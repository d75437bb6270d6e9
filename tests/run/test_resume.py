"""A run that was killed and resumed ends where an uninterrupted one ends, to the last bit."""

import shutil
import signal
import time

import numpy as np
import pytest
import torch
from cli_helpers import contents, finished, process, refused, results, rows, same_weights, trained, vaekl, weights

from vaekl.store import checkpoint

#: twenty checkpoints in a second or two: there is time to stop it
LONG = ("model.hidden=[16]", "model.latents=4", "trainer.steps=400", "trainer.valid_every=20", "trainer.log_every=10")
STEPS = {"train": range(10, 401, 10), "valid": range(20, 401, 20), "test": [400]}


def unfinished(folder, *words):
    """A run that was killed after everything but its last file."""
    run = trained(folder, *words)
    (run / "results.json").unlink()
    return run


@pytest.fixture(scope="module")
def killed_at_its_end(tmp_path_factory):
    """Such a run, which no test changes."""
    return unfinished(tmp_path_factory.mktemp("killed"))


@pytest.fixture
def run(killed_at_its_end, tmp_path):
    """A copy of it."""
    return shutil.copytree(killed_at_its_end, tmp_path / "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody stopped."""
    return trained(tmp_path_factory.mktemp("whole"), *LONG)


def started(folder, *words):
    """A process that trains in `folder/run` and has written a checkpoint since."""
    return after_a_checkpoint(folder, process(folder, *words))


def after_a_checkpoint(folder, running):
    last, before = folder / "run" / "last.pt", time.time_ns()
    while running.poll() is None and not (last.exists() and last.stat().st_mtime_ns > before):
        time.sleep(0.002)
    return running


def as_if_never_stopped(run, whole):
    """Weights, figures and rows are those of the whole run."""
    assert same_weights(weights(run), weights(whole))
    assert results(run) == results(whole)
    for split, steps in STEPS.items():
        assert [int(row["step"]) for row in rows(run, split)] == list(steps)
    speed = {"images_per_second": ""}
    assert [row | speed for row in rows(run)] == [row | speed for row in rows(whole)]


def test_asked_to_stop(tmp_path, whole):
    running = started(tmp_path, "train", "hydra.run.dir=run", *LONG)
    running.send_signal(signal.SIGINT)
    answer = finished(running)
    assert answer.code == 130, answer
    run = tmp_path / "run"
    step = torch.load(run / "last.pt", weights_only=True)["state"]["step"]
    assert answer.err == f"vaekl: stopped at step {step}: `vaekl resume {run}` goes on from there.\n"
    assert 20 <= step < 400
    assert not (run / "results.json").exists()
    answer = vaekl(tmp_path, "resume", "run")
    assert (answer.code, f"resumed at step {step}" in answer.out) == (0, True)
    as_if_never_stopped(run, whole)


def test_a_terminal_that_is_closed_lets_it_save(tmp_path):
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        pytest.skip("nohup began these tests")
    running = started(tmp_path, "train", "hydra.run.dir=run", *LONG)
    running.send_signal(signal.SIGHUP)
    answer = finished(running)
    assert (answer.code, answer.err) == (130, "")
    assert 20 <= torch.load(tmp_path / "run" / "last.pt", weights_only=True)["state"]["step"] < 400


def test_files_of_a_run_without_its_config_are_not_written_over(run, tmp_path):
    (run / "config.yaml").unlink()
    before = contents(run)
    refused(vaekl(tmp_path, "train", f"hydra.run.dir={run.name}", *LONG), "last.pt", "config.yaml", "another folder")
    assert contents(run) == before


def test_a_second_process_is_refused_and_the_first_goes_on(tmp_path, whole):
    running = started(tmp_path, "train", "hydra.run.dir=run", *LONG)
    running.send_signal(signal.SIGSTOP)  # so that it is in the middle of its run for as long as this takes
    before = contents(tmp_path / "run")
    try:
        for words in (["resume", "run"], ["train", "hydra.run.dir=run", *LONG]):
            refused(vaekl(tmp_path, *words), "another process is training in", "run")
        assert contents(tmp_path / "run") == before
    finally:
        running.send_signal(signal.SIGCONT)
    assert "results.json" not in before
    assert finished(running).code == 0
    as_if_never_stopped(tmp_path / "run", whole)


def test_a_sweep_that_is_asked_to_stop_starts_no_other_run(tmp_path):
    words = [
        "train",
        "-m",
        "hydra/launcher=basic",
        "hydra.sweep.dir=.",
        "hydra.sweep.subdir=${seed}",
        "seed=0,1",
        *LONG,
        "trainer.steps=100000",
    ]
    running = process(tmp_path, *words)
    while running.poll() is None and not (tmp_path / "0" / "last.pt").exists():
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    answer = finished(running)
    assert answer.code == 130
    assert f"vaekl resume {tmp_path / '0'}" in answer.err
    assert not (tmp_path / "1").exists()


def test_a_finished_run_says_so_and_stays_as_it_is(whole):
    before = contents(whole)
    answer = vaekl(whole.parent, "resume", "run")
    assert (answer.code, answer.out) == (0, "run is finished: nothing to resume.\n")
    assert contents(whole) == before


def test_killed_between_the_test_and_its_results(run, tmp_path):
    before = rows(run)
    assert vaekl(tmp_path, "resume", "run").code == 0
    assert rows(run) == before


def test_killed_before_the_first_checkpoint(tmp_path):
    run = unfinished(tmp_path, "trainer.valid_every=4")
    figures, ended = rows(run), weights(run)
    (run / "last.pt").unlink()
    answer = vaekl(tmp_path, "resume", "run")
    assert answer.code == 0, answer.err
    assert same_weights(weights(run), ended)
    speed = {"images_per_second": ""}
    assert [row | speed for row in rows(run)] == [row | speed for row in figures]


def test_a_checkpoint_that_was_taken_away_is_not_the_same_as_none_yet(run, tmp_path):
    (run / "last.pt").unlink()
    before = contents(run)
    refused(vaekl(tmp_path, "resume", "run"), "last.pt", "step 4")
    assert {name: before[name] for name in before if name != ".lock"}.items() <= contents(run).items()


def test_data_named_by_a_relative_path_are_found_from_another_folder(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", x_train=rng.random((40, 8, 8)), x_test=rng.random((9, 8, 8)))
    run = trained(tmp_path, "dataset=npz", "dataset.path=mine.npz")
    first = results(run)
    (run / "results.json").unlink()
    (tmp_path / "elsewhere").mkdir()
    assert vaekl(tmp_path / "elsewhere", "resume", str(run)).code == 0
    assert results(run) == first


@pytest.mark.parametrize(
    "words",
    [
        ("trainer.ema=0.9",),
        ("optim=adamw", "lr_schedule=cosine", "lr_schedule.warmup_steps=2", "trainer.clip_norm=1"),
        pytest.param(("optim=sgd", "optim.momentum=0.9", "optim.lr=1e-4"), marks=pytest.mark.nightly),
        ("likelihood=gaussian", "weighting=optimal_precision", "schedule=linear"),
        pytest.param(
            ("likelihood=gaussian", "weighting=learned_precision", "weighting.per=pixel", "schedule=cyclical"),
            marks=pytest.mark.nightly,
        ),
        ("transform=binarize", "transform.mode=stochastic", "likelihood=bernoulli"),
        ("model=conv", "model.width=4", "model.hidden=8", "valid=0"),
        pytest.param(("trainer.patience=2", "optim.lr=0.05"), marks=pytest.mark.nightly),
        pytest.param(("seed=7", "trainer.batch_size=700", "trainer.log_every=5"), marks=pytest.mark.nightly),
    ],
    ids=" ".join,
)
def test_every_kind_of_state_survives(words, tmp_path, monkeypatch):
    """The whole run's checkpoint after step 8 of 16 is put back, and the run goes on from there."""
    base = ["train", "hydra.run.dir=run", "trainer.steps=16", "trainer.log_every=4", "trainer.valid_every=4"]
    if "model=conv" not in words:
        base.append("model.hidden=[16]")
    saved = keep_checkpoints(monkeypatch)
    answer = vaekl(tmp_path, *base, *words)
    assert answer.code == 0, answer.err
    run = tmp_path / "run"
    ended, figures, figures_of_run = weights(run), rows(run), results(run)
    (run / "results.json").unlink()
    (run / "best.pt").unlink(missing_ok=True)
    for name, content in saved[8].items():
        (run / name).write_bytes(content)
    answer = vaekl(tmp_path, "resume", "run")
    assert answer.code == 0, answer.err
    assert same_weights(weights(run), ended)
    assert results(run) == figures_of_run
    speed = {"images_per_second": ""}
    assert [row | speed for row in rows(run)] == [row | speed for row in figures]


def keep_checkpoints(monkeypatch):
    """The checkpoint files as they lay after each step at which one was written."""
    from vaekl.training.callbacks import Checkpoints

    kept, save = {}, Checkpoints._save

    def remember(self, trainer):
        save(self, trainer)
        kept[trainer.step] = {path.name: path.read_bytes() for path in self.folder.path.glob("*.pt")}

    monkeypatch.setattr(Checkpoints, "_save", remember)
    return kept


def test_no_run_at_all(tmp_path):
    (tmp_path / "empty").mkdir()
    refused(vaekl(tmp_path, "resume", "empty"), "empty holds no run", "config.yaml")
    refused(vaekl(tmp_path, "resume", "nowhere"), "nowhere holds no run")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["run", "optim.lr=9"], "optim.lr"),
        ([""], "takes one run folder"),
        (["run/last.pt"], "but run does: give that"),
    ],
    ids=str,
)
def test_words_that_are_no_run_folder(words, part, tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("config.yaml", "last.pt"):
        (tmp_path / "run" / name).touch()
    refused(vaekl(tmp_path, "resume", *words), part)


def test_the_folder_above_a_run_names_the_run(run, tmp_path):
    refused(vaekl(tmp_path, "resume", "."), f"but {run.name} does")


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_checkpoint(kept, run, tmp_path):
    whole = (run / "last.pt").read_bytes()
    (run / "last.pt").write_bytes(whole[: int(len(whole) * kept)])
    before = contents(run)
    refused(vaekl(tmp_path, "resume", "run"), "last.pt", "cannot be read")
    assert contents(run) == before


def test_a_checkpoint_of_a_later_vaekl(run, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    checkpoint.save(run / "last.pt", {})
    monkeypatch.undo()
    refused(vaekl(tmp_path, "resume", "run"), "format 99", "upgrade vaekl")


@pytest.mark.parametrize(
    "words",
    [
        ("model.latents=5",),
        ("model.hidden=[16,16]",),
        ("likelihood=beta",),
        ("likelihood=gaussian",),
        ("trainer.log_every=3",),
    ],
    ids=" ".join,
)
def test_a_checkpoint_of_another_config(words, run, tmp_path):
    (tmp_path / "other").mkdir()
    other = trained(tmp_path / "other", *words)
    (run / "last.pt").write_bytes((other / "last.pt").read_bytes())
    refused(vaekl(tmp_path, "resume", "run"), "last.pt", "not this run's", "config.yaml", "train afresh")
    assert not (run / "results.json").exists()


@pytest.mark.parametrize("text", ["", "a: [", "seed: 3\n", "- 1\n"], ids=repr)
def test_a_config_that_is_none(text, run, tmp_path):
    (run / "config.yaml").write_text(text)
    refused(vaekl(tmp_path, "resume", "run"), "config.yaml")
