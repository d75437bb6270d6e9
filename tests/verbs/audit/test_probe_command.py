"""`vaekl audit FILE.py:LOSS` as it is typed: one sentence for whatever the file does, and JSON."""

import json
import sys
import time
from pathlib import Path

import pytest
from cli_helpers import vaekl

from vaekl.system.errors import VaeklError
from vaekl.verbs import audit
from vaekl.verbs.audit.probe import pasted
from vaekl.verbs.audit.probe.process import answer
from vaekl.verbs.audit.probe.words import Words

LOSS = """
import neighbour
print("something of its own")

def loss_function(recons, input, mu, log_var, kld_weight=0.00025):
    recons_loss = neighbour.F.mse_loss(recons, input)
    kld = (-0.5 * (1 + log_var - mu**2 - log_var.exp()).sum(dim=1)).mean(dim=0)
    return {"loss": recons_loss + kld_weight * kld, "KLD": kld}
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "mine.py").write_text(LOSS, encoding="utf-8")
    (tmp_path / "neighbour.py").write_text("import torch.nn.functional as F", encoding="utf-8")
    return tmp_path


def test_the_answer_of_the_process(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", list(sys.path))
    words = Words.typed({"shape": "[3,8,8]", "latents": "4", "kld_weight": "0.5"})
    content = answer("mine.py", "loss_function", words)
    assert content["title"] == "mine.py:loss_function" and "(x − x̂)², averaged" in content["text"]
    assert json.loads(json.dumps(content["json"]))["phi"] == pytest.approx(0.5 * 192 / 2)
    with pytest.raises(VaeklError, match=r"^mine.py:loss_function: no .* called kdl_weight .did you mean kld_"):
        answer("mine.py", "loss_function", Words.typed({"kdl_weight": "1"}))


@pytest.mark.nightly
def test_a_loss_in_a_file_as_json(place):
    tmp_path = place
    words = ["mine.py:loss_function", "kld_weight=0.0005", "shape=[3,64,64]", "latents=128", "--json"]
    done = vaekl(tmp_path, "audit", *words)
    assert (done.code, done.err) == (0, "")
    content = json.loads(done.out)
    assert content["phi"] == pytest.approx(0.0005 * 12288 / 2) and content["is_negative_elbo"]
    assert content["audited"] == "mine.py:loss_function" and "likelihood=gaussian" in content["train"]
    assert {each["topic"] for each in content["statements"]} >= {"reconstruction", "KL"}
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["mine.py", "neighbour.py"]


@pytest.mark.parametrize(
    ("source", "words", "says"),
    [
        ("import time; time.sleep(60)", ["seconds=0.5"], ["not read within 0.5 seconds", "seconds=300"]),
        ("import os; os._exit(3)", [], ["ended its process with code 3"]),
        ("import sys; print('last words', file=sys.stderr); sys.exit()", [], ["ended its process", "last words"]),
        ("1/0", [], ["cannot be imported", "ZeroDivisionError"]),
        ("los = 3", [], ["has no loss", "did you mean los?"]),
        ("loss = 3", [], ["is a int", "name a loss"]),
        ("class loss:\n    def __init__(self, size): ...", [], ["cannot be made without arguments", "size"]),
        ("", ["shape=[0]"], ["shape"]),
        ("", ["beta=much"], ["beta=much is no number"]),
        ("", ["latents"], ["cannot read 'latents'"]),
    ],
)
def test_whatever_the_file_does_is_one_sentence(source, words, says, tmp_path):
    (tmp_path / "mine.py").write_text(source, encoding="utf-8")
    begin = time.monotonic()
    done = vaekl(tmp_path, "audit", "mine.py:loss", *words)
    assert done.code == 1 and done.out == "" and done.err.count("\n") == 1, done
    for part in says:
        assert part in done.err, done.err
    assert time.monotonic() - begin < 30


def test_a_file_alone_is_answered_with_the_names_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("losses.py").write_text("1 / 0\ndef beta_vae(): ...\nclass VAE: ...\n", encoding="utf-8")
    with pytest.raises(VaeklError, match=r"as losses.py:beta_vae; it has beta_vae, VAE\.$"):
        audit.main(["losses.py"])


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("F.mse_loss(recon, x, reduction='sum') + beta * KLD", ["recon", "x", "beta", "KLD"]),
        ("loss = torch.sum((y - x)**2) - 0.5*(1 + lv - mu.pow(2) - lv.exp()).sum()", ["y", "x", "lv", "mu"]),
    ],
)
def test_pasted_python_becomes_a_function_of_its_free_names(text, arguments, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        pasted, "audit_file", lambda file, name, words, title: seen.update(source=Path(file).read_text(), words=words)
    )
    assert audit.main([text, "latents=3"]) == 0
    assert f"def pasted({', '.join(arguments)}):" in seen["source"] and seen["words"] == ["latents=3"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("reconstruction=huber", "nearest is likelihood=logistic"),
        ("reconstruction=learned_sigma", "weighting=learned_precision"),
        ("reconstruction=lpips", "no function of single values"),
        ("reconstruction=mse capacity=25", "control=capacity control.target=25"),
        ("reconstruction=mse free_bits=0.5", "control=free_bits control.floor=0.5"),
        ("F.mse_loss(recon", "is no Python"),
    ],
)
def test_words_of_other_programs_are_answered(words, says):
    with pytest.raises(VaeklError, match=says):
        audit.main([words] if "(" in words else words.split())


def test_a_sum_that_may_be_pytorch_s_is_asked_about(capsys):
    audit.main(["reconstruction=mse", "reduction=sum", "batch_size=50"])
    card = " ".join(capsys.readouterr().out.split())
    assert "sums over the batch too" in card and "φ is 0.01 beside a KL that is averaged over 50 images" in card
    audit.main(["reconstruction=mse", "reduction=sum", "batch_reduction=mean"])
    assert "sums over the batch too" not in capsys.readouterr().out
