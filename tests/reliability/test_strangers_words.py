"""Whatever a stranger writes into a name or a file: no terminal, page, table or dashboard gets a control character."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from cli_helpers import trained, vaekl
from PIL import Image
from tensorboard.plugin_util import markdown_to_safe_html

from vaekl.run.settings import compared
from vaekl.store import checkpoint
from vaekl.system.terminal import printable, printable_lines
from vaekl.training.callbacks.tensorboard import as_code
from vaekl.verbs.report import style

BEGIN = "INJECTED"
#: all of C0 and C1, DEL, and what turns the direction of writing or ends a line; a name holds all but NUL and a slash
CONTROLS = "".join(map(chr, [*range(1, 0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F]))
CONTROLS += "".join(map(chr, [*range(0x2028, 0x202F), *range(0x2066, 0x206A)]))
EVIL = f"a\x1b]0;pwn\x07\x1b[2J\r\n{BEGIN} ```\n# {BEGIN}\n{CONTROLS}<b>$x_1$"
#: bytes that are no UTF-8
NO_TEXT = "".join(map(chr, range(0xDC80, 0xDD00)))
SURROGATES = NO_TEXT + "\ud800\udbff\udc00\udfff"
QUICK = ("report.measure=false", "report.pictures=0")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = trained(tmp_path_factory.mktemp("run"))
    assert vaekl(run.parent, "eval", "run", "eval.k=1").code == 0
    return run


@pytest.fixture
def sweep(run, tmp_path, monkeypatch):
    """A sweep of two runs, and figures that are not rendered."""
    monkeypatch.setattr(style, "rendered", lambda figure, kind: b'<svg xmlns="http://www.w3.org/2000/svg"/>')
    for name in ("one", "two"):
        shutil.copytree(run, tmp_path / "sweep" / name)
    return tmp_path / "sweep"


def clean(text, where):
    """No control character, and no line that a stranger began."""
    assert printable_lines(text) == text, (where, ascii(text)[:2000])
    assert not any(line.lstrip(" -#>").startswith(BEGIN) for line in text.split("\n")), (where, text)


def typed(folder, *words):
    """A verb's answer, whose words are clean; it does its work or says a sentence."""
    answer = vaekl(folder, *words)
    clean(answer.out, words)
    clean(answer.err, words)
    assert "unexpected" not in answer.err and "Traceback" not in answer.err, answer.err
    assert answer.code == 0 or answer.err.startswith("vaekl: ")
    return answer


def reported(folder, sweep, *words):
    """A report whose every text is clean."""
    answer = typed(folder, "report", str(sweep), *QUICK, *words)
    assert answer.code == 0, answer.err
    for name in ("report.html", "report.md", "runs.csv"):
        clean((sweep / "report" / name).read_text(encoding="utf-8"), name)


@pytest.mark.parametrize("name", [f"a\n{BEGIN}{CONTROLS}".replace("/", ""), NO_TEXT + "\n" + BEGIN], ids=["C", "bytes"])
def test_names_of_folders(name, sweep, tmp_path):
    evil = sweep.rename(tmp_path / name)
    one = (evil / "one").rename(evil / name)
    (evil / "two" / "last.pt").write_bytes(b"no checkpoint")
    reported(tmp_path, evil)
    for verb in ("audit", "eval", "sample", "resume"):
        few = {"eval": ["eval.k=1"], "sample": ["sample.count=1"]}.get(verb, [])
        assert typed(tmp_path, verb, str(one), *few).code == (verb == "resume" and name.startswith(NO_TEXT))
    assert typed(tmp_path, "eval", str(evil), "eval.k=1", "eval.jobs=1").code == 1
    for verb in ("resume", "eval", "audit", "sample", "report"):
        typed(tmp_path, verb, f"nowhere{name}")
    (one / "results.json").unlink()
    (one / "last.pt").unlink()
    typed(tmp_path, "eval", str(one))
    typed(tmp_path, "resume", str(one))
    shutil.rmtree(evil)  # pytest cannot


