"""Likelihoods, weightings and controls of a user's own, their mistakes, and the trust that they need."""

import textwrap

import pytest
from cli_helpers import SMALL, refused, results, trained, vaekl

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
