"""Every file of conf/ composes, every experiment trains, every pair of likelihood and weighting answers."""

import json
import textwrap
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
    found = sorted((tmp_path / "outputs").glob("sweep_likelihood-seed_*/*/results.json"))
    # what differs and only that, then what makes it this config's folder and no other's
    assert [path.parent.name.rpartition("_")[0] for path in found] == [
        f"likelihood={likelihood},seed={seed}" for likelihood, seed in product(("cb", "gaussian"), (0, 1))
    ]
    chosen = [(results(path.parent)["choices"]["likelihood"], results(path.parent)["seed"]) for path in found]
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


OWN_LIKELIHOOD = """
    from vaekl import Gaussian

    class Wide(Gaussian):
        name = "wide"
"""
OWN_FILE = "# a Gaussian of my own\n_target_: {module}.Wide\nlink: sigmoid\n"


def own_module(folder, name):
    (folder / f"{name}.py").write_text(textwrap.dedent(OWN_LIKELIHOOD))


def test_a_users_own_likelihood_in_one_file(tmp_path):
    own_module(tmp_path, "my_first_module")
    run = trained(tmp_path, "likelihood=custom", "likelihood._target_=my_first_module.Wide")
    assert results(run)["weighting"] == "learned_precision"
    assert results(run)["choices"]["likelihood"] == "Wide"


@pytest.mark.parametrize("flag", [["--config-dir", "mine"], ["--config-dir=mine"]], ids=" ".join)
def test_a_users_own_config_folder(flag, tmp_path):
    module = f"my_second_module_{len(flag)}"  # once vouched for, it stays so in this process
    own_module(tmp_path, module)
    (tmp_path / "mine" / "likelihood").mkdir(parents=True)
    (tmp_path / "mine" / "likelihood" / "wide.yaml").write_text(OWN_FILE.format(module=module))
    run = trained(tmp_path, *flag, "likelihood=wide")
    assert results(run)["choices"]["likelihood"] == "wide"
    refused(vaekl(tmp_path, "resume", "run"), f"--trust {module}")
    resumed = vaekl(tmp_path, "resume", "run", "--trust", module)
    assert resumed.code == 0, resumed.err


@pytest.mark.parametrize("target", ["no_such_module.Wide", "vaekl.model.likelihoods.NoSuch", "vaekl", "nonsense"])
def test_a_class_that_is_not_there_gets_a_sentence(target, tmp_path):
    refused(vaekl(tmp_path, "train", "likelihood=custom", f"likelihood._target_={target}"), target)


def test_an_own_family_is_tried_before_a_first_phi_is_solved_from_it(tmp_path):
    (tmp_path / "no_slope.py").write_text(
        "import vaekl\n"
        "class NoSlope(vaekl.Gaussian):\n"
        "    def energy_slope(self, eta, x, dispersion):\n"
        "        raise TypeError('no slope')\n"
    )
    words = ("train", "likelihood=custom", "likelihood._target_=no_slope.NoSlope")
    refused(vaekl(tmp_path, *words), "likelihood=NoSlope failed when it was tried (NoSlope.energy_slope: TypeError")


