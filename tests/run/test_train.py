"""`vaekl.train`: the command's run, from a program whose own state it leaves alone."""

import contextlib
import io
import logging
import os
import random
import signal
import sys
import threading

import hydra
import numpy as np
import pytest
import torch
from cli_helpers import SMALL, contents, refused, results, rows, same_weights, weights
from cli_helpers import vaekl as command
from hydra.core.global_hydra import GlobalHydra

import vaekl
from vaekl.config.words import words_of
from vaekl.training.trainer import Trainer

SETTINGS = {
    "model.hidden": [16], "model.latents": 4, "trainer": {"steps": 4, "log_every": 2, "valid_every": 2},
    "likelihood": "gaussian",
}  # fmt: skip


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """The run folder of the command, which no test changes."""
    folder = tmp_path_factory.mktemp("typed")
    assert command(folder, "train", *SMALL, "likelihood=gaussian").code == 0
    (run,) = (folder / "outputs").iterdir()
    return run


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_the_run_of_the_command_and_goes_on_after_ctrl_c(typed, here, capsys, monkeypatch):
    step = Trainer.train_step

    def interrupted(trainer, stored):
        step(trainer, stored)
        if trainer.step == 3:
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"stopped at step 3: `vaekl resume"):
            vaekl.train(**SETTINGS)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    run = vaekl.train(**SETTINGS)
    assert run.path == here / "outputs" / typed.name
    assert results(run.path) == results(typed) and same_weights(weights(run.path), weights(typed))
    assert [row["elbo_nats"] for row in rows(run.path)] == [row["elbo_nats"] for row in rows(typed)]
    assert run.results.test.elbo_nats == results(typed)["test"]["elbo_nats"]
    assert type(run) is type(vaekl.load(run.path))
    output = capsys.readouterr()
    assert "step      4/4 · train ELBO" in output.out and not output.err


def test_the_words_of_the_command_are_settings_too(typed, monkeypatch):
    monkeypatch.chdir(typed.parent.parent)
    assert vaekl.train(*SMALL, likelihood="gaussian").path == typed


@pytest.mark.parametrize("words", [("cb",), ("--again",), ({"seed": 1},)])
def test_what_is_no_word_of_a_setting_is_refused(words, here):
    with pytest.raises(vaekl.VaeklError, match="is no setting: give a word for each") as refusal:
        vaekl.train(*words)
    assert "\n" not in str(refusal.value) and not list(here.iterdir())


def test_a_finished_run_is_read_back_and_trained_again_when_asked_to(typed, monkeypatch, capsys):
    monkeypatch.chdir(typed.parent.parent)
    before = contents(typed)
    assert vaekl.train(**SETTINGS).step == 4 and contents(typed) == before
    vaekl.train(again=True, **SETTINGS)
    assert "training again" in capsys.readouterr().out and results(typed)["test"]["elbo_nats"]
    assert (typed / "results.json").read_bytes() == before["results.json"]


@pytest.mark.parametrize(
    "settings",
    [
        {"likelihood": "cb,gaussian"}, {"trainer.epoch": 3}, {"seed": [0, 1]},
        {"dataset": "npz", "dataset.path": "no such, file.npz"},
    ],
)  # fmt: skip
def test_a_mistake_is_the_sentence_of_the_command(settings, here):
    sentence = refused(command(here, "train", *words_of(settings))).removeprefix("vaekl: ")
    with pytest.raises(vaekl.VaeklError) as caught:
        vaekl.train(**settings)
    assert str(caught.value) == sentence
    assert not list(here.iterdir())
    if "trainer.epoch" in settings:
        # nor does a traceback of Hydra's come along
        assert caught.value.__cause__ is None and caught.value.__suppress_context__
        assert not any("hydra" in str(entry.path) for entry in caught.traceback)


def test_a_sweep_is_no_run(here):
    with pytest.raises(vaekl.VaeklError, match="a sweep has several runs"):
        vaekl.train(sweep="seeds")


def test_the_program_around_it_is_as_it_was(typed, here, monkeypatch):
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", os.getcwd())])
    monkeypatch.setattr(threading, "excepthook", lambda failure: None)
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    torch.manual_seed(3)
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("high")
    own = hydra.initialize(None, version_base="1.3")

    def state():
        smallest = 5e-324
        return {
            "torch": torch.get_rng_state().tolist(), "numpy": str(np.random.get_state()), "random": random.getstate(),
            "type": torch.get_default_dtype(), "threads": torch.get_num_threads(), "gradients": torch.is_grad_enabled(),
            "precision": torch.get_float32_matmul_precision(), "denormals": smallest * 1.0 > 0,
            "folder": os.getcwd(), "environment": dict(os.environ), "path": list(sys.path),
            "hook": threading.excepthook,
            "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
            "logging": (logging.root.level, list(logging.root.handlers)), "hydra": GlobalHydra.instance().hydra,
            "errors": ascii_only.errors,
        }  # fmt: skip

    try:
        with own, contextlib.redirect_stdout(ascii_only), torch.no_grad():
            before = state()
            run = vaekl.train(**SETTINGS, output_dir="elsewhere")
            after = state()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
    assert after == before
    assert results(run.path) == results(typed)
    assert "E = " in ascii_only.buffer.getvalue().decode("ascii")


def test_it_trains_in_a_thread_that_gets_no_signals(here):
    runs = []
    thread = threading.Thread(target=lambda: runs.append(vaekl.train(**SETTINGS)))
    thread.start()
    thread.join()
    assert runs[0].results is not None


def test_a_density_of_the_users_own_is_read_back_too(here):
    (here / "own_density_of_train.py").write_text("import vaekl\n\n\nclass Mine(vaekl.Gaussian):\n    pass\n")
    run = vaekl.train(**SETTINGS | {"likelihood._target_": "own_density_of_train.Mine", "+likelihood.check": "off"})
    assert type(run.model.likelihood).__name__ == "Mine"
    assert str(here) not in sys.path
