"""Weights that are read back to be judged are those of the run's model, whatever a stranger has made of them."""

import shutil
from collections import OrderedDict

import numpy as np
import pytest
import torch
from cli_helpers import contents, refused, trained, vaekl

from vaekl.store import checkpoint
from vaekl.store.checkpoint import FORMAT

VERBS = {"eval": ("eval.k=1",), "sample": ("sample.count=2",), "report": ("report.pictures=1",)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with an average of its weights, which no test changes."""
    return trained(tmp_path_factory.mktemp("load"), "trainer.ema=0.9", "likelihood=gaussian", "weighting=fixed_beta")


def expanded(state, part, name):
    state[part][name] = state[part][name].flatten()[:1].expand(state[part][name].numel()).view_as(state[part][name])


def halved(state, part, name):
    state[part][name] = state[part][name].half()


def shorter(state, part, name):
    state[part][name] = state[part][name][:-1].clone()


def not_finite(state, part, name):
    state[part][name].view(-1)[0] = float("nan")


def sparse(state, part, name):
    state[part][name] = state[part][name].to_sparse()


def on_no_device(state, part, name):
    state[part][name] = state[part][name].to("meta")


def missing(state, part, name):
    del state[part][name]


def unknown(state, part, name):
    state[part]["\x1b[2J"] = torch.zeros(3)


CHANGES = [expanded, halved, shorter, not_finite, sparse, on_no_device, missing, unknown]
VALUES = [("step", "4"), ("step", 10**400), ("step", True), ("average", None), ("average", []), ("model", 3)]


def changed(run, folder, change):
    """The run with another checkpoint, sealed as a stranger can."""
    run = shutil.copytree(run, folder / "sweep" / "run")
    state = checkpoint.load(run / "last.pt")
    change(state)
    torch.save({"format": FORMAT, "state": state}, run / "last.pt")
    raw = (run / "last.pt").read_bytes()
    (run / "last.pt").write_bytes(raw + checkpoint._seal(raw))
    return run


def typed(verb, run):
    return vaekl(run.parents[1], verb, str(run.parent if verb == "report" else run), *VERBS[verb])


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("place", [("model", "encoder.1.weight"), ("average", "module.encoder.1.weight")], ids=str)
def test_weights_of_another_form_are_not_judged(change, place, finished, tmp_path):
    run = changed(finished, tmp_path, lambda state: change(state, *place))
    before = contents(run)
    sentence = refused(typed("eval", run), "last.pt", "does not fit the model", place[0])
    assert sentence.isprintable() and contents(run).items() <= (before | {".eval.lock": b""}).items()


@pytest.mark.parametrize(("key", "value"), VALUES)
def test_neither_are_other_values(key, value, finished, tmp_path):
    run = changed(finished, tmp_path, lambda state: state.update({key: value}))
    refused(typed("eval", run), "last.pt", "does not fit the model", f"its {key} is")


@pytest.mark.parametrize("change", [expanded, not_finite])
def test_every_verb_says_so(change, finished, tmp_path):
    run = changed(finished, tmp_path, lambda state: change(state, "average", "module.encoder.1.weight"))
    refused(typed("sample", run), "last.pt", "does not fit the model")
    assert not (run / "samples").exists()
    answer = typed("report", run)
    assert "Traceback" not in answer.err and "does not fit the model" in answer.out + answer.err, answer


def test_what_is_the_same_in_effect_is_judged(finished, tmp_path):
    """Its parts in another order, and an optimiser that nothing is loaded into."""

    def change(state):
        state["model"] = OrderedDict(reversed(state["model"].items()))
        state["optimizer"] = "none"

    run = changed(finished, tmp_path, change)
    assert typed("eval", run).code == typed("sample", run).code == 0


def test_a_constant_that_is_not_finite_is_not_measured(finished, tmp_path):
    """The dispersion of this weighting is no parameter."""
    run = changed(finished, tmp_path, lambda state: not_finite(state, "average", "module.weighting.phi"))
    refused(typed("eval", run), "not finite")
    assert not (run / "eval.json").exists()


def test_columns_of_a_table_are_those_of_the_run_by_name_and_order(tmp_path):
    """By their places alone, b would be measured as a."""
    table = "\n".join(f"{i % 7},{i % 5 + 0.5}" for i in range(60))
    for name, head in (("mine", "a,b"), ("same", "a,b"), ("other", "b,a")):
        (tmp_path / f"{name}.csv").write_text(f"{head}\n{table}\n")
    trained(tmp_path, "dataset=table", "dataset.path=mine.csv", "likelihood=gaussian")
    eval_of = ("eval", "run", "eval.k=1", "dataset=table")
    assert vaekl(tmp_path, *eval_of, "dataset.path=same.csv").code == 0
    refused(vaekl(tmp_path, *eval_of, "dataset.path=other.csv"), "the columns are not those", "b, a")


def test_values_of_another_kind_than_the_run_s_are_named_with_a_cure_that_works(tmp_path):
    """Floats in [0, 1] are shades by themselves, but to a run on real numbers they are real numbers."""
    draw = np.random.default_rng(0)
    np.savez(tmp_path / "real.npz", x_train=draw.normal(5, 3, (60, 4, 4)))
    np.savez(tmp_path / "shades.npz", x_train=draw.uniform(0, 1, (60, 4, 4)), x_test=draw.uniform(0, 1, (9, 4, 4)))
    trained(tmp_path, "dataset=npz", "dataset.path=real.npz", "likelihood=gaussian")
    words = ("eval", "run", "eval.k=1", "dataset=npz")
    refused(vaekl(tmp_path, *words, "dataset.path=shades.npz"), "trained on real numbers", "add dataset.kind=real")
    assert vaekl(tmp_path, *words, "dataset.path=shades.npz", "dataset.kind=real").code == 0
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "shades.npz", tmp_path / "other")
    trained(tmp_path / "other", "dataset=npz", "dataset.path=shades.npz", "likelihood=gaussian")
    words = ("eval", "other/run", "eval.k=1", "dataset=npz", "dataset.path=real.npz")
    refused(vaekl(tmp_path, *words), "values with two ends", "give values of its kind")


def test_a_loss_that_is_refused_today_is_to_be_trained_again(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    text = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(text.replace("scale: shared", "scale: decoder"), encoding="utf-8")
    for verb in ("eval", "sample"):
        answer = vaekl(tmp_path, verb, "run")
        refused(answer, "the loss of run is one that is refused today", "so train it again: weighting=fixed_beta drops")
        assert "control.weight=1" in answer.err