OWN_MISTAKES = """
import torch
from vaekl import Control, Gaussian, Weighting

class Half(Weighting):
    @property
    def dispersion(self):
        return torch.full((1, 1, 1), 0.5)

class Less(Weighting):
    pass

class Broken(Gaussian):
    def __init__(self, **settings):
        raise KeyError("oops")

class Unscaled(Gaussian):
    scale_power = None
    def __init__(self, **settings):
        super().__init__()

def pair(shape, outputs, latents):
    return torch.nn.Identity(), torch.nn.Identity()

class Own(Control):
    def __init__(self, *args, target=1.0, **objects):
        super().__init__(*args, **objects)
        self.register_buffer("steps", torch.tensor(0))
    def observe(self, terms, schedule):
        self.steps += 1
        if self.steps == 4:
            terms.total_enrgy
    def penalty(self, terms, schedule):
        return schedule, terms.total_kl
    def multiplier(self, schedule):
        return schedule

class Swept(Own):
    def observe(self, terms, schedule):
        pass

class Typed(Own):
    def observe(self, terms):
        pass

class NoMultiplier(Control):
    def penalty(self, terms, schedule):
        return schedule, terms.total_kl
    def multiplyer(self, schedule):
        return schedule

class Bare(Own):
    def __init__(self, likelihood, spec, images, target=1.0):
        self.target = target

class Unready(Own):
    def __init__(self, likelihood, spec, images, target=1.0):
        self.register_buffer("steps", torch.tensor(0))
"""


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("likelihood._target_=MINE.Broken", ["KeyError: 'oops', line 15 of", "MINE.py", "--debug"]),
        ("likelihood._target_=MINE.Nope", ["there is no Nope in MINE", "the folder where the module"]),
        ("likelihood._target_=not_there.X", ["No module named 'not_there'"]),
        ("likelihood._target_=MINE", ["MINE is no class or function"]),
        ("weighting._target_=MINE.Less", ["MINE.Less gives no dispersion"]),
        ("model._target_=MINE.pair ~model.hidden ~model.activation", ["a tuple", "vaekl.Nets"]),
        ("control._target_=MINE.Typed", ["control=Typed failed when it was tried", "TypeError", "takes 2 positional"]),
        (
            "control._target_=MINE.NoMultiplier",
            ["MINE.NoMultiplier has no method `multiplier` (did you mean multiplye"],
        ),
        ("control._target_=MINE.Bare", ["let super().__init__(likelihood, spec, images) be the first line"]),
        ("control._target_=MINE.Unready", ["let super().__init__(likelihood, spec, images) be the first line"]),
        ("control._target_=MINE.Unready +control.taget=2", ["no setting control.taget (did you mean control.target?)"]),
        ("control._target_=MINE.Own control.target=2", ["no key control.target: an option", "as in +control.target=2"]),
        ("likelihood._target_=MINE.Unscaled weighting=learned_precision", ["Unscaled, whose class has no scale_power"]),
        ("optim._target_=torch.optim.RMSprop", ["no optim.fused", "~optim.betas ~optim.fused"]),
    ],
    ids=str,
)
def test_mistakes_in_a_users_own_classes(words, parts, tmp_path, request):
    module = f"mistakes_{request.node.callspec.indices['words']}"
    (tmp_path / f"{module}.py").write_text(OWN_MISTAKES)
    words = words.replace("MINE", module).split()
    without = [f"~likelihood.{key}" for key in ("link", "scale", "per", "min_scale")]
    answer = vaekl(tmp_path, "train", "likelihood=gaussian", *without, *SMALL[1:], *words)
    refused(answer, *(part.replace("MINE", module) for part in parts))
    assert not (tmp_path / "outputs").exists()


def test_a_users_own_class_that_fails_in_training_is_named(tmp_path):
    (tmp_path / "later_mistake.py").write_text(OWN_MISTAKES)
    answer = vaekl(tmp_path, "train", *SMALL, "control._target_=later_mistake.Own")
    line = OWN_MISTAKES.splitlines().index("            terms.total_enrgy") + 1
    refused(answer, "Own.observe failed (AttributeError: ", f"line {line} of", "later_mistake.py", "--debug")


@pytest.mark.nightly
def test_the_report_of_a_sweep_of_ones_own_wants_the_trust_that_its_command_has(tmp_path, monkeypatch):
    (tmp_path / "swept_control.py").write_text(OWN_MISTAKES)
    words = [
        "control._target_=swept_control.Swept",
        "+control.target=1,2",
        "hydra.sweep.dir=sweep",
        "hydra/launcher=basic",
    ]
    answer = vaekl(tmp_path, "train", "-m", *SMALL, *words)
    assert answer.code == 0, answer.err
    assert answer.out.endswith("  report      vaekl report " + str(tmp_path / "sweep") + " --trust swept_control\n")
    assert "trainer.steps=8 --trust swept_control" in answer.out
    refused(
        vaekl(tmp_path, "report", "sweep"), "of 2 finished runs none could be measured", "add --trust swept_control"
    )
    assert (tmp_path / "sweep" / "report" / "report.html").exists()


def test_the_least_that_a_weighting_needs_and_its_own_name(tmp_path):
    (tmp_path / "least_weighting.py").write_text(OWN_MISTAKES)
    answer = vaekl(tmp_path, "train", *SMALL, "likelihood=gaussian", "weighting._target_=least_weighting.Half")
    assert answer.code == 0, answer.err
    assert "  weighting   Half: " in answer.out and "auto" not in answer.out
    (run,) = (tmp_path / "outputs").iterdir()
    assert run.name.startswith("digits_gaussian_Half_mlp_seed0_")
    figures = results(run)
    assert (figures["weighting"], figures["choices"]["weighting"]) == ("Half", "Half")
    assert figures["test"]["dispersion"] == pytest.approx(0.5)


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
