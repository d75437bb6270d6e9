"""What a setting may be: the values that pass, and the sentence for those that do not."""

import subprocess
import sys
from math import inf, nan

import pytest

from vaekl.system.checks import flag, is_number, number, one_of, optional, positive, whole
from vaekl.system.errors import VaeklError


@pytest.mark.parametrize("value", [None, True, 1.0, "3", [3], -1, 2**62 + 1, nan], ids=repr)
def test_what_is_no_whole_number(value):
    with pytest.raises(VaeklError, match=r"^eval\.n must be a whole number from 0"):
        whole(value, "eval.n")


def test_the_limits_of_a_whole_number_belong_to_it():
    assert [whole(value, "n", 1, 3) for value in (1, 3)] == [1, 3]
    for value in (0, 4):
        with pytest.raises(VaeklError, match=rf"^n must be a whole number from 1 to 3, not {value}\.$"):
            whole(value, "n", 1, 3)
    assert whole(2**62, "n") == 2**62


# the smallest normal and the largest finite float32, IEEE 754
@pytest.mark.parametrize("value", [1.1754943508222875e-38, 3.4028234663852886e38, 1, 0.5], ids=repr)
def test_a_positive_number_is_a_float(value):
    assert positive(value, "beta") == value and isinstance(positive(value, "beta"), float)


@pytest.mark.parametrize("value", [None, True, "1", 0, -1.0, inf, nan, 1e39, 1e-39, 10**400], ids=lambda v: repr(v)[:9])
def test_what_is_no_positive_number(value):
    with pytest.raises(VaeklError, match=r"^beta must be a positive number"):
        positive(value, "beta")


def test_a_number_between_two_others():
    assert number(0.5, "trainer.ema", 0, 1) == 0.5
    for value in (0, 1, "x", True, nan):
        with pytest.raises(VaeklError, match=r"^trainer\.ema must be a number between 0 and 1, not "):
            number(value, "trainer.ema", 0, 1)


def test_one_of_some_words():
    assert one_of("npz", "sample.format", ("png", "npz")) == "npz"
    for value, sentence in (
        ("jpg", "split must be test, valid or train, not 'jpg'."),
        ("tran", "split must be test, valid or train, not 'tran' (did you mean train?)."),
        (["test"], "split must be test, valid or train, not ['test']."),
    ):
        with pytest.raises(VaeklError) as error:
            one_of(value, "split", ("test", "valid", "train"))
        assert str(error.value) == sentence
    with pytest.raises(VaeklError, match=r"^link must be identity, not "):
        one_of("x", "link", ("identity",))


def test_what_else_a_key_takes_is_named():
    assert flag(True, "knn") is True
    with pytest.raises(VaeklError, match=r"^knn must be auto, true or false, not 1\.$"):
        flag(1, "knn", also="auto, ")
    assert optional(whole, None, "jobs", 1) is None and optional(whole, 3, "jobs", 1) == 3
    with pytest.raises(VaeklError, match=r"^jobs must be null or a whole number from 1, not 0\.$"):
        optional(whole, 0, "jobs", 1)
    with pytest.raises(VaeklError, match=r"^checkpoint must be null or last or best, not 'x'\.$"):
        optional(one_of, "x", "checkpoint", ("last", "best"))


def test_a_whole_number_that_no_float_holds_is_no_number():
    assert is_number(3) and is_number(inf) and not is_number(10**400) and not is_number(False)


def test_a_mistake_is_answered_without_torch():
    code = "import sys, vaekl.system.checks; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