def texts(node, path=()):
    """Where the texts of a file are."""
    for key in node if isinstance(node, dict) else range(len(node)):
        if isinstance(node[key], dict | list):
            yield from texts(node[key], (*path, key))
        if isinstance(node[key], str):
            yield (*path, key)


def with_evil(content, path, rename=False):
    """The same file with something else for a text, or for its key."""
    content = json.loads(json.dumps(content))
    node = content
    for key in path[:-1]:
        node = node[key]
    if rename and isinstance(node, dict):
        node[EVIL + SURROGATES] = node.pop(path[-1])
    else:
        node[path[-1]] = EVIL + SURROGATES
    return content


def test_texts_of_a_config(sweep, tmp_path):
    file = sweep / "one" / "config.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    places = list(texts(content))
    assert len(places) > 20
    for place in places:
        for rename in (False, True):
            file.write_text(yaml.safe_dump(with_evil(content, place, rename), allow_unicode=False))
            typed(tmp_path, "audit", str(sweep / "one"))
    for place in (("dataset", "name"), ("choices", "model"), ("model", "activation")):
        file.write_text(yaml.safe_dump(with_evil(content, place), allow_unicode=False))
        reported(tmp_path, sweep)
        typed(tmp_path, "eval", "sweep/one", "eval.k=1")
    file.write_bytes(b"a: \x1b[2J\n")
    assert "cannot be read" in typed(tmp_path, "audit", str(sweep / "one")).err
    file.write_text(f"dataset: \u202e\n{EVIL}", encoding="utf-8")
    typed(tmp_path, "audit", str(sweep / "one"))
    reported(tmp_path, sweep)


@pytest.mark.parametrize("name", ["facts.json", "results.json", "eval.json"])
def test_texts_of_json(name, sweep, tmp_path):
    file = sweep / "one" / name
    content = json.loads(file.read_text(encoding="utf-8"))
    places = list(texts(content))
    for place in places:
        file.write_text(json.dumps(with_evil(content, place)))
        if name != "eval.json":
            assert typed(tmp_path, "audit", str(sweep / "one")).code == 1
    for place in places[:3]:
        file.write_text(json.dumps(with_evil(content, place, rename=True)))
        reported(tmp_path, sweep)


def test_texts_of_a_manifest(sweep, tmp_path):
    entry = {"status": "failed", "reason": EVIL, "overrides": [EVIL], "session": EVIL, "host": EVIL}
    for entries in ({"three": entry}, {EVIL: {"status": "failed"}}, {"three": {"status": EVIL}}):
        (sweep / "manifest.json").write_text(json.dumps({"schema": 1, "runs": entries}))
        reported(tmp_path, sweep)
    (sweep / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {"overrides": {"task": [f"seed=0,{EVIL}"]}}}))
    (sweep / "optimization_results.yaml").write_text(yaml.safe_dump({"best_params": {EVIL: EVIL}, "best_value": 1.0}))
    reported(tmp_path, sweep)


def test_cells_of_a_log(sweep, tmp_path):
    file = sweep / "one" / "metrics.csv"
    (sweep / "one" / "results.json").unlink()
    lines = file.read_text().splitlines()
    for line in (EVIL, lines[1].replace("train", EVIL), lines[1] + "\x1b[2J", f"{lines[1]}\x9b", "\u202e" + lines[1]):
        file.write_text("\n".join([*lines, line, ""]), encoding="utf-8")
        typed(tmp_path, "audit", "sweep/one")
    reported(tmp_path, sweep)
    typed(tmp_path, "resume", "sweep/one")
    file.write_text(f"{EVIL}\n", encoding="utf-8")
    typed(tmp_path, "audit", "sweep/one")


