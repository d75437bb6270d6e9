"""One run over two real processes against the same run in one."""

import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from cli_helpers import Answer, contents, finished, refused, results, rows, same_weights, trained, vaekl, weights
from forks import Fork, command
from helpers import Recorder, trainer_of
from trainer_cases import CONTROLS, OBJECTIVES, WEIGHTINGS, byte_data, same, weighted

from vaekl.system import distributed
from vaekl.system.errors import VaeklError

CASES = [(name, images) for name in WEIGHTINGS for images in (8, 7)] + [("unused", 8)]
CASES += [(name, 7) for name in (*CONTROLS, *OBJECTIVES)]
LOGGED = ("elbo_nats", "energy", "log_norm_const_nats", "kl_nats", "loss", "gradient_norm", "dispersion", "rmse")
LONG = ("model.hidden=[16]", "model.latents=4", "trainer.steps=500", "trainer.log_every=40", "trainer.valid_every=30")


def started(folder, *words):
    """`torchrun WORDS` with two processes, typed in a folder."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *words]
    pipe = subprocess.PIPE
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment)


def by_torchrun(folder, *words):
    """`torchrun -m vaekl WORDS`, to its end; a run that hangs fails."""
    return ended(started(folder, "-m", "vaekl", *words))


def ended(running):
    try:
        return finished(running)
    except subprocess.TimeoutExpired:
        running.terminate()  # torchrun ends its processes
        running.wait()
        raise


def two(folder, function, *arguments):
    """A function in two processes, which find each other as those of torchrun do; one that hangs fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    master = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    forks = [Fork(function, *arguments, folder=folder, RANK=rank, LOCAL_RANK=rank, **master) for rank in "01"]
    try:
        answers = [finished(fork) for fork in forks]
    finally:
        for fork in forks:
            fork.kill()
    return Answer(
        max(one.code for one in answers), "".join(one.out for one in answers), "".join(one.err for one in answers)
    )


def together(folder, *words):
    """`torchrun -m vaekl WORDS`, without torchrun."""
    return two(folder, command, words)


def sentence(answer):
    """The only one that vaekl said, beside what torchrun has to say of processes that failed."""
    assert answer.code == 1
    (line,) = [line for line in answer.err.splitlines() if line.startswith("vaekl: ")]
    return line


# --- what a process computes ---


def three_steps(name, images):
    """The gradients of the last of three steps, the weights after it, and the figures that the first process logs."""
    model = weighted("fixed_beta" if name == "unused" else name)
    if name == "unused":
        model.spare = torch.nn.Parameter(torch.ones(3))
    trainer, recorder = trainer_of(
        byte_data(), model, steps=3, batch_size=images, optimizer="sgd", lr=1e-4, log_every=3, valid_every=2
    )
    trainer.fit()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    logged = [{key: figures[key] for key in LOGGED} for _, figures in recorder.figures]
    return {"gradients": gradients, "weights": model.state_dict(), "logged": logged}


class FullDisk(Recorder):
    def logged(self, trainer, figures):
        raise VaeklError("the disk is full.")


class Saves(Recorder):
    def saving(self, trainer):
        self.events.append(trainer.step)


def saved_by_the_clock():
    """The steps after which a checkpoint was due in one process whose clock races, and the weights at the end."""
    minutes = 1e-9 if distributed.is_first() else None
    trainer, _ = trainer_of(byte_data(), weighted("fixed_beta"), steps=8, valid_every=4, save_minutes=minutes)
    trainer.callbacks = [Saves()]
    trainer.fit()
    return trainer.callbacks[0].events, trainer.model.state_dict()


def said(do):
    """The sentence of the error that it ends in."""
    try:
        do()
    except VaeklError as error:
        return str(error)
    return None


