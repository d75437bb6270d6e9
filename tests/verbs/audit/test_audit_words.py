"""`vaekl audit` as it is typed: the card, the equivalent run, and one sentence for every mistake."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from cli_helpers import built

from vaekl.system.errors import VaeklError
from vaekl.verbs import audit


def printed(capsys, words):
    assert audit.main(words.split()) == 0
    return capsys.readouterr().out


def test_the_issue_s_own_command(capsys):
    card = printed(
        capsys, "reconstruction=mse reduction=mean kl_reduction=sum kl_weight=0.00025 shape=[3,64,64] latents=128"
    )
    for part in (
        "mean_batch mean_pixels (x − x̂)² + 0.00025 · mean_batch sum_latents KL",
        "E + 1.536 · KL",
        "Gaussian",
        "√φ = 1.239 = 316 grey levels of 255",
        "normalised β_KL · Z/N = 0.016",
        "−13,929 nats per image",
        "negative ELBO = loss / 0.00025 + 13,929",
        "does not depend on the decoder",
        "more than any data in [0, 1] can scatter",
        "vaekl train likelihood=gaussian weighting=fixed_beta weighting.beta=1.536 model.latents=128",
    ):
        assert part in card, card
    assert max(map(len, card.splitlines())) <= 160


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("reconstruction=bce data=binary", ["exact", "nothing: the negative ELBO is loss", "likelihood=bernoulli"]),
        ("reconstruction=bce data=binary beta=4", ["λ = 4", "sum to 1 as they are", "a β-VAE", "weighting.beta=4"]),
        (
            "reconstruction=bce shape=[1,28,28]",
            ["continuous Bernoulli", "N ln 2 = 543.43", "optimum moves", "keep the"],
        ),
        (
            "reconstruction=l1 kl_weight=0.05 range=[-1,1]",
            ["Laplace", "0.025 for data scaled to [0, 1] (0.05 on yours)"],
        ),
        (
            "reconstruction=mse batch_reduction=sum kl_batch_reduction=sum shape=[1,8,8]",
            ["sum_batch sum_pixels", "loss / images", "the batch size multiplies both terms"],
        ),
        ("reconstruction=mse kl_weight=M_N batch_size=144 train_images=162770", ["144/162,770", "it is a β"]),
        ("reconstruction=mse kl_weight=1e-6", ["less than a single grey level"]),
        ("reconstruction=mse range=[0,255] kl_weight=1250", ["√φ = 25 = 25 grey levels of 255 on data in [0, 255]"]),
        ("reconstruction=mse range=[-1,1] kl_weight=2", ["σ = 1 = 128 grey levels of 255: coarse"]),
        (
            "reconstruction=gaussian_nll shape=[1,28,28]",
            ["no decoder changes", "loss + 720.45 nats", "the floor of v", "likelihood.scale=decoder weighting=auto "],
        ),
        ("reconstruction=poisson", ["(eᵃ − x a)", "Σ ln x!", "no probability", "up to what is dropped", "σ  "]),
        ("reconstruction=poisson full=true", ["+ ln x!", "0.041 nats too small", "exact: "]),
        ("reconstruction=nb", ["μ + μ²/θ", "dispersion=gene", "exact: ", "likelihood=zinb"]),
        ("reconstruction=gaussian_nll full=true kl_weight=4", ["ln(2πv)", "λ = 4", "control.weight=4"]),
        ("reconstruction=mse range=[-1,1] kl_weight=3", ["more than any data in [-1, 1] can scatter (1 at most)"]),
    ],
)
def test_cards(words, parts, capsys):
    card = printed(capsys, words)
    for part in parts:
        assert part in card, card


@pytest.mark.parametrize(
    "words",
    ["reconstruction=bce data=binary", "reconstruction=mse range=[-3,3]", "reconstruction=l1 range=[0,1000]"],
)
def test_data_without_grey_levels_get_none(words, capsys):
    assert "grey level" not in printed(capsys, words)


@pytest.mark.parametrize(
    "words",
    [
        "reconstruction=mse reduction=mean kl_weight=0.002 shape=[1,8,8] latents=3",
        "reconstruction=l1 kl_weight=0.1 range=[-1,1] shape=[1,8,8] latents=3",
        "reconstruction=bce beta=2 shape=[1,8,8] latents=3",
        "reconstruction=bce beta=2 data=binary shape=[1,8,8] latents=3",
    ],
)
def test_the_train_line_builds_a_run_with_that_beta(words, capsys, tmp_path):
    from vaekl.verbs.audit.parse import read_loss

    loss = read_loss(words.split())
    line = re.search(r"vaekl train (.*)", printed(capsys, words))
    run = built(tmp_path, *line[1].split())
    assert run.trainer.model.likelihood.name == loss.density.likelihood
    assert run.trainer.model.weighting.beta_kl == pytest.approx(loss.beta_kl, rel=1e-7)
    assert run.trainer.model.latents == 3


@pytest.mark.parametrize("weight", [1, 3])
def test_the_train_line_of_a_predicted_variance_keeps_its_constant(weight, capsys, tmp_path):
    line = re.search(
        r"vaekl train (.*)", printed(capsys, f"reconstruction=gaussian_nll kl_weight={weight} shape=[1,8,8] latents=3")
    )
    model = built(tmp_path, *line[1].split()).trainer.model
    assert model.likelihood.by_decoder and model.weighting.name == "fixed_dispersion"
    assert model.control.weight == weight


@pytest.mark.parametrize("name", ["poisson", "nb"])
def test_the_train_line_of_counts_builds_that_run(name, capsys, tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=np.random.default_rng(0).poisson(3, (60, 7)))
    card = printed(capsys, f"reconstruction={name} shape=[7] latents=3 kl_weight=2")
    words = re.search(r"vaekl train (.*)", card)[1].replace("FILE.npz", str(tmp_path / "mine.npz")).split()
    model = built(tmp_path, *words).trainer.model
    learns = model.weighting.name == "learned_precision" and model.weighting.dispersion.shape == (7,)
    assert learns == (name == "nb") and model.spec.support == "counts"
    assert model.effective_beta_kl(torch.ones(1), 1.0).item() == 2


def test_the_train_line_of_numbers_leaves_them_as_they_are(capsys, tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=np.random.default_rng(0).uniform(0, 3000, (60, 7)))
    card = printed(capsys, "reconstruction=mse shape=[7] latents=3 range=[0,3000]")
    line = re.search(r"vaekl train (.*)", card)[1].replace("FILE.npz", str(tmp_path / "mine.npz"))
    run = built(tmp_path, *line.split())
    assert run.trainer.model.weighting.beta_kl == 0.5 and run.trainer.data.train.batch(slice(None)).max() > 2000


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", ["audit needs", "dataset=digits"]),
        ("--shape", ["unknown option --shape", "--help"]),
        ("reduction=mean", ["reconstruction is missing", "mse"]),
        ("reconstruction=mes", ["reconstruction", "mes", "did you mean mse?"]),
        ("reconstruction=mse full=true", ["full=true", "gaussian_nll"]),
        ("reconstruction=mse reconstuction=l1", ["reconstuction", "did you mean reconstruction?"]),
        ("reconstruction=mse kl_wieght=2", ["kl_wieght", "did you mean kl_weight?"]),
        ("reconstruction=mse 0.5", ["cannot read '0.5'", "key=value"]),
        ("reconstruction=mse reduction=mean", ["shape is missing", "reduction=mean"]),
        ("reconstruction=mse kl_reduction=mean", ["latents is missing", "kl_reduction=mean"]),
        ("reconstruction=mse batch_reduction=sum", ["batch_size is missing"]),
        ("reconstruction=mse kl_weight=M_N batch_size=9", ["train_images is missing", "M_N"]),
        ("reconstruction=mse beta_norm=1 latents=9", ["shape is missing", "beta_norm"]),
        ("reconstruction=mse beta_norm=1 beta=2", ["beta and beta_norm", "leave one"]),
        ("reconstruction=mse kl_weight=1 M_N=2", ["kl_weight and M_N", "leave the others"]),
        ("reconstruction=mse kl_weight=1 kl_weight=2", ["kl_weight is given twice"]),
        ("reconstruction=mse kl_weight=0", ["kl_weight", "positive", "autoencoder"]),
        ("reconstruction=mse kl_weight=-1", ["kl_weight", "positive", "-1"]),
        ("reconstruction=mse kl_weight=nan", ["kl_weight", "positive", "nan"]),
        ("reconstruction=mse kl_weight=much", ["kl_weight", "positive", "much"]),
        ("reconstruction=mse kl_weight=1e-300", ["kl_weight", "float32", "1e-300"]),
        ("reconstruction=mse shape=[1,3,64,64,64]", ["shape", "shape=[3,64,64] of an image"]),
        ("reconstruction=mse shape=[3,64,0]", ["shape", "whole number"]),
        ("reconstruction=mse latents=2.5", ["latents", "whole number", "2.5"]),
        ("reconstruction=mse range=[1,0]", ["range", "[low,high]"]),
        ("reconstruction=bce range=[-1,1]", ["bce", "[0, 1]"]),
        ("reconstruction=bce half=true", ["half=true", "bce"]),
        ("reconstruction=mse half=maybe", ["half", "false or true"]),
        ("reconstruction=mse dataset=digits", ["reconstruction", "forecast"]),
        ("dataset=digits latents=0", ["latents", "whole number"]),
        ("dataset=digits latents=64", ["latents=64", "choose fewer"]),
        ("dataset=digits beta_kl=[]", ["beta_kl", "at least one"]),
        ("dataset=digits beta_kl=[0.1,none]", ["beta_kl", "positive", "none"]),
        ("dataset=digit", ["digit", "did you mean digits?"]),
        ("dataset=digits likelihood=cb", ["likelihood", "forecast"]),
        ("dataset=digits transform=levels", ["gaussian", "transform="]),
        ("dataset=digits dataset.nmae=x", ["dataset.nmae", "dataset.name"]),
        ("dataset=digits,patches", ["one data set", "digits,patches"]),
        ("dataset.name=digits", ["dataset is missing"]),
        ("dataset=npz dataset.path=nowhere.npz", ["nowhere.npz", "does not exist"]),
        ("nowhere", ["nowhere", "holds no run"]),
        ("nowhere again", ["one run folder", "again"]),
    ],
)
def test_mistakes(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VaeklError) as caught:
        audit.main(words.split())
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith((".", "?"))
    for part in says:
        assert part in sentence, sentence
    assert list(tmp_path.iterdir()) == []


def test_help_and_cards_come_without_torch():
    code = (
        "import sys; from vaekl.verbs import audit; audit.main(['--help']); audit.main(['reconstruction=mse']); "
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules and 'hydra' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "vaekl audit RUN" in done.stdout
