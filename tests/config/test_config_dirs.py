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


@pytest.mark.parametrize("words", [["--help"], ["likelihood=bad"], ["-m", "likelihood=bad,cb"], ["sweep=seeds"]])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("_target_: [1\nseed: 2\n", "cannot be read as YAML (line 2): mend it"),
        ("- a\n", "is no list of keys and values, as options are: mend it"),
        ("word", "is no list of keys and values"),
    ],
)
def test_an_option_that_is_no_list_of_keys_is_named(content, says, words, tmp_path):
    (tmp_path / "own" / "likelihood").mkdir(parents=True)
    (tmp_path / "own" / "likelihood" / "bad.yaml").write_text(content)
    refused(vaekl(tmp_path, "train", *words, "--config-dir", "own"), f"own/likelihood/bad.yaml {says}")


def test_files_of_other_programs_may_lie_in_the_folder(tmp_path):
    (tmp_path / "own" / "deploy").mkdir(parents=True)
    (tmp_path / "own" / "deploy" / "two.yaml").write_text("a: 1\n---\nb: !mine 2\n")
    answer = vaekl(tmp_path, "train", "--cfg", "job", "--config-dir", "own")
    assert answer.code == 0, answer.err


def test_an_option_without_a_class_is_named(tmp_path):
    (tmp_path / "own" / "likelihood").mkdir(parents=True)
    (tmp_path / "own" / "likelihood" / "bad.yaml").write_text("# mine\nscale: 1\n")
    says = "the option of likelihood names no class: write a line `_target_: MODULE.CLASS` into its file, or set"
    refused(vaekl(tmp_path, "train", "likelihood=bad", "--config-dir", "own"), says)


def test_a_folder_of_endless_options_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "_MOST_FILES", 2)
    (tmp_path / "own" / "model").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "own" / "model" / f"{number}.yaml").touch()
    refused(vaekl(tmp_path, "train", "model=0", "--config-dir", "own"), "more than 2 options")
