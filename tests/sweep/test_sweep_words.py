"""What a sweep's words mean: its runs, its folder, ready-made sweeps, and what is refused."""

import pytest
from cli_helpers import SMALL, refused, vaekl

from vaekl.config.groups import CONF, options
from vaekl.config.overrides import is_sweep
from vaekl.sweep import parse, ready_made
from vaekl.system.errors import VaeklError


def test_words_are_runs():
    sweep = parse.read(["-m", "seed=0,1", "likelihood=cb,gaussian", "trainer.steps=7", "hydra.sweep.dir=x"], [])
    assert sweep.count() == 4 and sweep.runs()[0] == ["seed=0", "likelihood=cb", "trainer.steps=7"]
    assert parse.read(["-m", "schedule=glob(*)"], []).count() == len(options("schedule"))
    assert parse.read(["-m", "seed=range(3,8)"], []).count() == 5
    search = parse.read(
        ["-m", "weighting.beta=interval(0.1,2)", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=9"], []
    )
    assert search.count() == 9 and search.runs() == [["weighting.beta=0.1"]]


def test_the_same_words_mean_the_same_folder():
    def folder(*typed):
        return parse.read(["-m", *typed], []).folder()

    one = folder("seed=0,1", "likelihood=cb")
    assert one == folder("likelihood=cb", "seed=0,1") == folder("likelihood=cb", "seed=0,1", "hydra/launcher=basic")
    assert one != folder("seed=0,2", "likelihood=cb") and one.name.startswith("sweep_seed_")
    assert folder("seed=0,1", "output_dir=elsewhere").parent.name == "elsewhere"
    assert is_sweep(["-m", "seed=0,1", "-cd", "mine"]) and not is_sweep(["-m", "seed=0,1", "-c", "job"])
    assert len(folder(*(f"model.very_long_key_number_{i}=0,1" for i in range(14))).name) < 100


@pytest.mark.parametrize("name", options("sweep"))
def test_every_run_of_a_ready_made_sweep_composes(name, tmp_path):
    said, names = ready_made.expanded([f"sweep={name}"])
    sweep = parse.read(said, names)
    assert names == [name] and said[-1] == "-m" and sweep.count() >= 5
    assert sweep.folder().name.startswith(f"sweep_{name}_")
    for run in sweep.runs():
        assert vaekl(tmp_path, "train", *run, "--cfg", "job", "--resolve").code == 0, run


def test_the_beta_curve_spans_four_decades():
    (beta,) = [o for o in parse.read(*ready_made.expanded(["sweep=beta_curve"])).overrides if o.is_sweep_override()]
    values = [float(value) for value in beta.sweep_string_iterator()]
    assert (min(values), max(values)) == (1e-4, 1.0) and len(values) == 9


def test_a_ready_made_sweep_gives_way_to_what_is_typed(tmp_path):
    said, _ = ready_made.expanded(["sweep=likelihoods,seeds", "seed=7,8", "dataset=mnist"])
    assert "seed=7,8" in said and "seed=0,1,2,3,4" not in said and "dataset=mnist" in said
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/mine.yaml").write_text("# my own\nseed: 3,4\ntrainer.patience: null\n")
    said, _ = ready_made.expanded(["sweep=mine", "--config-dir", str(tmp_path)])
    assert said[:2] == ["seed=3,4", "trainer.patience=null"]
    with pytest.raises(VaeklError, match=r"sweep=likelihood is not one of .* \(did you mean likelihoods\?\)"):
        ready_made.expanded(["sweep=likelihood"])
    assert not (CONF / "sweep" / "mine.yaml").exists()
    for text, part in (("- seed", "is no list of keys"), ("seed: 0,1: 2", "cannot be read as YAML")):
        (tmp_path / "sweep/mine.yaml").write_text(text)
        with pytest.raises(VaeklError, match=rf"mine\.yaml {part}"):
            ready_made.expanded(["sweep=mine", "--config-dir", str(tmp_path)])
    (tmp_path / "sweep/mine.yaml").write_text("seed: [0, 1]")
    with pytest.raises(VaeklError, match="sweep=mine has no key with several values"):
        parse.read(*ready_made.expanded(["sweep=mine", "--config-dir", str(tmp_path)]))


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        (["-m"], ["-m needs a key with several values"]),
        (["-m", "seed=0"], ["-m needs a key with several values"]),
        (["sweep=nothing"], ["sweep=nothing is not one of"]),
        (["sweep=seeds", "--cfg", "job"], ["sweep=seeds", "seed=0,1,2,3,4"]),
        (
            ["-m", "weighting=fixed_beta,auto", "weighting.beta=0.1,1"],
            ["weighting.beta belongs to weighting=fixed_beta, and weighting=auto lacks it: leave that away"],
        ),
        (["-m", "weighting=auto,optimal_precision", "weighting.beta=1"], ["there is no key weighting.beta"]),
        (
            ["-m", "likelihood=mixture,gaussian", "++likelihood.components=3"],
            ["likelihood.components belongs to likelihood=mixture, and likelihood=gaussian lacks it"],
        ),
        (
            ["-m", "likelihood=custom,gaussian", "likelihood._target_=mine.Foo"],
            [
                "likelihood._target_=mine.Foo belongs to likelihood=custom, and likelihood=gaussian has a class of its "
                "own: leave that away from the sweep, or type likelihood=custom "
                "likelihood._target_=mine.Foo,vaekl.Gaussian."
            ],
        ),
        (["-m", "control=none,custom"], ["control._target_ must be given: add control._target_=VALUE."]),
        (
            ["sweep=beta_curve", "weighting=auto"],
            ["sweep=beta_curve gives values to weighting.beta, which weighting=auto has not: leave weighting=auto "],
        ),
        (["sweep=beta_curve", "weighting=fixed_beta,auto"], ["which weighting=auto has not"]),
        (
            ["sweep=beta_curve", "weighting.beta=1", "weighting.beta=2"],
            ["weighting.beta=2 stands in the place of the values of sweep=beta_curve", "write weighting.beta=1,2, or"],
        ),
        (["sweep=beta_curve", "weighting.beta=1"], ["write weighting.beta=1,VALUE, or leave it away."]),
        (["sweep=beta_curve", "weighting.beta=1,2", "weighting.beta=3"], ["weighting.beta is given twice"]),
        (["-m", "seed=0,1", "hydra/launcher=slurm"], ["hydra/launcher=slurm is not one of", "submitit_slurm"]),
        (["-m", "seed=0,1", "hydra/launcher=joblb"], ["did you mean joblib?"]),
        (["-m", "seed=0,1", "hydra/sweeper=optun"], ["hydra/sweeper=optun is not one of", "did you mean optuna?"]),
        (["-m", "seed=0,1", "hydra/sweeper=optuna", "hydra.sweeper.n_trial=3"], ["no key hydra.sweeper.n_trial"]),
        (["-m", "seed=0,1", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=x"], ["n_trials", "Integer"]),
        (["-m", "seed=0,1", "hydra.launcher.n_job=3"], ["no key hydra.launcher.n_job"]),
        (
            ["-m", "seed=0,1", "hydra.launcher.verbose=3"],
            ["hydra.launcher.verbose would do nothing"],
        ),
        (["-m", "likelihood=glob(zzz*)"], ["likelihood=glob(zzz*) matches none of", "bernoulli"]),
        (
            ["-m", "seed=a,-1"],
            ["none of the 2 runs can be trained; of the first it is said: seed must be"],
        ),
        (["-m", "optim.lr=-1,0", "seed=0,1"], ["none of the 4 runs can be trained", "optim.lr must be a positive"]),
        (["-m", "seed=0,0,1"], ["seed=0,0,1 has a value twice"]),
        (["-m", "seed=0,1", "seed=2,3"], ["seed is given twice"]),
        (["-m", "seed=0,1", "--info", "all"], ["-m trains several runs"]),
        (["-m", "optim.lr=interval(0,1)"], ["optim.lr=interval(0,1)", "hydra/sweeper=optuna"]),
        (["-m", "seed=0,1", "output_dir="], ["output_dir= is empty"]),
        (
            ["-m", "output_dir=a,''"],
            ["output_dir=a,'' is several folders, and a sweep has one", "as output_dir=outputs."],
        ),
        (["-m", "seed=0,1", "hydra.sweep.dir=a,b"], ["hydra.sweep.dir=a,b is several folders"]),
        (["-m", "seed=0,1", "hydra.launcher.n_jobs=1,2"], ["is several values, and there is one for all runs of a"]),
        (["-m", "seed=0,1", "hydra/launcher=basic,joblib"], ["hydra/launcher=basic,joblib is several values"]),
        (["-m", "seed=range(5,0)"], ["seed=range(5,0) stands for no value: give some, as in seed=0,1,2."]),
        (["-m", "seed=glob(*)"], ["seed=glob(*) stands for no value"]),
        (["-m", "seed=range(0,3,0)"], ["seed=range(0,3,0) is no range"]),
        (["-m", "optim.lr=range(0,1,0.0)"], ["optim.lr=range(0,1,0.0) is no range"]),
        (["-m", "seed=range(0,1000000000)"], ["has more values than the 20,000 runs that a sweep may have"]),
        (["-m", "optim.lr=range(0,1,1e-12)"], ["has more values than the 20,000 runs"]),
        (
            ["-m", "seed=range(0,200)", "split_seed=range(0,200)"],
            ["these are 40,000 runs, and a sweep may"],
        ),
        (["-m", "hydra/sweeper=optuna", "optim.lr=interval(1,0)"], ["optim.lr=interval(1,0) does not end above its"]),
        (["-m", "hydra/sweeper=optuna", "optim.lr=tag(log, interval(0, 1))"], ["has no logarithm at its lower end"]),
        (["-m", "hydra/sweeper=optuna", "seed=0,1", "hydra.sweeper.n_trials=0"], ["n_trials=0 is no number of trials"]),
        (["-m", "seed=0,1", "output_dir=null"], ["output_dir=null is no folder: give one, as in output_dir=outputs."]),
        (["output_dir=''"], ["output_dir='' is empty: give a folder"]),
        (["output_dir=null"], ["output_dir=null is no folder"]),
        (["output_dir=[a]"], ["output_dir=[a] is no folder"]),
        (["-m", "seed=0,1", "output_dir='x\udcff'"], ["the name of the folder", "is no UTF-8"]),
        (["-m", "seed=0,1", "hydra.sweep.subdir='x\udcff'"], ["the name of the folder", "is no UTF-8"]),
        (["-m", "seed=0,1", "hydra.sweep.subdir=.."], ["hydra.sweep.subdir", "without a slash"]),
        (["-m", "seed=0,1", "hydra.sweep.dir=???"], ["hydra.sweep.dir must be given"]),
        (["-m", "seed=0,1", "hydra.launcher._target_=os.system"], ["os.system is no launcher that Hydra knows"]),
        (["-m", "seed=0,1", "hydra.launcher=null"], ["hydra.launcher._target_=None is no launcher"]),
        (
            ["-m", "seed=0,1", "hydra.launcher._target_=hydra._internal.core_plugins.basic_sweeper.BasicSweeper"],
            ["is no launcher that Hydra knows: choose one by its name, as in hydra/launcher=basic"],
        ),
        (["-m", "seed=0,1", "hydra.sweeper._target_=os.system"], ["os.system is no sweeper that Hydra knows"]),
        (["-m", "seed=0,1", "output_dir=/proc/none"], ["/proc/none", "cannot be made", "output_dir=FOLDER"]),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_anything_is_written(typed, parts, tmp_path):
    refused(vaekl(tmp_path, "train", *typed, *SMALL), *parts)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(parse, "find_spec", lambda name: None)
    for word, extra in (("hydra/launcher=submitit_slurm", "slurm"), ("hydra/sweeper=optuna", "optuna")):
        refused(vaekl(tmp_path, "train", "-m", "seed=0,1", word), f'pip install "vaekl[{extra}]"')
