"""The card of a run folder: φ, σ and what is dropped, from what the run itself wrote."""

import math
import re

import numpy as np
import pytest
from cli_helpers import results, trained, vaekl

from vaekl.system.errors import VaeklError
from vaekl.verbs import audit
from vaekl.verbs.audit.runs import read_run


def card(capsys, run):
    assert audit.main([str(run)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            "likelihood=gaussian weighting=fixed_beta weighting.beta=0.04",
            [
                "½(x − μ)² + 0.04 · KL", "the variance φ = 0.04   (weighting.beta)", "0.2 = 3.4 grey levels of 17",
                "normalised β_KL · Z/N = 0.0025", "does not depend on the decoder", "weighting.beta=0.04",
            ],
        ),
        ("likelihood=laplace weighting=fixed_dispersion weighting.dispersion=0.1", ["|x − μ|]/φ", "the scale φ = 0.1"]),
        ("likelihood=gaussian", ["auto → learned_precision", "learned_precision, test, step 4", "nothing; ln C"]),
        ("likelihood=gaussian weighting=optimal_precision weighting.per=pixel", ["there is one per pixel"]),
        ("likelihood=cb", ["cb_normalizer", "φ = 1", "nothing; ln C"]),
        ("likelihood=cb weighting=fixed_beta", ["depends on the decoder, so the optimum moves", "not an ELBO of any"]),
        ("likelihood=bernoulli transform=binarize", ["auto → fixed_dispersion", "φ = 1", "dropped        nothing"]),
        (
            "likelihood=bernoulli transform=binarize weighting=fixed_beta weighting.beta=4",
            ["+ 4 · KL", "φ = 1", "effective β_KL 4; normalised β_KL · Z/N = 0.25", "dropped        nothing"],
        ),
        ("likelihood=categorical transform=levels", ["categorical", "φ = 1"]),
        ("likelihood=beta", ["beta", "−ln B(α, β)"]),
    ],
)  # fmt: skip
def test_cards_of_runs(words, parts, tmp_path, capsys):
    run = trained(tmp_path, *words.split())
    capsys.readouterr()
    out = card(capsys, run)
    for part in parts:
        assert part in out, out
    test = results(run)["test"]
    assert f"{test['elbo_nats']:,.2f}".replace("-", "−") in out
    assert read_run(run).values == 64


def test_a_run_on_real_values_has_no_grey_levels(tmp_path, capsys):
    np.savez(tmp_path / "mine.npz", x_train=np.random.default_rng(0).normal(3, 2, (60, 4, 4, 1)))
    run = trained(tmp_path, "dataset=npz", f"dataset.path={tmp_path}/mine.npz", "likelihood=gaussian")
    capsys.readouterr()
    out = card(capsys, run)
    assert "grey level" not in out and "[0, 1]" not in out
    assert re.search(r"σ +[\d.]+, beside an RMSE of", out), out


def test_an_unfinished_run_says_where_its_figures_are_from(tmp_path, capsys):
    run = trained(tmp_path, "likelihood=gaussian")
    (run / "results.json").unlink()
    text = (run / "metrics.csv").read_text().splitlines()
    (run / "metrics.csv").write_text("\n".join([line for line in text if ",test," not in line]) + "\n4,tes")
    capsys.readouterr()
    out = card(capsys, run)
    assert "learned_precision, metrics.csv, last row: valid, step 4" in out
    (run / "metrics.csv").unlink()
    out = card(capsys, run)
    assert "its φ is fitted in training, and nothing measured yet" in out


def test_sigma_is_the_root_of_phi(tmp_path):
    run = read_run(trained(tmp_path, "likelihood=gaussian"))
    assert run.figures["implied_sigma"] == pytest.approx(math.sqrt(run.dispersion[0]), rel=1e-5)


def test_folders_that_are_no_runs(tmp_path):
    with pytest.raises(VaeklError, match="holds no run"):
        audit.main([str(tmp_path)])
    (tmp_path / "config.yaml").write_text("choices: {likelihood: cb}\n")
    with pytest.raises(VaeklError, match="lacks dataset"):
        audit.main([str(tmp_path)])


def test_a_family_of_the_user_s_own_is_what_the_run_made_of_it(tmp_path, capsys):
    """What `auto` took is read, not guessed from the name: here a scale is learned, finished or not."""
    (tmp_path / "wider.py").write_text(
        "from vaekl.model.likelihoods import Gaussian\n\nclass Wider(Gaussian):\n    name = 'wider'\n"
    )
    run = trained(tmp_path, "likelihood=custom", "likelihood._target_=wider.Wider")
    (run / "results.json").unlink()
    capsys.readouterr()
    out = card(capsys, run)
    assert "auto → learned_precision" in out and "wider" in out and "nothing; ln C" in out
    assert read_run(run).dispersion[0] != 1 and "φ = 1 " not in out


def test_a_folder_of_another_program(tmp_path):
    run = trained(tmp_path)
    (run / "facts.json").write_text("{}")
    with pytest.raises(VaeklError, match=r"facts\.json has no schema number, so an earlier vaekl wrote it"):
        audit.main([str(run)])
    (run / "facts.json").unlink()
    with pytest.raises(VaeklError, match=r"has no facts\.json, so an earlier vaekl trained it"):
        audit.main([str(run)])


def test_the_phi_that_would_be_calibrated_is_in_the_unit_of_phi(tmp_path):
    """Of standardized data too, as `vaekl eval` says it: φ · (RMSE/σ)² of a Gaussian."""
    x = np.random.default_rng(0).normal(1000, 300, (90, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x_train=x[:80], x_test=x[80:])
    words = (
        "dataset=npz",
        f"dataset.path={tmp_path / 'mine.npz'}",
        "likelihood=gaussian",
        "weighting=fixed_dispersion",
    )
    run = trained(tmp_path, *words, "weighting.dispersion=0.04")
    test = results(run)["test"]
    phi = 0.04 * (test["rmse"] / test["implied_sigma"]) ** 2
    assert f"φ = {phi:.5g} would give σ = RMSE" in vaekl(tmp_path, "audit", str(run)).out
