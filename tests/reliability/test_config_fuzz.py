"""Whatever is typed after `vaekl train`: a run of the steps that were asked for, or one sentence and nothing else.

A trial that fails prints its number and its command; `python tests/reliability/fuzz.py NUMBER` types it again.
"""

import sys
import warnings

import pytest
from fuzz import judged, report, typed
from fuzz_words import Trial, base

from vaekl.run import build
from vaekl.system import errors
from vaekl.system.errors import VaeklError
from vaekl.training.trainer import Trainer

#: more than any memory, or more than can be counted in it
TOO_LARGE = [
    "model.latents=1000000000000", "model.latents=9223372036854775807", "model.hidden=[1000000000000]",
    "model.hidden=[100000,100000]", "model.hidden=[4,9999999999999999999999]", "trainer.log_every=1000000000000",
    "trainer.log_every=9223372036854775807", "trainer.batch_size=9223372036854775807",
    "trainer.threads=9999999999999999",
]  # fmt: skip
BAD = ("model.latents=0", "likelihood=gausian", "seed=[", "hydra.mode=text", "valid=${nope}")


def commands(first, last, tmp_path):
    """Trials from a number to below another; all that fail are told at once."""
    failed = report(range(first, last), tmp_path)
    assert not failed, "\n\n".join([f"{len(failed)} of {last - first} trials", *failed])


@pytest.mark.parametrize("first", [0, 10, pytest.param(20, marks=pytest.mark.nightly)])
def test_some_commands(first, tmp_path):
    commands(first, first + 10, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(30, 2530, 100))
def test_thousands_of_commands(first, tmp_path):
    commands(first, first + 100, tmp_path)


@pytest.mark.parametrize("word", TOO_LARGE)
def test_what_no_memory_holds_is_refused_or_not_needed(word, tmp_path):
    words = [other for other in base() if other.split("=")[0] != word.split("=")[0]]
    tried = Trial(-1, (*words, "hydra.run.dir=run", word), word)
    assert not judged(tried, tmp_path)


@pytest.mark.parametrize("word", BAD)
@pytest.mark.parametrize("way", ["--debug", "HYDRA_FULL_ERROR"])
def test_a_traceback_only_for_those_who_ask(way, word, tmp_path):
    assert not judged(Trial(-1, (*base(), word), word), tmp_path)
    flag, environment = (["--debug"], {}) if way == "--debug" else ([], {way: "1"})
    with pytest.raises(Exception, match=r".") as raised:
        typed(tmp_path, "train", *base(), word, *flag, **environment)
    assert raised.traceback


def unforeseen(*_):
    """A bug."""
    raise ValueError("unforeseen")


def exits(*_):
    """Another bug."""
    sys.exit(2)


def noisy(*_):
    """A library's warning."""
    warnings.warn("a library is worried", stacklevel=1)


def speaks(*_):
    """A line on stderr."""
    print("progress", file=sys.stderr)


def traced(*_):
    """A traceback in a sentence."""
    raise VaeklError("Traceback (most recent call last): somewhere.")


def long_winded(*_):
    """More than a sentence."""
    raise VaeklError("first this.\nThen that.")


def breaks_off(*_):
    """Less than a sentence."""
    raise VaeklError("no full stop")


@pytest.mark.parametrize(
    ("bug", "seen"),
    [
        (unforeseen, "says 'unexpected'"),
        (exits, "raised SystemExit"),
        (noisy, "worried"),
        (speaks, "progress"),
        (traced, "says 'Traceback'"),
        (long_winded, "not one sentence"),
        (breaks_off, "not one sentence"),
    ],
)
def test_the_judge_sees_bugs(bug, seen, tmp_path, monkeypatch):
    whole = Trainer.train_step

    def step(trainer, stored):
        whole(trainer, stored)
        bug()

    monkeypatch.setattr(errors, "users_line", lambda _: None)  # this file counts as the user's
    monkeypatch.setattr(Trainer, "train_step", step)
    assert any(seen in fault for fault in judged(Trial(-1, tuple(base())), tmp_path))


def test_the_judge_sees_a_run_that_is_too_short(tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "finished", property(lambda trainer: trainer.step >= 1))
    assert any("trained 1 steps, not 2" in fault for fault in judged(Trial(-1, tuple(base())), tmp_path))


def test_the_judge_sees_what_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(errors, "users_line", lambda _: None)  # this file counts as the user's

    def half(*_, **__):
        (tmp_path / "half" / "a").mkdir(parents=True)
        unforeseen()

    monkeypatch.setattr(build, "build_likelihood_and_data", half)
    faults = judged(Trial(-1, tuple(base()), "seed=1"), tmp_path)
    assert any("left ['half', 'half/a']" in fault for fault in faults)
    assert any("does not name" in fault for fault in faults)