def in_a_process(folder):
    """What each of two processes leaves in a file of its own."""

    def fails(rank):
        if distributed.launched()[0] == rank:
            raise VaeklError(f"process {rank} cannot.")

    with distributed.joined():
        by_case = {f"{name} {images}": three_steps(name, images) for name, images in CASES}
        trainer, _ = trainer_of(byte_data(), weighted("fixed_beta"), steps=20)
        trainer.callbacks = [FullDisk()]
        by_case["full disk"] = said(trainer.fit)
        by_case["saved by the clock"] = saved_by_the_clock()
        by_case["first fails"] = said(lambda: distributed.on_each(partial(fails, 0)))
        by_case["second fails"] = said(lambda: distributed.on_each(partial(fails, 1)))
        by_case["few images"] = said(partial(three_steps, "fixed_beta", 1))
    torch.save(by_case, folder / f"{distributed.launched()[0]}.pt")
    return 0


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What two processes found."""
    folder = tmp_path_factory.mktemp("pair")
    answer = two(folder, in_a_process, folder)
    assert answer.code == 0, answer.err
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


# --- the same as one process ---


@pytest.mark.xdist_group("pair of processes")
@pytest.mark.parametrize(("name", "images"), CASES)
def test_gradients_weights_and_figures_are_those_of_one_process(name, images, pair):
    first, second = (steps[f"{name} {images}"] for steps in pair)
    alone = three_steps(name, images)
    for what in ("gradients", "weights"):
        assert same(first[what], second[what])
        assert first[what].keys() == alone[what].keys()
        for key, expected in alone[what].items():
            assert (first[what][key] - expected).norm() <= 2e-6 * expected.norm(), key
    assert first["logged"] == [pytest.approx(alone["logged"][0], rel=1e-5)]
    assert second["logged"] == []


@pytest.mark.xdist_group("pair of processes")
def test_the_first_process_s_clock_says_when_all_save(pair):
    """Its wish travels while the next step computes."""
    (first, weights), (second, others) = (steps["saved by the clock"] for steps in pair)
    alone, expected = saved_by_the_clock()
    assert (first, second) == (["started", 2, 3, 4, 5, 6, 7, "paused"], [])
    assert alone == ["started", 1, 2, 3, 4, 5, 6, 7, "paused"]
    assert same(weights, others)
    for key, value in expected.items():
        assert (weights[key] - value).norm() <= 2e-6 * value.norm(), key


@pytest.mark.xdist_group("pair of processes")
def test_an_error_of_one_process_is_every_process_s(pair):
    first, second = pair
    assert first["full disk"] == second["full disk"] == "the disk is full."
    assert (first["first fails"], second["first fails"]) == ("process 0 cannot.", "process 0: process 0 cannot.")
    assert (first["second fails"], second["second fails"]) == ("process 1: process 1 cannot.", "process 1 cannot.")
    assert first["few images"] == second["few images"]
    assert "a batch of 1 cannot be dealt to 2 processes" in first["few images"]


@pytest.mark.nightly  # a run with torchrun takes ten seconds
def test_a_whole_run_ends_at_the_figures_of_one_process(tmp_path):
    words = (
        "likelihood=gaussian", "weighting=learned_precision", "trainer.batch_size=101", "trainer.ema=0.9",
        "trainer.steps=20", "trainer.log_every=5", "trainer.valid_every=4", "trainer.patience=4", "valid=600",
    )  # fmt: skip
    alone = trained(tmp_path, *words)
    alone = alone.rename(tmp_path / "alone")
    answer = by_torchrun(tmp_path, "train", "hydra.run.dir=run", "model.hidden=[16]", "model.latents=4", *words)
    assert answer.code == 0, answer.err
    run = tmp_path / "run"
    assert answer.out.count("vaekl 0.1") == 1 and ", 2 processes" in answer.out
    for split in ("valid", "test"):
        for name, expected in results(alone)[split].items():
            assert results(run)[split][name] == pytest.approx(expected, rel=1e-5), name
    speed = {"images_per_second": "0"}
    for ours, theirs in zip(rows(run), rows(alone), strict=True):
        numbers = [{key: float(v or 0) for key, v in (row | speed).items() if key != "split"} for row in (ours, theirs)]
        assert ours["split"] == theirs["split"]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-4, abs=1e-7)
    assert sorted(path.name for path in run.iterdir() if "events" not in path.name) == sorted(
        path.name for path in alone.iterdir() if "events" not in path.name
    )
    assert len(list(run.glob("events.*"))) == len(list(alone.glob("events.*")))


# --- stopped, refused, diverged ---


def process_of(rank, torchrun):
    """The id of one of torchrun's processes."""
    for child in Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split():
        if f"RANK={rank}" in Path(f"/proc/{child}/environ").read_text().split("\0"):
            return int(child)
    raise AssertionError(f"torchrun has no process {rank}")


