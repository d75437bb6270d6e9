"""Paths mean the folder where the command was typed, and ~ is the user's home."""

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from cli_helpers import SMALL, refused, vaekl

from vaekl.config.overrides import parse, with_home

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)


def save(folder, name="a.npz"):
    folder.mkdir(exist_ok=True)
    np.savez(folder / name, x_train=IMAGES)


def config(run):
    return yaml.safe_load((run / "config.yaml").read_text())


@pytest.mark.parametrize("home", ["plain", "with blanks, and [brackets]", "it's"])
def test_a_home_is_a_home(tmp_path, home):
    save(tmp_path / home)
    answer = vaekl(
        tmp_path, "train", *SMALL, "dataset=npz", "dataset.path=~/a.npz", "hydra.run.dir=run", HOME=str(tmp_path / home)
    )
    assert answer.code == 0, answer.err
    assert config(tmp_path / "run")["dataset"]["path"] == str(tmp_path / home / "a.npz")


def test_only_a_home_is_replaced(monkeypatch):
    monkeypatch.setenv("HOME", "/h")
    words = ["dataset.path=~/a", "data_dir=~", "~dataset.size", "x=a~/b", "--again", "+x=~/y"]
    assert with_home(words) == ["dataset.path=/h/a", "data_dir=/h", "~dataset.size", "x=a~/b", "--again", "+x=/h/y"]


@pytest.mark.parametrize("value", ["a b[1]/x.npz", "a=b{c.npz", "x'y].npz"])
def test_the_sentence_shows_the_word_to_type(tmp_path, value):
    import shlex

    sentence = refused(vaekl(tmp_path, "train", "dataset=npz", f"dataset.path={value}"), "cannot read")
    word = shlex.split(sentence.partition("type ")[2].removesuffix(" if that is one value."))[0]
    assert parse(word).value() == value or str(parse(word).value()) == value


def test_relative_paths_of_a_sweep_are_those_of_the_typed_command(tmp_path):
    save(tmp_path)
    words = ("dataset=npz", "dataset.path=a.npz", "data_dir=kept", "hydra.job.chdir=true", "hydra/launcher=basic")
    answer = vaekl(tmp_path, "train", "-m", "seed=0,1", *SMALL, *words, "hydra.sweep.dir=sweep")
    assert answer.code == 0, answer.err
    runs = [file.parent for file in Path(tmp_path / "sweep").glob("*/config.yaml")]
    assert len(runs) == 2
    for run in runs:
        assert config(run)["dataset"]["path"] == os.path.join(tmp_path, "a.npz")
        assert config(run)["data_dir"] == os.path.join(tmp_path, "kept")
