"""A run folder from a stranger: each way to have code run is tried, and none is taken."""

import os
import shutil
import subprocess
import sys
from itertools import product

import pytest
import yaml
from cli_helpers import contents, refused, trained, vaekl

MINE = """
from pathlib import Path

from vaekl.likelihoods import Gaussian

Path("ran").touch()


class Mine(Gaussian):
    pass
"""

#: (where in the config, what is put there)
ATTACKS = {
    "a function of Python's": ("likelihood", {"_target_": "os.system", "command": "touch ran"}),
    "a builtin": ("optim", {"_target_": "builtins.exec", "lr": 1, "_args_": ["open('ran', 'w')"]}),
    "through a module of vaekl's": ("likelihood", {"_target_": "vaekl.cli.os.system", "command": "touch ran"}),
    "vaekl's own, but no option": ("likelihood", {"_target_": "vaekl.folder.write_json", "path": "ran", "content": {}}),
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


def test_what_is_vouched_for_is_called(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    words = [sys.executable, "-m", "vaekl"]

    def run(*more):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run([*words, *more], cwd=tmp_path, capture_output=True, text=True, env=environment)

    small = ("trainer.steps=2", "trainer.valid_every=2", "model.hidden=[4]", "hydra.run.dir=run")
    custom = ("likelihood=custom", "likelihood._target_=mine.Mine")
    assert run("train", *custom, *small).returncode == 0
    (tmp_path / "ran").unlink()
    answer = run("eval", "run", "eval.k=1", "--trust", "min")
    assert answer.returncode == 1 and "'mine.Mine' called" in answer.stderr and "--trust mine" in answer.stderr
    assert not (tmp_path / "ran").exists()
    answer = run("eval", "run", "eval.k=1", "--trust", "mine")
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "ran").exists()


def test_what_lies_in_a_strangers_folder_is_not_imported(run, tmp_path):
    """TensorBoard looks for TensorFlow, and would find it where the command is typed."""
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "tensorflow.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    (folder / "results.json").unlink()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def imported(*words):
        # -P: as the installed command, which does not begin its path here
        command = [sys.executable, "-P", "-m", "vaekl", *words]
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
        if answer.returncode == 0:
            (folder / "results.json").unlink()
        return (folder / "ran").exists()

    assert not imported("resume", ".")
    assert imported("resume", ".", "--trust", "mine")


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


@pytest.mark.parametrize(
    ("verb", "link"),
    [
        *(("resume", f".{name}.partial") for name in ("last.pt", "metrics.csv", "results.json", "prior_means.png")),
        *(("resume", name) for name in ("prior_means.png", "metrics.csv", "previous.pt", ".lock")),
        *(("eval", name) for name in ("eval.json", ".eval.json.partial", ".eval.lock")),
        *(("sample", name) for name in ("samples", "samples/prior_mean.png", "samples/.prior_mean.png.partial")),
        *(("report", name) for name in ("report", "report/figures", "report/report.html", "report/.runs.csv.partial")),
    ],
)
def test_nothing_is_written_through_a_link(verb, link, run, tmp_path):
    """A tar of links would else be a hand on every file of the user's."""
    folder = shutil.copytree(run, tmp_path / "sweep" / "run")
    if verb == "resume":
        (folder / "results.json").unlink()
    mine = tmp_path / "mine"
    mine.mkdir()
    place = (tmp_path / "sweep" if verb == "report" else folder) / link
    place.parent.mkdir(exist_ok=True)
    is_folder = not place.suffix and not place.name.startswith(".")
    if not is_folder:
        (mine / "diary").write_text("step,split\n")
    place.unlink(missing_ok=True)
    place.symlink_to(mine if is_folder else mine / "diary")
    more = {"eval": ["eval.k=1"], "sample": ["sample.count=1"], "report": ["report.pictures=0"]}.get(verb, [])
    answer = vaekl(tmp_path, verb, "sweep" if verb == "report" else "sweep/run", *more)
    assert answer.code == 0 or refused(answer, link.split("/")[0])
    assert contents(mine) == ({} if is_folder else {"diary": b"step,split\n"})
