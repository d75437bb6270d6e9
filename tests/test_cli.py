"""What a user meets at the terminal: help at once, a suggestion for each typo, one sentence for each mistake."""

import subprocess
import sys
from importlib.metadata import version

import pytest
import yaml
from cli_helpers import SMALL, Answer, finished, process, refused, vaekl

from vaekl import cli
from vaekl.config.groups import CONF, groups, options
from vaekl.run import start
from vaekl.verbs import help

HELP = [(), ("--help",), ("-h",), ("help",), ("train", "--help"), ("train", "-h"), ("resume", "--help"), ("--version",)]
HELP += [("train", "likelihood=cb", "--help"), ("eval", "--help"), ("sample", "-h"), ("report", "--help")]
HELP += [("encode", "-h"), ("score", "--help"), ("export", "-h"), ("diagnose", "--help")]
IMPORTED = """
import sys
from vaekl.cli import main
code = main(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help_loads_nothing_heavy(words, tmp_path):
    command = [sys.executable, "-c", IMPORTED, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert done.stdout
    assert not {"torch", "hydra", "omegaconf", "numpy", "yaml", "rich"} & set(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_a_whole_run_loads_no_library_that_it_does_not_need(tmp_path):
    words = ["train", "dataset=digits", "trainer.steps=2", "model.hidden=[8]", f"output_dir={tmp_path}"]
    command = [sys.executable, "-c", IMPORTED, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*/prior_means.png"))
    heavy = {"torch._dynamo", "torch._inductor", "torchvision", "sklearn", "scipy", "matplotlib", "pandas", "sympy"}
    assert not heavy & set(done.stderr.split())


MISTAKES = [
    "trian", "train beta=4", "train --epochs 5", "train likelihood=gausian", "train trainer.epohs=1", "train seed=[",
    "train hydra.verbose=true", "train -m seed=0,1 nope=1", "train --cfg jbo", "resume", "resume nowhere", "eval",
    "sample run x=1", "train trainer.steps=0", "train seed=half", "train trainer.autocast=float16",
    "train trainer.compile=maybe", "train output_dir=/dev/null", "eval nowhere", "encode nowhere x.npy",
    "export nowhere", "diagnose nowhere", "report nowhere",
]  # fmt: skip
ANSWERED = """
import sys
from vaekl.cli import main
codes = [main(line.split()) for line in sys.argv[1:]]
sys.exit(codes != [1] * len(codes) or "torch" in sys.modules)
"""


def test_mistakes_are_answered_without_torch(tmp_path):
    command = [sys.executable, "-c", ANSWERED, *MISTAKES]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == len(MISTAKES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["-m", "vaekl"], ["-c", "import sys; from vaekl.cli import main; sys.exit(main())"]])
def test_the_module_and_the_script_are_the_same_command(words):
    done = subprocess.run([sys.executable, *words, "--version"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, f"vaekl {version('vaekl')}\n")


def test_every_group_and_option_is_listed_with_what_it_is(tmp_path):
    lines = vaekl(tmp_path, "train", "--help").out.splitlines()
    folders = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert set(groups()) == folders
    for group in groups():
        first = lines.index(group) + 1
        block = lines[first : lines.index("", first)]
        listed = dict(line.strip().split(maxsplit=1) for line in block)
        assert set(listed) == {file.stem for file in (CONF / group).glob("*.yaml")}
        assert all(len(text) > 5 for text in listed.values())


def test_every_key_that_is_there_for_all_runs_is_listed(tmp_path):
    text = vaekl(tmp_path, "train", "--help").out
    top = yaml.safe_load((CONF / "train.yaml").read_text("utf-8"))
    trainer = yaml.safe_load((CONF / "trainer" / "default.yaml").read_text("utf-8"))
    keys = [key for key in top if key not in ("defaults", "hydra", "run_name")] + [f"trainer.{key}" for key in trainer]
    assert [line.split("=")[0].strip() for line in text.split("these:\n")[1].splitlines()] == keys


def test_every_key_of_every_option_is_listed_with_its_default_and_what_it_is(tmp_path):
    for group in [group for group in groups() if group not in ("experiment", "sweep")]:
        for option in options(group):
            content = yaml.safe_load((CONF / group / f"{option}.yaml").read_text("utf-8"))
            head, *lines = help.of_train([f"{group}={option}"], []).splitlines()
            assert head == f"{group}={option}: {options(group)[option]}"
            words = [line.split(maxsplit=1) for line in lines if line != "  no keys of its own"]
            assert all(len(parts) == 2 for parts in words), (group, option)
            values = {key: yaml.safe_load(value) for key, _, value in (word.partition("=") for word, _ in words)}
            assert values == {
                f"{group}.{key}": value for key, value in content.items() if key not in ("_target_", "name")
            }


def test_help_of_chosen_options_and_of_one_that_is_not_there(tmp_path):
    answer = vaekl(tmp_path, "train", "weighting=fixed_beta,auto", "seed=3", "experiment=mnist_beta", "-h")
    beta, auto, experiment = answer.out.split("\n\n")
    assert "  weighting.beta=1.0                 β, the KL's weight" in beta.splitlines()
    assert auto.splitlines()[1:] == ["  no keys of its own"]
    assert {"  likelihood=beta", "  likelihood.clamp=1e-4", "  trainer.epochs=20"} <= set(experiment.splitlines())
    refused(vaekl(tmp_path, "train", "likelihood=gausian", "--help"), "likelihood=gausian is not one of", "gaussian?")
    mine = tmp_path / "mine" / "model"
    mine.mkdir(parents=True)
    (mine / "tiny.yaml").write_text(
        "# a small\x1b[2J one\n_target_: mine.Net\nwidth: 3\npart:\n  depth: 2  # how deep\n"
    )
    answer = vaekl(tmp_path, "train", "--config-dir", "mine", "model=tiny", "--help")
    head, *keys = answer.out.splitlines()
    assert "\x1b" not in head
    assert keys == ["  model.width=3", "  model.part.depth=2                 how deep"]


@pytest.mark.parametrize("flag", [["--config-dir", "mine"], ["--config-dir=mine"], ["-cd", "mine"]], ids=" ".join)
def test_help_lists_a_users_own_options(flag, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "tiny.yaml").write_text("# a very small one\n_target_: vaekl.model.nets.linear\n")
    answer = vaekl(tmp_path, "train", *flag, "--help")
    assert "  tiny                   a very small one" in answer.out.splitlines()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("trian", "did you mean train?"),
        ("resum run", "did you mean resume?"),
        ("--verison", "--version"),
        ("train --cgf job", "--cfg"),
        ("train --multirn seed=0,1", "--multirun"),
        ("resume --hepl", "--help"),
        ("train likelihod=cb", "likelihood"),
        ("train wieghting=auto", "weighting"),
        ("train likelihood=gausian", "gaussian"),
        ("train -m likelihood=cb,gausian", "gaussian"),
        ("train dataset=mnits", "mnist"),
        ("train experiment=mnist_cd", "mnist_cb"),
        ("train trainer.epohs=3", "trainer.epochs"),
        ("train seeed=1", "seed"),
        ("train latents=3", "did you mean model.latents?"),
        ("train lr=1e-3", "did you mean optim.lr?"),
        ("train epochs=5", "did you mean trainer.epochs?"),
        ("train beta=4", "weighting.beta belongs to weighting=fixed_beta:"),
        ("train weighting=fixed_beta beta=4", "did you mean weighting.beta?"),
        ("train size=32", "dataset.size belongs to dataset=celeba or"),
        ("train --epochs 5", "here trainer.epochs=5."),
        ("train --batch-size=64 likelihood=gaussian", "here trainer.batch_size=64."),
        ("train --beta 4", "here weighting.beta=4."),
        ("train --likelihood gaussian", "here likelihood=gaussian."),
        ("train --lr", "here optim.lr=VALUE."),
        ("train weighting.bta=0.1", "weighting.beta"),
        ("train likelihood=gaussian weighting.beta=0.1", "weighting=fixed_beta"),
        ("train -m seed=0,1 sweep.stak=off", "did you mean sweep.stack?"),
        ("train -m seed=0,1 stack=off", "did you mean sweep.stack?"),
        ("train -m seed=0,1 sweeps.stack=off", "did you mean sweep.stack?"),
        ("train -m seed=0,1 repot=true", "did you mean report?"),
        ("train sweep.size=3", "no key sweep.size"),
    ],
)
def test_a_typo_gets_a_suggestion(typed, meant, tmp_path):
    refused(vaekl(tmp_path, *typed.split()), meant)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("train likelihood", "key=value"),
        ("train =3", "key=value"),
        ("train seed=[1", "type 'seed="),
        ("train ~likelihood", "choose one of"),
        ("train likelihood=null", "is not one of"),
        ("train likelihood=custom", "likelihood._target_"),
        ("train --config-dir nowhere", "nowhere"),
        ("train seed=-1", "seed"),
        ("train seed=half", "seed"),
        ("train trainer.steps=0", "trainer.steps"),
        ("train trainer.epochs=1.5", "trainer.epochs"),
        ("train trainer.batch_size=0", "trainer.batch_size"),
        ("train trainer.valid_every=0", "trainer.valid_every"),
        ("train trainer.ema=1", "trainer.ema"),
        ("train trainer.clip_norm=-1", "trainer.clip_norm"),
        ("train trainer.autocast=float16", "trainer.autocast"),
        ("train trainer.patience=2 valid=0", "valid=0.1"),
        ("train trainer.patience=0", "trainer.patience"),
        ("train trainer.compile=maybe", "trainer.compile must be auto, graph, true or false"),
        ("train seed=99999999999999999999999", "seed holds a number of more than 64 bits"),
        ("train hydra.run.dir=???", "hydra.run.dir must be given: add hydra.run.dir=VALUE."),
        ("train seed=???", "seed must be given: add seed=VALUE."),
        ("train valid=abc", "valid must be"),
        ("train valid=null", "valid must be"),
        ("train valid=2000", "valid=2000"),
        ("train model.latents=0", "model.latents"),
        ("train optim.lr=fast", "optim.lr"),
        ("train optim.lr=null", "optim.lr"),
        ("resume", "vaekl resume outputs/<run>"),
        ("resume one two", "vaekl resume outputs/<run>"),
        ("resume nowhere", "nowhere holds no run (nothing is there): give a folder that `vaekl train` made."),
        ("eval nowhere", "nowhere holds no run (nothing is there): give a folder that `vaekl train` made."),
    ],
)
def test_a_mistake_gets_one_sentence(typed, says, tmp_path):
    refused(vaekl(tmp_path, *typed.split()), says)
    assert not [path for path in tmp_path.rglob("*") if path.name != "outputs"]


def test_no_words_at_all_train_the_defaults(tmp_path, monkeypatch):
    jobs = []
    monkeypatch.setattr(start, "train", lambda job, option: jobs.append(job))
    assert vaekl(tmp_path, "train") == Answer(0, "", "")
    (job,) = jobs
    choices = job.content["choices"]
    assert (job.content["seed"], choices["dataset"], choices["likelihood"]) == (0, "digits", "cb")
    assert job.path.parent == tmp_path / "outputs"
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(tmp_path):
    answer = finished(process(tmp_path, "train", "seed=-1", "--debug"))
    assert answer.code == 1
    assert answer.err.startswith("Traceback") and "VaeklError: seed must be" in answer.err


def test_a_mistake_does_not_turn_debug_on_for_the_next_call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    assert [cli.main(["train", "seed=-1"]) for _ in range(2)] == [1, 1]


def test_the_composed_config_can_be_printed(tmp_path):
    answer = vaekl(tmp_path, "train", "--cfg", "job", "model.latents=3")
    assert answer.code == 0
    assert "latents: 3" in answer.out
    assert not list(tmp_path.iterdir())


def test_a_run_says_what_it_is_and_how_it_ended(tmp_path):
    out = vaekl(tmp_path, "train", "hydra.run.dir=run", *SMALL).out
    for sentence in (
        "digits",
        "cb",
        "auto → cb_normalizer",
        "4 steps",
        "ELBO",
        "bits/dim",
        "active units",
        "tensorboard --logdir",
    ):
        assert sentence in out
    assert "loss        [softplus(a) − a x]" in out
