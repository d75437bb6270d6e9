"""Every file of conf/ composes, every experiment trains, every pair of likelihood and weighting answers."""

import json
from itertools import product

import pytest
import torch
from cli_helpers import SMALL, Answer, real_data, refused, results, rows, same_weights, trained, vaekl, weights
from omegaconf import OmegaConf
from pairs import BY_NIGHT, DATA, EVERY_DAY, LIKELIHOODS, WEIGHTINGS, fits

from vaekl.config.groups import CONF

#: a sweep is several runs, which tests/sweep composes
OPTIONS = {
    folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
    for folder in sorted(CONF.iterdir())
    if folder.is_dir() and folder.name not in ("sweep", "experiment")
}
#: the first option of every group, the second of every group, ...
CHOICES = [
    {group: names[i] for group, names in OPTIONS.items() if i < len(names)}
    for i in range(max(map(len, OPTIONS.values())))
]
#: one of each network and weighting; mnist_categorical alone, with 256 logits a pixel, takes minutes
_SHORT = ("mnist_cb", "mnist_gaussian_learned", "ppca_digits")
EXPERIMENTS = [
    name if name in _SHORT else pytest.param(name, marks=pytest.mark.nightly)
    for name in sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
]


@pytest.mark.parametrize("chosen", CHOICES, ids=lambda chosen: ",".join(chosen.values()))
def test_every_option_composes_and_resolves(chosen, tmp_path):
    words = [f"{group}={name}" for group, name in chosen.items()]
    answer = vaekl(tmp_path, "train", *words, "likelihood._target_=mine.Own", "--cfg", "job", "--resolve")
    assert answer.code == 0, answer.err
    cfg = OmegaConf.create(answer.out)
    for group, name in chosen.items():
        assert set(cfg[group]) == set(OmegaConf.load(CONF / group / f"{name}.yaml")), group
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(file.stem for file in (CONF / "experiment").glob("*.yaml")))
def test_every_experiment_composes_and_resolves(name, tmp_path):
    answer = vaekl(tmp_path, "train", f"experiment={name}", "--cfg", "job", "--resolve")
    assert answer.code == 0, answer.err
    composed, written = OmegaConf.create(answer.out), OmegaConf.load(CONF / "experiment" / f"{name}.yaml")
    assert all(composed.trainer[key] == written.trainer[key] for key in written.trainer)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """A data directory with MNIST's archives."""
    return str(real_data(tmp_path_factory.mktemp("data"), "MNIST"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_trains(name, tmp_path, request):
    run = ["hydra.run.dir=run", f"experiment={name}", "trainer.steps=2"]
    environment = {}
    if "mnist" in name:
        run.append("model.hidden=[16]")
        environment["VAEKL_DATA_DIR"] = request.getfixturevalue("mnist")
    answer = vaekl(tmp_path, "train", *run, **environment)
    assert answer.code == 0, answer.err
    figures = results(tmp_path / "run")
    assert figures["step"] == 2
    assert figures["choices"]["experiment"] == name
    assert figures["images"]["test"] == (10_000 if "mnist" in name else 360)


def test_the_data_directory_can_be_a_setting(tmp_path, mnist):
    assert results(trained(tmp_path, "dataset=mnist", f"data_dir={mnist}"))["choices"]["dataset"] == "mnist"


#: each likelihood and each weighting is in one that trains; those that are refused are all tried at night
PAIRS = list(product(LIKELIHOODS, WEIGHTINGS))
SPREAD = [pair for turn, pair in enumerate(pair for pair in PAIRS if fits(*pair)) if turn % 2 == 0]


def test_the_spread_has_every_likelihood_and_every_weighting_that_fits_one():
    fitting = [pair for pair in PAIRS if fits(*pair)]
    assert [set(names) for names in zip(*SPREAD, strict=True)] == [set(names) for names in zip(*fitting, strict=True)]


@pytest.mark.parametrize(
    ("likelihood", "weighting"),
    [
        pair
        if (not fits(*pair) and pair[0] in EVERY_DAY)
        or (pair in SPREAD and pair[0] in EVERY_DAY)
        or (pair[1] == "auto" and pair[0] not in EVERY_DAY | BY_NIGHT)
        else pytest.param(*pair, marks=pytest.mark.nightly)
        for pair in PAIRS
    ],
)
def test_every_pair_trains_or_refuses(likelihood, weighting, tmp_path):
    pair = [f"likelihood={likelihood}", f"weighting={weighting}"]
    small = ["model.hidden=[4]", "trainer.steps=1", "hydra.run.dir=run"]
    answer = vaekl(tmp_path, "train", *pair, *DATA.get(likelihood, ()), *small)
    if fits(likelihood, weighting):
        assert answer.code == 0, answer.err
        test = results(tmp_path / "run")["test"]
        assert test["elbo_nats"] == pytest.approx(
            test["log_norm_const_nats"] - test["energy_nats"] - test["kl_nats"], abs=1e-3
        )
    else:
        refused(answer, weighting, likelihood)
        assert not (tmp_path / "run").exists()


def test_a_sweep_makes_a_run_for_every_combination(tmp_path):
    words = ["likelihood=cb,gaussian", "seed=0,1", "trainer.steps=2", "model.hidden=[4]", "hydra/launcher=basic"]
    answer = vaekl(tmp_path, "train", "-m", *words)
    assert answer.code == 0, answer.err
    results_of_runs = sorted((tmp_path / "outputs").glob("sweep_likelihood-seed_*/*/results.json"))
    # what differs and only that, then what makes it this config's folder and no other's
    assert [path.parent.name.rpartition("_")[0] for path in results_of_runs] == [
        f"likelihood={likelihood},seed={seed}" for likelihood, seed in product(("cb", "gaussian"), (0, 1))
    ]
    chosen = [(results(path.parent)["choices"]["likelihood"], results(path.parent)["seed"]) for path in results_of_runs]
    assert chosen == [("cb", 0), ("cb", 1), ("gaussian", 0), ("gaussian", 1)]


def test_a_failing_run_does_not_stop_the_others_of_its_sweep(tmp_path):
    words = [
        "weighting=cb_normalizer",
        "likelihood=gaussian,cb",
        "hydra.sweep.dir=sweep",
        "hydra/launcher=basic",
        *SMALL,
    ]
    refused(vaekl(tmp_path, "train", "-m", *words), "1 of 2 runs failed", "cb_normalizer")
    assert len(list((tmp_path / "sweep").glob("*/results.json"))) == 1
    assert not [folder for folder in (tmp_path / "sweep").iterdir() if folder.is_dir() and not any(folder.iterdir())]
    states = json.loads((tmp_path / "sweep" / "manifest.json").read_text())["runs"]
    assert sorted(run["status"] for run in states.values()) == ["failed", "finished"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("dataset._target_=mine.source", "source_cb_auto_mlp"),
        ("likelihood=custom likelihood._target_=a.b.Own model._target_=mine.net", "digits_Own_auto_net"),
        ("weighting=fixed_beta weighting._target_=vaekl.FixedBeta", "digits_cb_fixed_beta_mlp"),
        ("experiment=ppca_digits", "digits_gaussian_learned_precision_linear"),
    ],
)
def test_a_run_is_named_after_what_stands_in_each_group(words, name, tmp_path):
    answer = vaekl(tmp_path, "train", *words.split(), "--cfg", "job", "--resolve", "-p", "run_name")
    assert answer == Answer(0, f"{name}\n", "")


def test_a_seed_repeats_itself_and_differs_from_another(tmp_path):
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        runs.append(trained(tmp_path / name, f"seed={seed}"))
    first, again, other = map(weights, runs)
    assert same_weights(first, again)
    assert not any(torch.equal(first[name], other[name]) for name in first if name.endswith("weight"))
    assert results(runs[0])["test"] == results(runs[1])["test"] != results(runs[2])["test"]
    speed = "images_per_second"
    assert [row | {speed: ""} for row in rows(runs[0])] == [row | {speed: ""} for row in rows(runs[1])]