def stopped(folder):
    """A run whose second process is asked to stop, twice, after the first checkpoint; returns the step."""
    last = folder / "run" / "last.pt"
    running = started(folder, "-m", "vaekl", "train", "hydra.run.dir=run", *LONG)
    while running.poll() is None and not last.exists():
        time.sleep(0.005)
    second = process_of(1, running)
    os.kill(second, signal.SIGTERM)
    time.sleep(0.01)
    os.kill(second, signal.SIGTERM)
    answer = ended(running)
    step = torch.load(last, weights_only=True)["state"]["step"]
    assert f"vaekl: stopped at step {step}: `vaekl resume {folder / 'run'}` goes on" in sentence(answer)
    return step


@pytest.mark.nightly  # five processes, one after the other
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="a process is found by /proc")
def test_sigterm_stops_all_at_one_step_and_the_same_words_go_on(tmp_path):
    step = stopped(tmp_path)
    assert 30 <= step < 500
    run, whole, alone = tmp_path / "run", tmp_path / "whole", tmp_path / "alone"
    alone.mkdir()
    for name in ("config.yaml", "facts.json", "metrics.csv", "last.pt"):
        (alone / name).write_bytes((run / name).read_bytes())
    answer = by_torchrun(tmp_path, "train", "hydra.run.dir=run", *LONG)
    assert answer.code == 0 and f"resumed at step {step}" in answer.out, answer.err
    assert by_torchrun(tmp_path, "train", "hydra.run.dir=whole", *LONG).code == 0
    assert same_weights(weights(run), weights(whole))
    assert results(run) == results(whole)
    speed = {"images_per_second": ""}
    assert [row | speed for row in rows(run)] == [row | speed for row in rows(whole)]
    # one process may go on with what two have begun
    assert vaekl(tmp_path, "resume", "alone").code == 0
    assert results(alone)["test"]["elbo_nats"] == pytest.approx(results(whole)["test"]["elbo_nats"], rel=1e-3)


def test_a_mistake_and_a_folder_that_is_taken_give_one_sentence(tmp_path):
    run = trained(tmp_path)
    before = contents(run)
    assert "optim.lr must be a positive number" in sentence(together(tmp_path, "train", "optim.lr=-1"))
    assert "run holds a run already" in sentence(together(tmp_path, "train", "hydra.run.dir=run", "seed=1"))
    assert contents(run) == before
    assert list(tmp_path.iterdir()) in ([run], [run, tmp_path / "outputs"], [tmp_path / "outputs", run])
    assert not list(tmp_path.glob("outputs/*"))


def test_a_run_that_diverges_ends(tmp_path):
    text = sentence(together(tmp_path, "train", "hydra.run.dir=run", "model.hidden=[16]", "optim.lr=1e30"))
    assert "training diverged" in text and "step 2" in text


@pytest.mark.parametrize("words", [("report", "x"), ("eval", "x"), ("sample", "x"), ("audit", "x")], ids=" ".join)
def test_what_one_process_does_alone_is_refused(words, tmp_path):
    refused(vaekl(tmp_path, *words, RANK="0", WORLD_SIZE="2"), words[0], "without torchrun")
    silent = vaekl(tmp_path, *words, RANK="1", WORLD_SIZE="2")
    assert (silent.code, silent.out, silent.err) == (1, "", "")


@pytest.mark.parametrize("word", ["-m", "--multirun", "sweep=grid"])
def test_a_sweep_is_refused(word, tmp_path):
    refused(vaekl(tmp_path, "train", word, "seed=0,1", RANK="0", WORLD_SIZE="2"), "a sweep starts its runs itself")
    assert not list(tmp_path.iterdir())
