"""What a run leaves in its folder, and what it never leaves there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cli_helpers import SMALL, contents, refused, results, rows, trained, vaekl, weights
from helpers import data_of, model_of, seeded
from msgspec.structs import fields

from vaekl.measures.elbo import evaluate
from vaekl.store.metrics import FIELDS
from vaekl.store.schema import Figures
from vaekl.training.judging import JUDGED

ROOT = Path(__file__).parents[2]
FIGURES = {
    "energy_nats", "energy", "log_norm_const_nats", "kl_nats", "elbo_nats", "elbo_standard_error_nats", "loss",
    "bits_per_dim", "dispersion", "implied_sigma", "rmse", "beta_kl", "effective_beta_kl", "information_weight",
    "active_units",
}  # fmt: skip
LISTS = {"kl_per_latent_nats", "dispersions", "dispersion_by_channel", "learned_options"}
#: a learning rate at which the validation ELBO first rises and then falls
TOO_FAST = ("optim.lr=0.1", "trainer.steps=400", "trainer.valid_every=10", "trainer.patience=3")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, which no test changes."""
    return trained(tmp_path_factory.mktemp("run"), "likelihood=gaussian")


def test_results_hold_every_figure_of_validation_and_test(run):
    record = results(run)
    assert record["step"] == 4 and record["seed"] == 0
    assert record["weights"] == "last.pt"
    assert record["weighting"] == "learned_precision"
    assert record["images"] == {"train": 1294, "valid": 143, "test": 360}
    assert record["choices"]["likelihood"] == "gaussian"
    assert "dequantized" in record["protocol"]["data"]
    for split in ("valid", "test"):
        assert set(record[split]) == FIGURES | LISTS
        assert len(record[split]["kl_per_latent_nats"]) == 4
        assert sum(record[split]["kl_per_latent_nats"]) == pytest.approx(record[split]["kl_nats"])


@pytest.mark.parametrize(
    "words",
    [
        ("likelihood=cb",),
        ("likelihood=cb", "weighting=fixed_beta", "weighting.beta=4"),
        ("likelihood=gaussian", "weighting=fixed_beta", "weighting.beta=0.1"),
        ("likelihood=laplace", "weighting=optimal_precision"),
        ("likelihood=gaussian", "weighting=learned_precision", "weighting.per=pixel"),
        ("likelihood=beta", "weighting=fixed_dispersion", "weighting.dispersion=2"),
        ("likelihood=categorical",),
        ("likelihood=gaussian", "schedule=linear"),
    ],
    ids=" ".join,
)
def test_the_elbo_is_the_sum_of_its_parts_in_every_row(words, tmp_path):
    lines = rows(trained(tmp_path, *words))
    assert [(row["step"], row["split"]) for row in lines] == [
        ("2", "train"), ("2", "valid"), ("4", "train"), ("4", "valid"), ("4", "test"),
    ]  # fmt: skip
    for row in lines:
        elbo, energy, constant, kl = (
            float(row[name]) for name in ("elbo_nats", "energy_nats", "log_norm_const_nats", "kl_nats")
        )
        assert elbo == pytest.approx(-energy + constant - kl, abs=2e-4)


def test_metrics_and_results_agree(run):
    for split in ("valid", "test"):
        last = rows(run, split)[-1]
        assert {name: float(last[name]) for name in FIGURES} == {name: results(run)[split][name] for name in FIGURES}
    assert tuple(rows(run)[0]) == FIELDS
    train = rows(run, "train")[-1]
    # only evaluations have it; nothing diverged; no KL is held
    absent = {"elbo_standard_error_nats", "restores", "target_kl_nats"}
    assert {name for name in FIELDS if not train[name]} == absent


def test_a_row_of_validation_has_the_schedule_of_its_step(tmp_path):
    lines = rows(trained(tmp_path, "schedule=linear", "schedule.steps=3"))
    train, valid = (
        {row["step"]: row["schedule"] for row in lines if row["split"] == one} for one in ("train", "valid")
    )
    assert valid == train and float(valid["2"]) < 1 == float(valid["4"])


