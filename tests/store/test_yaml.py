"""config.yaml and Hydra's files: what vaekl writes is read as it was, and what would take hours is refused."""

import math
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from vaekl.store import RunFolder, UnreadableError
from vaekl.store.read import read_yaml
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import printable

#: texts that YAML 1.1, 1.2 or a careless reader takes for something else
ODD = [
    "190:20:30", "1:30", "190:20:30.5", "0o17", "017", "0777", "08", "0x1F", "0b11", "1_000", "1e3", "1E3", "1.",
    ".5", "+.5", "-1", "+1", "1e-05", "1.0e-05", ".inf", "-.inf", "+.INF", ".nan", "inf", "nan", "yes", "no", "on",
    "off", "y", "n", "Y", "true", "True", "TRUE", "tRUE", "null", "Null", "~", "", " ", "=", "<<", "2001-01-01",
    "2001-12-14t21:59:43.10-05:00", "- a", "a: b", "a #b", "#", "[1, 2]", "{a: 1}", "*a", "&a", "!a", "%a", "@a",
    "`a`", "'", '"', "\\", "${a}", "---", "...", "?", "a\u2029b", "ä", "１", "1 2", "0", "-0", "00", "1__0", "_1",
    "0.0.0", "--1",
]  # fmt: skip


def read(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    return read_yaml(tmp_path / "a.yaml", 1 << 18, "take it away")


def written(content):
    return OmegaConf.to_yaml(OmegaConf.create(content))


@pytest.mark.parametrize("text", [text for text in ODD if text != "${a}"])
def test_odd_texts_stay_texts(text, tmp_path):
    content = {"dataset": {"name": text}, "list": [text], "key": {f"k{text}": 1}}
    assert OmegaConf.to_container(OmegaConf.create(written(content))) == content
    shown = printable(text)  # a separator of lines is escaped
    assert read(tmp_path, written(content)) == {"dataset": {"name": shown}, "list": [shown], "key": {f"k{shown}": 1}}


def test_numbers_stay_numbers(tmp_path):
    numbers = [0, -1, 2**63 - 1, -(2**63) + 1, 0.1, -1e-300, 1e300, 5e-324, 1e16, 1e22, 123456789.125, 1.0, -0.0, 1e5]
    numbers += [math.inf, -math.inf, True, False, None]
    value = read(tmp_path, written({"a": numbers}))["a"]
    assert value == numbers and [type(one) for one in value] == [type(one) for one in numbers]
    assert math.isnan(read(tmp_path, written({"a": math.nan}))["a"])


LETTERS = st.characters(min_codepoint=33, max_codepoint=0x2000, exclude_categories=["C", "Zl", "Zp"])


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-(2**63) + 1, 2**63 - 1)
        | st.text(LETTERS, max_size=9) | st.text("0123456789:.eE+-_xobinfatrueyslNUL~", max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab1:.~y", min_size=1, max_size=4), inner, max_size=3),
        max_leaves=8,
    )
)  # fmt: skip
def test_what_omegaconf_writes_is_read_as_it_was(tmp_path_factory, content):
    text = OmegaConf.to_yaml(OmegaConf.create({"a": _without_interpolations(content)}))
    assert read(tmp_path_factory.getbasetemp(), text) == {"a": _without_interpolations(content)}


def _without_interpolations(node):
    if isinstance(node, dict):
        return {key: _without_interpolations(child) for key, child in node.items()}
    if isinstance(node, list):
        return [_without_interpolations(child) for child in node]
    return "text" if isinstance(node, str) and ("$" in node or node == "???") else node


@pytest.mark.parametrize(
    ("text", "value"),
    [("190:20:30", "190:20:30"), ("190:20:30.5", "190:20:30.5"), ("010", 10), ("-08", -8), ("0x1F", "0x1F"),
     ("0o17", "0o17"), ("1_000", "1_000"), ("yes", "yes"), ("off", "off"), ("2001-01-01", "2001-01-01"),
     ("1e3", 1000.0), ("<<", "<<"), ("=", "="), ("+12", 12), ("True", True), ("~", None), ("", None)],
)  # fmt: skip
def test_a_value_is_what_it_is_in_yaml_1_2(text, value, tmp_path):
    content = read(tmp_path, f"a: {text}")["a"]
    assert content == value and type(content) is type(value)


BOMBS = {
    "base 60": "a: " + ":".join(["59"] * 80_000),
    "base 60, a fraction": "a: " + ":".join(["59"] * 80_000) + ".5",
    "base 60, short enough for a text": "a: [" + ", ".join([":".join(["59"] * 1300) + ".5"] * 60) + "]",
    "digits": "a: " + "9" * 200_000,
    "digits, few enough for Python": "a: " + "9" * 4000,
    "digits of a fraction": "a: 1." + "9" * 200_000,
    "an exponent": "a: 1e" + "9" * 100_000,
    "entries": "a: [" + "1," * 120_000 + "1]",
    "lines": "- 1\n" * 60_000,
    "keys": "\n".join(f"a{number}: 1" for number in range(30_000)),
    "the same key": "a: 1\n" * 40_000,
    "lists in lists": "[" * 200_000,
    "dicts in dicts": "{a: " * 50_000,
    "question marks": "? " * 120_000,
    "indents": "\n".join(" " * number + "a:" for number in range(700)),
    "text": "a: " + "x" * 200_000,
    "escapes": 'a: "' + "\\x41" * 60_000 + '"',
    "anchors": "\n".join(f"- &a{number} 1" for number in range(20_000)),
    "documents": "---\n" * 60_000,
    "merges": "a:\n" + "  <<: {b: 1}\n" * 15_000,
    "NUL": "a: \0",
    "no text": "a: \ud800",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_at_once(bomb, tmp_path):
    (tmp_path / "a.yaml").write_bytes(BOMBS[bomb].encode("utf-8", "surrogatepass")[: 1 << 18])
    begun = time.process_time()
    if bomb in ("digits of a fraction", "an exponent", "base 60, short enough for a text"):
        read_yaml(tmp_path / "a.yaml", 1 << 18, "take it away")  # as harmless as any number or text
    else:
        with pytest.raises(UnreadableError, match=r"a\.yaml cannot be read \(.{1,200}\): take it away\.$"):
            read_yaml(tmp_path / "a.yaml", 1 << 18, "take it away")
    assert time.process_time() - begun < 3


@pytest.mark.parametrize(
    ("content", "words"),
    [({"a": list(range(20_000))}, "too many entries"), ({"a": ["x" * 4000] * 80}, "bytes"), ({"a": 2**64}, "64 bits")],
)
def test_no_config_is_written_that_could_not_be_read(content, words, tmp_path):
    with pytest.raises(VaeklError, match=rf"config\.yaml cannot hold the settings of this run \(.*{words}.*\): "):
        RunFolder(tmp_path).claim(OmegaConf.to_yaml(OmegaConf.create(content)), [], {})
    assert list(tmp_path.iterdir()) == []


def test_what_pyyaml_takes_for_numbers_is_written_in_quotes(tmp_path):
    """Else an older reader would see something else than this one."""
    for text in ("190:20:30", "0x1F", "yes", "2001-01-01", "1_000"):
        assert yaml.safe_load(written({"a": text}))["a"] == text == read(tmp_path, written({"a": text}))["a"]
