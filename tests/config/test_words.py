"""Settings of a Python program as the words of a command: each value is read as what it was."""

from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from vaekl.config.words import words_of
from vaekl.system.errors import VaeklError

ODD = '/a b/it\'s \\ "quoted" $(touch ran) {x/é, [1]{2}=~;&|>*?!#\\'


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -3, 10**30, 0.1, 1e-5, -2.5e20, float("inf"), "cb", "a/b.npz", "", " ", "null", "True",
        "1", "1e3", "nan", "a,b", "[1]", "{a: 1}", "choice(1,2)", "'", '"', "\\", "é", "${seed}", "it's", ODD, [],
        [1, 2.5], ["a,b", None, [True, "x y"]],
    ],
)  # fmt: skip
def test_a_value_is_read_as_it_was(value):
    (word,) = words_of({"some.key": value})
    override = OverridesParser.create().parse_override(word)
    assert override.key_or_group == "some.key" and not override.is_sweep_override()
    read = override.value()
    assert str(read) == str(value) if isinstance(value, list) else (type(read), read) == (type(value), value)


def test_what_other_types_stand_for(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    settings = {
        "a": np.int64(3), "b": np.float64(0.5), "c": np.bool_(True), "d": (1, 2), "e": Path("/x/y z"), "f": "~/data",
        "g": {"h": {"i": 1}, "j": "x"}, "+k": 1,
    }  # fmt: skip
    assert words_of(settings) == [
        "a=3", "b=0.5", "c=true", "d=[1,2]", 'e="/x/y z"', 'f="/home/me/data"', "g.h.i=1", "g.j=x", "+k=1",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["", "--again", "-m", "~seed", "a=b", "a b", "a.b\n", 3, "likelihood=cb,x"])
def test_a_key_that_no_setting_has_is_refused(key):
    with pytest.raises(VaeklError, match="is no key of a setting"):
        words_of({key: 1})


@pytest.mark.parametrize("value", [{}, object(), {1, 2}, b"x", np.zeros(2), [1, {"a": 2}], [object()], 1j, len])
def test_a_value_that_no_setting_has_is_refused(value):
    with pytest.raises(VaeklError, match=r"seed cannot be of type \w+: give a number"):
        words_of({"seed": value})
