"""Whatever a run folder holds, each verb does its work or says in one sentence what is wrong, and touches no other."""

import os
import signal
import sys
import time
from pathlib import Path

import corpus
import corpus_judge
import pytest
from cli_helpers import finished
from corpus import main, tried
from corpus_places import Case
from forks import Fork

from vaekl.store import RunFolder
from vaekl.system import errors


def passes(folder, *words):
    """The corpus in a process of its own, of which each verb is a fork."""
    answer = finished(Fork(main, list(words), folder=folder, OMP_NUM_THREADS="1"), timeout=3600)
    assert answer.code == 0, answer.out + answer.err


def test_some_cases(tmp_path):
    passes(tmp_path, "0-24", "--one")


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, 2000, 100))
def test_every_file_and_every_key(first, tmp_path):
    passes(tmp_path, f"{first}-{first + 99}")


def fails():
    """As it should be."""
    print("vaekl: it is broken: mend it.", file=sys.stderr)
    return 1


def writes(file, mode="w"):
    """A verb that writes a file, or adds to one."""

    def act():
        with open(file, mode) as stream:
            stream.write("kept")
        return fails()

    return act


def says(text, code=1):
    """A verb that says something else."""

    def act():
        print(text, file=sys.stderr)
        return code

    return act


def traced():
    """A bug that nobody catches."""
    raise KeyError("trainer")


#: what a verb does, and what the judge says of it
WRONG = {
    "a traceback": (traced, "says 'Traceback'"),
    "two sentences": (says("vaekl: first this.\nThen that."), "not one sentence"),
    "half a sentence": (says("vaekl: it is broken"), "not one sentence"),
    "a long sentence": (says(f"vaekl: {'x' * 3000}."), "3,008 letters"),
    "ESC": (says("vaekl: \x1b[2J."), r"'\x1b' on stderr"),
    "C1": (says("vaekl: \x9b31m."), r"'\x9b' on stderr"),
    "a file's bytes": (lambda: sys.stderr.buffer.write(b"vaekl: a\xff.\n") and 1, "no text on stderr"),
    "an exit code": (says("vaekl: it is broken.", 2), "exit code 2"),
    "a signal": (lambda: os.kill(os.getpid(), signal.SIGKILL), "exit code -9"),
    "noise": (says("a warning", 0), "noise on stderr"),
    "nothing": (lambda: 0, "left no results.json"),
    "an endless wait": (lambda: time.sleep(9), "took"),
    "much memory": (lambda: len(b"x" * (2 << 30)) and fails(), "MB"),
    "the same written again": (writes("canary/kept.txt"), "touched outside of the folder: ['kept.txt']"),
    "a mode": (lambda: os.chmod("canary/kept.txt", 0o777) or fails(), "touched outside of the folder: ['kept.txt']"),
    "a new file outside": (writes("canary/new"), "touched outside of the folder"),
    "a new file beside": (writes("new"), "made ['new'] beside"),
    "half a file": (writes("run/.last.pt.partial"), "half-written"),
    "a lost file": (lambda: os.remove("run/config.yaml") or fails(), "lost ['run/config.yaml']"),
    "a table that a terminal obeys": (lambda: Path("run/a.csv").write_text("\x1b[2J") and fails(), "in run/a.csv"),
}


def judged(folder):
    """What the judge says of `vaekl resume` in a run that has nothing but a config."""
    run, canary = folder / "whole" / "finished" / "run", folder / "whole" / "finished" / "canary"
    for place, file in ((run, "config.yaml"), (canary, "kept.txt"), (folder / "case", "")):
        place.mkdir(parents=True)
        if file:
            (place / file).write_text("kept")
    return tried(Case("finished", "nothing", lambda place: None), "resume", folder / "whole", folder / "case")[1]


@pytest.mark.parametrize("fault", WRONG)
def test_the_judge_sees(fault, tmp_path, monkeypatch):
    act, seen = WRONG[fault]
    monkeypatch.setattr(corpus, "_typed", lambda words: act())
    for name, value in {"SECONDS": 0.4, "_PATIENCE": 0.5, "MEMORY": 50 << 20}.items():
        monkeypatch.setattr(corpus_judge, name, value)
    assert seen in "".join(judged(tmp_path))


def test_the_judge_sees_nothing_wrong_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "_typed", lambda words: fails())
    assert not judged(tmp_path)


def test_the_judge_sees_an_unforeseen_error(tmp_path, monkeypatch):
    def config(_):
        raise KeyError("trainer")

    monkeypatch.setattr(errors, "users_line", lambda _: None)  # this file counts as the user's
    monkeypatch.setattr(RunFolder, "config", config)
    wrong = judged(tmp_path)
    assert len(wrong) == 1 and "unexpected KeyError" in wrong[0]
