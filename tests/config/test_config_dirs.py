"""A user's own config folder that holds what would be waited for, or never end."""

import os

import pytest
from cli_helpers import refused, vaekl

from vaekl.config import groups


@pytest.mark.parametrize("name", ["model/mine.yaml", "sweep/mine.yaml", "other.yaml"])
@pytest.mark.parametrize(
    "words", [["train", "--help"], ["train", "model=mine"], ["train", "sweep=mine"], ["audit", "dataset=digits"]]
)
@pytest.mark.parametrize("strange", ["pipe", "hole", "device"])
def test_no_option_is_waited_for(strange, words, name, tmp_path):
    file = tmp_path / "own" / name
    file.parent.mkdir(parents=True)
    if strange == "pipe":
        os.mkfifo(file)
    elif strange == "device":
        file.symlink_to("/dev/zero")
    else:
        file.touch()
        os.truncate(file, 1 << 40)
    refused(vaekl(tmp_path, *words, "--config-dir", "own"), f"own/{name} is no file of at most", "take it away")
    refused(vaekl(tmp_path, *words, "--config-dir=own"), f"own/{name}")


@pytest.mark.parametrize("words", [["--help"], ["seed=0"], ["sweep=bad"]])
@pytest.mark.parametrize("content", [b"# caf\xe9\nseed: 0,1\n", b"\x00\xff"])
def test_an_option_in_another_encoding_is_named(content, words, tmp_path):
    (tmp_path / "own" / "sweep").mkdir(parents=True)
    (tmp_path / "own" / "sweep" / "bad.yaml").write_bytes(content)
    refused(vaekl(tmp_path, "train", *words, "--config-dir", "own"), "own/sweep/bad.yaml is no text in UTF-8")


def test_a_folder_of_endless_options_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "_MOST_FILES", 2)
    (tmp_path / "own" / "model").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "own" / "model" / f"{number}.yaml").touch()
    refused(vaekl(tmp_path, "train", "model=0", "--config-dir", "own"), "more than 2 options")
