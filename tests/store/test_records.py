"""Every JSON file of a run and a sweep, with every key changed: what vaekl did not write is refused in one sentence."""

import copy
import json
import os
import re
from pathlib import Path

import pytest
from record_cases import FACTS, FILES, RESULTS

from vaekl.store import RunFolder, UnreadableError
from vaekl.store.read import SCHEMA
from vaekl.store.schema import Facts, Results
from vaekl.store.write import record, write_record
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import printable

ROOT = Path(__file__).parents[2]
#: put into the text of a file where a value was: what no key of any file may hold
NEVER = {
    "NaN": "NaN",
    "infinity": "Infinity",
    "too large": "1e400",
    "400 digits": "1" + "0" * 400,
    "ESC": '"\\u001b[2J"',
    "C1": '"\\u009b31m"',
    "BEL": '"a\\u0007"',
    "turned around": '"\\u202egpj.exe"',
    "half a pair": '"\\ud800"',
    "deep": "[" * 5000 + "]" * 5000,
    "nothing": "",
}
#: what is refused but where the key's own value is of the same kind
WRONG = {
    "a truth value": (True, bool),
    "text": ("x", str),
    "a number": (0.25, float),
    "a negative number": (-3, None),
    "a list": ([["x"]], None),
    "an object": ({"x": {"y": 1}}, None),
}
#: keys that may be absent or null: those that not every run has
OPTIONAL = {
    "total_correlation_nats", "dimension_wise_kl_nats", "columns", "levels", "other_data",
    "git_revision", "level_width", "spread", "files", "implied_beta_kl", "target_kl_nats",
    "target_rmse", "target_distortion_nats",
    "scale_power", "unit_sigma", "elbo_standard_error_nats", "bits_per_dim",
    "dispersions", "information_weight", "dispersion_by_channel", "learned_options", "stored",
    "valid", "ruler", "ais", "reliability", "quality", "knn_accuracy", "features", "standard_error_nats",
    "standard_error_bits_per_dim", "sigma_over_rmse", "calibrated_beta_kl", "inception_std", "dispersion",
    "reason", "session", "started", "ended", "host", "process", "slurm_job", "stack", "overrides", "example", "init",
    "objective", "draws",
}  # fmt: skip
#: objects whose keys are names, and lists: those may be empty
_NAMES = (
    "packages", "choices", "calibration", "runs", "accepts", "changes", "iwae", "overrides", "dispersion_by_channel",
    "learned_options", "words", "numbers",
)  # fmt: skip


def sentence(file, read, folder):
    """The one sentence that a reader has for a file."""
    with pytest.raises(VaeklError) as caught:
        read(folder)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and printable(text) == text and len(text) < 700, text
    assert str(folder / file) in text
    return text


def paths(node, path=()):
    """Where the values of a file are: names of keys, and 0 for the first of a list."""
    for key in node if isinstance(node, dict) else range(len(node))[:1]:
        yield (*path, key)
        if isinstance(node[key], dict | list):
            yield from paths(node[key], (*path, key))


def changed(content, path, value):
    """The same file with one value changed, or one key taken away."""
    content = copy.deepcopy(content)
    node = content
    for key in path[:-1]:
        node = node[key]
    if value is KeyError:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return content


@pytest.mark.parametrize("file", FILES)
def test_the_example_is_read(file, tmp_path):
    content, read = FILES[file]
    (tmp_path / file).write_text(json.dumps(content, ensure_ascii=False))
    assert read(tmp_path) is not None


@pytest.mark.parametrize("file", FILES)
def test_what_no_key_may_hold(file, tmp_path):
    content, read = FILES[file]
    count = 0
    for path in paths(content):
        text = json.dumps(changed(content, path, "HERE"))
        for name, value in NEVER.items():
            if name == "nothing" and isinstance(path[-1], int):
                continue  # a list may be empty
            (tmp_path / file).write_text(text.replace('"HERE"', value))
            sentence(file, read, tmp_path)
            count += 1
    assert count > 20


@pytest.mark.parametrize("file", FILES)
def test_values_of_another_kind(file, tmp_path):
    content, read = FILES[file]
    for path in paths(content):
        old = content
        for key in path:
            old = old[key]
        for value, kind in WRONG.values():
            (tmp_path / file).write_text(json.dumps(changed(content, path, value)))
            numbers = isinstance(old, int | float) and not isinstance(old, bool) and type(value) in (int, float)
            if (kind is not None and isinstance(old, kind)) or numbers:
                continue  # of its kind: the next tests say which numbers are refused
            sentence(file, read, tmp_path)


@pytest.mark.parametrize("file", FILES)
def test_keys_that_are_missing_or_null(file, tmp_path):
    content, read = FILES[file]
    for path in paths(content):
        if isinstance(path[-1], int) or (len(path) > 1 and path[-2] in _NAMES):
            continue
        for value in (KeyError, None):
            (tmp_path / file).write_text(json.dumps(changed(content, path, value)))
            if path[-1] not in OPTIONAL:
                text = sentence(file, read, tmp_path)
                assert str(path[-1]) in text or path == ("schema",)