def test_keys_and_values_of_a_checkpoint(sweep, tmp_path):
    one = sweep / "one"
    state = checkpoint.load(one / "last.pt")
    shutil.copy(one / "last.pt", one / "previous.pt")
    (one / "results.json").unlink()
    bad = {
        "model": {EVIL: 1},
        "step": EVIL,
        "data": EVIL,
        "device": EVIL,
        "threads": EVIL,
        "restores": EVIL,
        "optimizer": {EVIL: EVIL},
    }
    for key, value in bad.items():
        checkpoint.save(one / "last.pt", state | {key: value})
        typed(tmp_path, "eval", "sweep/one", "eval.k=1")
        typed(tmp_path, "sample", "sweep/one", "sample.count=1")
        typed(tmp_path, "resume", "sweep/one")
    checkpoint.save(one / "previous.pt", state | {"step": EVIL})
    (one / "last.pt").write_bytes(b"no checkpoint")
    typed(tmp_path, "resume", "sweep/one")


def test_names_of_images(tmp_path):
    folder = tmp_path / f"pictures\n{BEGIN}\x1b[2J"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(12):
        picture = Image.fromarray(rng.integers(0, 255, (8, 8), "uint8"))
        picture.save(folder / f"{number}\x1b[2J\n{BEGIN}\x9b{NO_TEXT[number]}.png")
    words = ("train", "dataset=image_folder", f"dataset.path='{folder}'", f"data_dir={tmp_path / 'cache'}")
    typed(tmp_path, *words, "trainer.steps=1")
    (tmp_path / "plain").symlink_to(folder)
    words = (
        "train",
        "dataset=image_folder",
        "dataset.path=plain",
        f"data_dir={tmp_path / 'cache'}",
        "model.hidden=[4]",
    )
    assert typed(tmp_path, *words, "trainer.steps=1").code == 0
    (folder / f"13\x1b[2J\n{BEGIN}{NO_TEXT[0]}.png").write_bytes(b"no picture")
    assert "13" in typed(tmp_path, *words, "trainer.steps=2").err
    Image.new("L", (9, 9)).save(folder / f"13\x1b[2J\n{BEGIN}{NO_TEXT[0]}.png")
    assert "13" in typed(tmp_path, *words, "trainer.steps=2").err
    shutil.rmtree(folder)


@pytest.mark.parametrize("key", ["seed", "likelihood", "hydra.run.dir", "run_name", "mine", EVIL])
def test_words_that_are_typed(key, tmp_path):
    """They may be pasted from a page."""
    for word in (f"{key}={EVIL}", f"{key}='{SURROGATES}'", f"+{key}=[{EVIL}]", f"~{key}{EVIL}"):
        for words in (["train", word, "trainer.steps=1"], ["eval", word], ["audit", word], [word]):
            assert typed(tmp_path, *words).code == 1


def test_a_dashboard_shows_a_config_as_code():
    text = as_code(f"name: {EVIL}\n```\n# {BEGIN}\n![x](http://x/y.png)\n<img src=x>\n")
    assert printable_lines(text) == text
    page = markdown_to_safe_html(text)
    assert page.startswith("<pre><code>") and page.rstrip().endswith("</code></pre>") and page.count("<") == 4
    settings = compared({"choices": {"model": EVIL}, "model": {EVIL: SURROGATES, "list": [EVIL], "seed": 1}})
    for key, value in settings.items():
        assert printable(key) == key and (not isinstance(value, str) or printable(value) == value)


def test_the_help_of_a_stranger_s_options(tmp_path):
    folder = Path(tmp_path, "mine", "model")
    folder.mkdir(parents=True)
    (folder / f"x\n{BEGIN}\x1b[2J.yaml").write_text("# \x1b]0;pwn\x07 small\n_target_: vaekl.linear\n")
    typed(tmp_path, "train", "--config-dir", "mine", "--help")
    typed(tmp_path, "train", "--config-dir", "mine", "model=x")
