"""`vaekl export`: a folder with weights as safetensors that `vaekl.load` reads, whole or not at all."""

import errno
import json
import shutil

import numpy as np
import pytest
import torch
from cli_helpers import contents, refused, trained
from cli_helpers import vaekl as typed
from safetensors.torch import load_file
from sklearn.datasets import load_digits

import vaekl
from vaekl.store import exported

DIGITS = load_digits().images[:9].astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that keeps a moving average of its weights, and what is exported of it."""
    folder = tmp_path_factory.mktemp("export")
    trained(folder, "trainer.ema=0.9")
    answer = typed(folder, "export", "run", "--to", "safetensors", "export.out=model")
    assert answer.code == 0 and "model: last.pt at step 4 as safetensors" in answer.out, answer.err
    return folder


def test_it_is_read_as_the_run_is(folder):
    names = {"model.safetensors", "config.yaml", "facts.json", "results.json", "README.md"}
    assert set(contents(folder / "model")) == names
    run, model = vaekl.load(folder / "run"), vaekl.load(folder / "model")
    assert torch.equal(model.log_prob(DIGITS, k=3), run.log_prob(DIGITS, k=3)) and model.step == run.step
    weights = load_file(folder / "model" / "model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in run.model.state_dict().items())
    np.save(folder / "mine.npy", DIGITS)
    assert typed(folder, "score", "model", "mine.npy", "score.k=2").code == 0
    card = (folder / "model" / "README.md").read_text(encoding="utf-8")
    elbo = json.loads((folder / "run" / "results.json").read_text())["test"]["elbo_nats"]
    assert f"ELBO {elbo:,.3f} nats" in card and "`cb`" in card and "images of 1×8×8" in card


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("export.out=model",), "model is there already"),
        (("--to", "pickle"), "export.to must be safetensors, onnx or torch-export"),
        (("--to",), "--to needs a value"),
        (("dataset=digits",), "nothing of other data"),
    ],
)
def test_what_it_cannot_do(words, says, folder):
    before = contents(folder)
    refused(typed(folder, "export", "run", *words), says)
    assert contents(folder) == before


def test_a_full_disk_leaves_nothing(folder, monkeypatch):
    def half(file, *_):
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exported, "save", half)
    before = contents(folder)
    refused(typed(folder, "export", "run", "export.out=other"), "other could not be written (the disk is full)")
    assert contents(folder) == before and not (folder / ".other.partial").exists()


def test_a_stranger_s_words_are_no_markdown_of_the_card(folder, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "facts.json").read_text())
    facts["weighting"]["loss"] = "` ![](http://x)"
    (tmp_path / "run" / "facts.json").write_text(json.dumps(facts))
    assert typed(tmp_path, "export", "run").code == 0
    assert "- loss: `' ![](http://x)`, " in (tmp_path / "run" / "export" / "README.md").read_text(encoding="utf-8")


def cut(file):
    file.write_bytes(file.read_bytes()[:-4])


def of_another_shape(file):
    from safetensors.torch import save_file

    weights = load_file(file)
    weights[next(iter(weights))] = torch.zeros(2)
    save_file(weights, file, {"step": "4"})


def without_a_step(file):
    from safetensors.torch import save_file

    save_file(load_file(file), file)


def a_link(file):
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


@pytest.mark.parametrize("change", [cut, of_another_shape, without_a_step, a_link])
def test_a_stranger_s_weights_are_checked(change, folder, tmp_path):
    shutil.copytree(folder / "model", tmp_path / "model")
    change(tmp_path / "model" / "model.safetensors")
    with pytest.raises(vaekl.VaeklError, match=r"model\.safetensors") as refusal:
        vaekl.load(tmp_path / "model")
    assert "\n" not in str(refusal.value)
