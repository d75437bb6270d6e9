"""A single run is composed without a Hydra application: which words it reads, and what it leaves alone."""

import sys

import pytest
from cli_helpers import Answer, refused, vaekl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from vaekl.config.job import changed, composed, single
from vaekl.config.overrides import flag_values, for_hydra
from vaekl.system.errors import VaeklError


def test_a_job_is_composed_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = single(["seed=3", "dataset=npz", "dataset.path=my.npz", "run_name=mine"])
    assert job.content["seed"] == 3 and job.content["choices"]["dataset"] == "npz"
    assert job.content["dataset"]["path"] == str(tmp_path / "my.npz")
    assert job.path.parent == tmp_path / "outputs" and job.path.name.startswith("mine_seed3_")
    assert job.overrides == ["seed=3", "dataset=npz", "dataset.path=my.npz", "run_name=mine"]
    assert list(tmp_path.iterdir()) == []


def test_a_job_leaves_nothing_behind_in_hydra():
    arguments, config = sys.argv, HydraConfig.instance().cfg
    single(["hydra.run.dir=here/${now:%Y}"])
    assert sys.argv is arguments and HydraConfig.instance().cfg is config
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize(
    "words",
    [
        # the name of a run follows its choices, and fixed_beta reads the number of latents
        ("likelihood=gaussian", "likelihood.link=sigmoid", "weighting=fixed_beta", "weighting.beta=1e-05"),
        ("likelihood=beta", "control=information_weight", "control.weight=0.25"),
    ],
)
def test_a_config_that_is_changed_is_the_one_that_is_composed_of_all_words(tmp_path, words):
    base, more = ["dataset=npz", "dataset.path=my.npz", "model.hidden=[8]"], [*words, "model.latents=5", "seed=2"]
    with composed(base) as cfg:
        before = cfg.copy()
    made = changed(cfg, more, tmp_path / "run")
    assert made == single([*base, *more, f"hydra.run.dir={tmp_path / 'run'}"])
    assert cfg == before


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("hydra.job.chdir=true", "leave it away"),
        ("hydra.job.env_set.A=1", "leave it away"),
        ("hydra.output_subdir=.hydra", "leave it away"),
        ("hydra/job_logging=default", "leave it away"),
        ("hydra.verbose=true", "leave it away"),
        ("+hydra.callbacks.mine._target_=mine.Callback", "leave it away"),
        ("~hydra.run.dir", "leave it away"),
        ("hydra=1", "leave it away"),
        ("hydra/launcher=joblib", "add -m"),
        ("hydra.launcher.n_jobs=2", "add -m"),
        ("hydra/sweeper=optuna", "add -m"),
        ("hydra.sweep.dir=x", "add -m"),
    ],
)
def test_a_word_for_hydra_that_nothing_reads_is_refused(word, says):
    with pytest.raises(VaeklError, match=f"is nothing that a single run reads.*{says}") as error:
        single([word])
    assert str(error.value).startswith(word)


def test_config_folders_are_searched_together(tmp_path):
    """By --config-dir, twice, and by Hydra's own word; their names may hold whatever a name may."""
    for name in ("it's, one", "two", "three"):
        (tmp_path / name / "likelihood").mkdir(parents=True)
        (tmp_path / name / "likelihood" / f"{name[-3:]}.yaml").write_text("_target_: vaekl.Laplace\nlink: sigmoid\n")
    words = ["--config-dir", str(tmp_path / "it's, one"), f"--config-dir={tmp_path / 'two'}"]
    words.append(f"hydra.searchpath=[file://{tmp_path / 'three'}]")
    for option in ("one", "two"):
        job = single([*words, f"likelihood={option}"])
        assert (job.content["choices"]["likelihood"], job.content["likelihood"]["link"]) == (option, "sigmoid")
    assert for_hydra(words, []) == words[3:]
    assert flag_values(words, "--config-dir") == [str(tmp_path / "it's, one"), str(tmp_path / "two")]


def test_a_part_of_a_config_is_shown(tmp_path):
    answer = vaekl(tmp_path, "train", "--cfg", "job", "-p", "schedule", "schedule=linear")
    assert answer.out.splitlines()[:2] == ["# @package schedule", "_target_: vaekl.LinearSchedule"]
    assert vaekl(tmp_path, "train", "--cfg=job", "seed=7", "--package=seed") == Answer(0, "7\n", "")
    refused(vaekl(tmp_path, "train", "--cfg", "job", "-p", "nowhere"), "there is no nowhere in the config")
    refused(vaekl(tmp_path, "train", "--info", "config", "nope=1"), "there is no key nope")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["-m", "seed=0,1", "--again"], ["--again", "--cfg", "job"]], ids=" ".join)
def test_only_a_single_run_is_trained_again(words, tmp_path):
    refused(vaekl(tmp_path, "train", *words), "--again trains one run once more")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file/run", "file"])
def test_a_place_where_no_folder_can_be_is_refused_before_the_data_are_read(place, tmp_path):
    (tmp_path / "file").write_text("mine")
    refused(vaekl(tmp_path, "train", f"hydra.run.dir={place}", "dataset=npz", "dataset.path=nowhere.npz"), "run folder")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["+foo=1"], ["nothing reads foo", "leave +foo=1 away"]),
        (["+latents=3"], ["nothing reads latents", "model.latents"]),
        (["+trainer.step=3"], ["nothing reads trainer.step", "trainer.steps"]),
        (["++sed=3"], ["nothing reads sed", "seed"]),
    ],
)
def test_an_added_key_that_nothing_reads(words, parts):
    with pytest.raises(VaeklError) as error:
        single([*words, "likelihood=cb"])
    assert all(part in str(error.value) for part in parts)


@pytest.mark.parametrize(
    "words",
    [
        ["likelihood=custom", "likelihood._target_=mine.Mine", "+likelihood.width=3"],
        ["+width=8", "model.hidden=[${width},${width}]"],
        ["++trainer.steps=3"],
        ["+optim.amsgrad=true"],
    ],
)
def test_an_added_key_that_something_reads(words):
    single(words)


@pytest.mark.parametrize("word", ["likelihood=mine", "experiment=mnist_cb"])
def test_what_must_be_composed_is_not_changed(word, tmp_path):
    with composed(["dataset=digits"]) as cfg, pytest.raises(ValueError, match=f"{word} must be composed"):
        changed(cfg, [word], tmp_path)
