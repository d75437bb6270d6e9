"""Tasks in forked processes: what they return, and what becomes of those that are killed, raise or take too long."""

import os
import signal
import time
from functools import partial

import pytest

from vaekl.sweep import forks


def nothing():
    pass


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def raises(sentence):
    raise ValueError(sentence)


def test_each_task_has_a_process_of_its_own_and_its_answer_its_place():
    answers = forks.results([os.getpid, lambda: "x" * 300_000, os.getpid], 2, nothing)
    assert len({answers[0], answers[2], os.getpid()}) == 3 and answers[1] == "x" * 300_000


def test_a_task_that_is_killed_has_no_answer_and_the_others_have_theirs():
    assert forks.results([killed, lambda: 1, lambda: 2], 1, nothing) == [None, 1, 2]


def test_an_error_is_raised_when_all_have_ended(tmp_path):
    tasks = [partial(raises, "the first"), partial((tmp_path / "later").write_text, "done"), partial(raises, "another")]
    with pytest.raises(ValueError, match="the first"):
        forks.results(tasks, 1, nothing)
    assert (tmp_path / "later").exists()


def test_no_more_than_so_many_at_a_time(tmp_path):
    def others(name):
        (tmp_path / name).touch()
        time.sleep(0.05)
        count = len(list(tmp_path.iterdir()))
        (tmp_path / name).unlink()
        return count

    counts = forks.results([partial(others, str(number)) for number in range(7)], 3, nothing)
    assert max(counts) <= 3


def test_a_process_that_takes_too_long_is_killed():
    begun = time.monotonic()
    assert forks.results([partial(time.sleep, 60), lambda: 1], 2, nothing, patience=0.3) == [None, 1]
    assert time.monotonic() - begun < 30


def test_a_process_is_prepared_before_its_task(monkeypatch):
    assert forks.results([lambda: os.environ["PREPARED"]], 1, partial(os.environ.__setitem__, "PREPARED", "yes")) == [
        "yes"
    ]
    assert "PREPARED" not in os.environ