@pytest.mark.parametrize("file", FILES)
def test_keys_that_vaekl_does_not_write(file, tmp_path):
    content, read = FILES[file]
    for path in [(), *paths(content)]:
        node = content
        for key in path:
            node = node[key]
        if isinstance(node, dict) and not (path and path[-1] in _NAMES):
            (tmp_path / file).write_text(json.dumps(changed(content, (*path, "mine"), 1)))
            assert "mine" in sentence(file, read, tmp_path)
    evil = json.dumps({**content, "\x1b[2J": 1})
    (tmp_path / file).write_text(evil)
    assert "\\x1b[2J" in sentence(file, read, tmp_path)


@pytest.mark.parametrize("file", FILES)
def test_numbers_that_no_run_has(file, tmp_path):
    content, read = FILES[file]
    for path in paths(content):
        node = content
        for key in path:
            node = node[key]
        if isinstance(node, bool) or not isinstance(node, int | float):
            continue
        for value in (1e101, -1e101, 2**64):
            (tmp_path / file).write_text(json.dumps(changed(content, path, value)))
            if value != 2**64 or isinstance(node, int):
                sentence(file, read, tmp_path)
        if isinstance(node, int):
            (tmp_path / file).write_text(json.dumps(changed(content, path, -1)))
            sentence(file, read, tmp_path)


@pytest.mark.parametrize("file", FILES)
def test_files_that_are_no_files(file, tmp_path):
    content, read = FILES[file]
    place, whole = tmp_path / file, json.dumps(content).encode()
    for length in (*range(0, len(whole), 97), len(whole) - 1):
        place.write_bytes(whole[:length])
        sentence(file, read, tmp_path)
    for raw in (b"", b"null", b"[]", b"3", b"\xff\xfe\x00", whole + b"x", b"[" * 10**5, b'{"a":' * 10**5):
        place.write_bytes(raw)
        sentence(file, read, tmp_path)
    place.unlink()
    place.mkdir()
    assert "it is a folder" in sentence(file, read, tmp_path)
    place.rmdir()
    (tmp_path / "elsewhere").write_bytes(whole)
    place.symlink_to(tmp_path / "elsewhere")
    assert "it is a link" in sentence(file, read, tmp_path)
    place.unlink()
    os.mkfifo(place)
    assert "it is a pipe or a device" in sentence(file, read, tmp_path)
    place.unlink()
    with place.open("wb") as target:
        target.truncate(1 << 40)
    assert "bytes, more than" in sentence(file, read, tmp_path)


@pytest.mark.parametrize("file", [name for name, (content, _) in FILES.items() if "schema" in content])
@pytest.mark.parametrize(
    ("number", "part"), [(None, "an earlier vaekl"), (0, "an earlier vaekl"), (SCHEMA + 1, "upgrade vaekl")]
)
def test_a_file_of_another_vaekl_says_so(number, part, file, tmp_path):
    content, read = FILES[file]
    there = {key: value for key, value in content.items() if key != "schema"}
    (tmp_path / file).write_text(json.dumps({**there, **({} if number is None else {"schema": number}), "other": []}))
    assert part in sentence(file, read, tmp_path)


def test_what_is_written_can_be_read_back(tmp_path):
    for kind, content, name in ((Facts, FACTS, "facts.json"), (Results, RESULTS, "results.json")):
        written = record(kind, content, name)
        write_record(tmp_path / name, written)
        assert FILES[name][1](tmp_path) == written
        assert json.loads((tmp_path / name).read_text()) == content


def test_control_characters_are_escaped_before_they_are_written(tmp_path):
    """A folder's name or a family of the user's own may hold some; the run is not to become unreadable."""
    write_record(
        tmp_path / "facts.json", record(Facts, {**FACTS, "command": "vaekl train a='\x1b\n\udcff'"}, "facts.json")
    )
    assert RunFolder(tmp_path).facts().command == "vaekl train a='\\x1b\\n\\udcff'"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_figures_that_are_not_finite_are_not_written(value, tmp_path):
    figures = {**RESULTS, "test": {**RESULTS["test"], "loss": value}}
    with pytest.raises(VaeklError, match=r"results\.json"):
        RunFolder(tmp_path).finish(figures)
    assert not (tmp_path / "results.json").exists()


def test_a_folder_of_an_earlier_vaekl_is_refused(tmp_path):
    groups = ("choices", "dataset", "transform", "likelihood", "weighting", "model", "optim", "schedule", "lr_schedule")
    config = {"choices": dict.fromkeys((*groups, "trainer"), "x"), **{group: {} for group in (*groups[1:], "trainer")}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    (tmp_path / "versions.json").write_text("{}")
    with pytest.raises(UnreadableError, match=r"has no facts\.json, so an earlier vaekl trained it"):
        RunFolder(tmp_path).config()
    (tmp_path / "facts.json").write_text(json.dumps(FACTS))
    assert RunFolder(tmp_path).config()["trainer"] == {}


def test_the_docs_explain_every_key():
    text = (ROOT / "docs" / "run_folder.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`([\w.]+)`", text))
    for content, _ in FILES.values():
        for path in paths(content):
            if isinstance(path[-1], str) and not (len(path) > 1 and path[-2] in _NAMES):
                assert path[-1] in explained, path
