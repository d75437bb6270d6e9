"""A run that begins with the weights of another one: what it takes, what it says, and that it goes on without it."""

import contextlib
import json
import shutil

import pytest
import torch
from cli_helpers import contents, refused, results, same_weights, trained, vaekl, weights

from vaekl.config.job import single
from vaekl.run import start
from vaekl.store import checkpoint
from vaekl.training.trainer import Trainer

MODEL = ("model.hidden=[16]", "model.latents=4")
NEW = ("train", "hydra.run.dir=new", *MODEL, "trainer.steps=4", "trainer.log_every=2", "trainer.valid_every=2")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a run, `old`, whose tested weights are best.pt's, and are averages."""
    folder = tmp_path_factory.mktemp("old")
    trained(folder, "trainer.patience=5", "trainer.ema=0.5", "trainer.steps=6").rename(folder / "old")
    assert results(folder / "old")["weights"] == "best.pt"
    return folder


@pytest.fixture
def folder(home, tmp_path):
    shutil.copytree(home / "old", tmp_path / "old")
    return tmp_path


def judged(run):
    """The weights of the networks that a run tested."""
    average = torch.load(run / "best.pt", weights_only=True)["state"]["average"]
    names = (f"module.{part}." for part in ("encoder", "decoder"))
    return {
        name.removeprefix("module."): value
        for start in names
        for name, value in average.items()
        if name.startswith(start)
    }


def networks(state):
    return {name: value for name, value in state.items() if name.startswith(("encoder.", "decoder."))}


def test_the_first_step_is_taken_from_the_tested_weights_and_phi_begins_anew(folder, monkeypatch):
    first = {}
    fit = Trainer.fit

    def watched(trainer):
        first.update({name: value.clone() for name, value in trainer.model.state_dict().items()})
        fit(trainer)

    monkeypatch.setattr(Trainer, "fit", watched)
    words = ("likelihood=gaussian", "weighting=learned_precision")
    plain = vaekl(folder, *NEW, *words, "hydra.run.dir=plain")
    assert plain.code == 0 and "init" not in plain.out
    own = dict(first)
    answer = vaekl(folder, *NEW, *words, "init=old")
    assert answer.code == 0, answer.err
    assert same_weights(networks(first), judged(folder / "old"))
    assert not same_weights(networks(first), networks(own))
    anew = {name: value for name, value in first.items() if name not in networks(first)}
    assert anew and same_weights(anew, {name: own[name] for name in anew})
    assert f"begin with the weights of {folder / 'old'}, best.pt at step 6" in answer.out
    facts = json.loads((folder / "new" / "facts.json").read_text())
    assert facts["init"] == {"run": str(folder / "old"), "weights": "best.pt", "step": 6}
    assert json.loads((folder / "plain" / "facts.json").read_text())["init"] is None


def test_killed_before_its_first_checkpoint_it_goes_on_without_the_other_run(folder, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(start, "_complete", stop)
        assert vaekl(folder, *NEW, "init=old").code == 130
    assert not (folder / "new" / "last.pt").exists()
    shutil.copytree(folder / "new", folder / "lost")
    assert vaekl(folder, *NEW, "init=old", "hydra.run.dir=whole").code == 0
    shutil.rmtree(folder / "old")
    answer = vaekl(folder, "resume", "new")
    assert answer.code == 0 and "best.pt at step 6" in answer.out
    assert same_weights(weights(folder / "new"), weights(folder / "whole"))
    assert results(folder / "new") == results(folder / "whole")
    (folder / "lost" / "init.pt").unlink()
    refused(vaekl(folder, "resume", "lost"), "no checkpoint at lost/init.pt")
    assert not (folder / "lost" / "last.pt").exists()
    # with a checkpoint of its own it needs neither
    (folder / "new" / "init.pt").unlink()
    assert vaekl(folder, "resume", "new", "trainer.steps=6").code == 0


def test_the_other_run_is_part_of_the_run(folder):
    all_words = ((), ("init=null",), ("init=old",), ("init=./old/",), ("init=./elsewhere",))
    with contextlib.chdir(folder):
        fresh, null, old, absolute, elsewhere = (single([*MODEL, *words]) for words in all_words)
    assert fresh.path == null.path and old.path == absolute.path
    assert len({fresh.path, old.path, elsewhere.path}) == 3
    assert "init" not in fresh.content and old.content["init"] == str(folder / "old")


#: by what is wrong: the words and parts of the sentence
BAD = {
    "wider": (("init=old", "model.hidden=[32]"), ("init=", "encoder.1.weight", "16×64", "32×64")),
    "deeper": (("init=old", "model.hidden=[16,16]"), ("init=", "encoder.3.weight")),
    "another likelihood": (("init=old", "likelihood=beta"), ("init=", "decoder", "64", "128")),
    "more latents": (("init=old", "model.latents=5"), ("init=", "encoder")),
    "nowhere": (("init=nowhere",), ("nowhere", "holds no run")),
    "a number": (("init=7",), ("init", "7")),
    "empty": (("init=",), ("init",)),
    "several": (("init=old,nowhere",), ("init=old,nowhere", "several values")),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_and_nothing_is_written(home, case):
    words, parts = BAD[case]
    before = contents(home)
    refused(vaekl(home, *NEW, *words), *parts)
    assert contents(home) == before and not (home / "new").exists()


def test_a_stranger_s_checkpoint_is_refused(folder):
    state = torch.load(folder / "old" / "best.pt", weights_only=True)["state"]
    name = "module.encoder.1.bias"
    for wrong in (state["average"][name][:1].expand(16), state["average"][name].double(), torch.full((16,), torch.nan)):
        average = state["average"] | {name: wrong}
        checkpoint.save(folder / "old" / "best.pt", state | {"average": average})
        refused(vaekl(folder, *NEW, "init=old"), "init=", f"average.{name}")
    (folder / "old" / "best.pt").write_bytes(b"x" * 1000)
    refused(vaekl(folder, *NEW, "init=old"), "best.pt", "checksum")
    assert not (folder / "new").exists()


def test_a_stranger_s_config_is_refused(folder):
    file = folder / "old" / "config.yaml"
    file.write_text(file.read_text().replace("vaekl.mlp", "os.system"))
    refused(vaekl(folder, *NEW, "init=old"), "os.system")
    assert not (folder / "new").exists()