def test_without_validation_images_there_is_no_validation(tmp_path):
    run = trained(tmp_path, "valid=0")
    assert rows(run, "valid") == []
    assert results(run)["valid"] is None
    assert results(run)["images"] == {"train": 1437, "valid": 0, "test": 360}
    assert (run / "last.pt").exists()


def test_early_stopping_brings_the_best_weights_back(tmp_path):
    run = trained(tmp_path, *TOO_FAST)
    validations = {int(row["step"]): float(row["elbo_nats"]) for row in rows(run, "valid")}
    best = max(validations, key=validations.__getitem__)
    assert best < max(validations) == best + 30 < 400
    assert results(run)["step"] == best == int(rows(run, "test")[0]["step"])
    assert results(run)["valid"]["elbo_nats"] == validations[best]
    assert results(run)["weights"] == "best.pt"
    kept = torch.load(run / "best.pt", weights_only=True)["state"]
    assert kept["step"] == best
    assert any(not torch.equal(kept["model"][name], value) for name, value in weights(run).items())


def test_best_weights_are_kept_for_early_stopping_alone(run):
    assert not (run / "best.pt").exists()


def test_the_moving_average_is_what_is_judged(run, tmp_path):
    average = trained(tmp_path, "likelihood=gaussian", "trainer.ema=0.9")
    assert all(torch.equal(value, weights(average)[name]) for name, value in weights(run).items())
    assert results(run)["test"]["elbo_nats"] != results(average)["test"]["elbo_nats"]


def test_no_folder_is_left_behind_by_a_refused_config(tmp_path):
    words = ["likelihood=gaussian", "weighting=cb_normalizer"]
    refused(vaekl(tmp_path, "train", "hydra.run.dir=run", *words), "cb_normalizer", "likelihood=cb")
    refused(vaekl(tmp_path, "train", *words), "cb_normalizer")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_not_taken_away(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    refused(vaekl(tmp_path, "train", "hydra.run.dir=run", "likelihood=gaussian", "weighting=cb_normalizer"))
    assert contents(tmp_path / "run") == {"notes.txt": b"mine"}


def test_a_folder_that_holds_a_run_is_refused_and_untouched(run, tmp_path):
    run = shutil.copytree(run, tmp_path / "run")
    before = contents(run)
    refused(
        vaekl(tmp_path, "train", "hydra.run.dir=run", *SMALL, "seed=1"), "holds a run already", f"vaekl resume {run}"
    )
    assert contents(run) == before


def test_versions_say_what_the_figures_depend_on(run):
    record = json.loads((run / "facts.json").read_text())
    assert record["command"].startswith("vaekl train 'model.hidden=[16]'")
    assert "likelihood=gaussian" in record["command"]
    assert record["python"] == sys.version.split()[0]
    packages = record["packages"]
    assert packages["torch"] == torch.__version__.split("+")[0]
    for package in ("vaekl", "torchvision", "hydra-core", "omegaconf", "tensorboard", "scikit-learn", "numpy"):
        assert packages[package]
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    if head.returncode == 0:
        assert record["git_revision"].rstrip("+") == head.stdout.strip()


def test_the_config_in_the_folder_is_resolved(run):
    text = (run / "config.yaml").read_text()
    assert "${" not in text and "???" not in text
    assert "choices:" in text


def test_the_pictures_are_there_at_the_end(run):
    names = {path.stem for path in run.glob("*.png")}
    assert names == {"inputs_above_reconstructions", "prior_means", "prior_samples", "latent_traversal"}


def test_a_figure_has_its_name_in_every_place():
    """Where one is added, this says which place was forgotten."""
    data = data_of()
    measured = set(evaluate(model_of(data.spec), data.test, seeded()).figures())
    assert measured == FIGURES - {"bits_per_dim"}, "images without levels have no bits/dim; name a new figure here too"
    assert measured <= set(FIELDS), "a figure of an evaluation has no column in vaekl/store/metrics.py"
    assert measured <= {field.name for field in fields(Figures)}, "... and no key in vaekl/store/schema.py"
    assert set(JUDGED) <= measured, "a figure of a training batch is none of an evaluation"
