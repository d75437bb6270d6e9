"""A run that is no better than the training mean says so, once."""

import numpy as np
import pytest
import torch
from cli_helpers import built, vaekl

from vaekl.training.callbacks.baseline import rmse_of_mean

DEAD = (
    "likelihood=gaussian",
    "weighting=fixed_beta",
    "weighting.beta=100",
    "model.hidden=[8]",
    "trainer.log_every=100",
)


def test_it_is_said_once(tmp_path):
    answer = vaekl(tmp_path, "train", *DEAD, "trainer.steps=1200", "trainer.valid_every=500")
    assert answer.code == 0 and answer.out.count("warning: after 1,000 steps the RMSE") == 1
    assert answer.out.count("is no better than that of the training mean") == 1


def test_a_run_that_learns_says_nothing(tmp_path):
    answer = vaekl(
        tmp_path, "train", "trainer.steps=250", "model.hidden=[64]", "trainer.valid_every=250", "optim.lr=3e-3"
    )
    assert answer.code == 0 and "no better" not in answer.out


def test_the_mean_s_error_is_in_the_user_s_unit(tmp_path):
    x = np.random.default_rng(0).normal(1000, 300, (90, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x_train=x[:80], x_test=x[80:])
    words = ("dataset=npz", f"dataset.path={tmp_path / 'mine.npz'}", "likelihood=gaussian", "valid=0")
    trainer = built(tmp_path, *words).trainer
    expected = np.sqrt(np.square(x[:80] - x[:80].mean(0)).mean())
    error = rmse_of_mean(trainer.data.train, trainer.data.spec, torch.device("cpu"))
    assert error == pytest.approx(expected, rel=1e-4)
