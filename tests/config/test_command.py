"""The command that a run's config stands for: it makes the same run, and nothing of a stranger's is quoted in it."""

import copy
import shlex
from functools import cache
from pathlib import Path

import pytest

from vaekl.config.command import train_command
from vaekl.config.job import single
from vaekl.config.overrides import parse
from vaekl.store import fingerprint
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import command, setting

ODD = '/a b/it\'s \\ "quoted" $(touch ran) `touch ran` ${x/é, [1]{2}=~;&|>*?!#'


@cache
def _content(*words):
    return single(words).content


def content(*words):
    """A config as a run folder holds it."""
    return copy.deepcopy(_content(*words))


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "seed=0 likelihood=cb",
        "likelihood=gaussian weighting=fixed_beta weighting.beta=0.04 seed=3",
        "experiment=mnist_cb",
        "experiment=mnist_cb model=conv trainer.epochs=2",
        "schedule=cyclical lr_schedule=cosine optim=sgd transform=scale",
        "trainer.autocast=bf16 trainer.clip_norm=3 trainer.patience=2 valid=100",
        "model.hidden=[] +optim.weight_decay=1e-5 ~optim.fused",
        "model.hidden=[1,2] optim.betas=[0.5,0.25] trainer.steps=9223372036854775807",
        "dataset=npz dataset.path=mine.npz",
        "output_dir=x run_name=y data_dir=z trainer.device=cpu",
    ],
)
def test_the_command_makes_the_same_config(typed):
    before = content(*typed.split())
    command = train_command(before)
    words = shlex.split(command)
    assert words[:2] == ["vaekl", "train"] and not set(words[2:]) & {"seed=0", "likelihood=cb", "data_dir=z"}
    assert fingerprint(content(*words[2:])) == fingerprint(before)


@pytest.mark.parametrize("text", ["null", "true", "1", "1e3", "inf", "a,b", "", " ", "'", "é", ODD.replace("${", "$")])
def test_a_text_is_one_word_and_the_same_text(text):
    before = content("dataset=npz", "dataset.path=x")
    before["dataset"]["path"] = f"/{text}"
    before["model"]["activation"] = text
    verb, *words = shlex.split(train_command(before))[1:]
    assert verb == "train" and [word.partition("=")[0] for word in words] == [
        "dataset",
        "dataset.path",
        "model.activation",
    ]
    assert fingerprint(content(*words)) == fingerprint(before)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("choices.likelihood", "mine"),
        ("choices.likelihood", "cb; touch ran"),
        ("choices.likelihood", ["cb"]),
        ("choices.likelihood", "../../cb"),
        ("choices.mine", "x"),
        ("likelihood._target_", "os.system"),
        ("model.hidden", [{"_target_": "os.system"}]),
        ("model.activation", ODD),
        ("model.activation", "${oc.env:HOME}"),
        ("model.a b", 1),
        ("model.a=b", 1),
        ("model.$(touch ran)", 1),
        ("model.a.b.é", 1),
        ("model._args_", [1]),
        ("model", {1: 2}),
        ("optim.lr", float("nan")),
        ("optim.lr", float("inf")),
        ("model.hidden", [float("inf")]),
        ("trainer", {}),
    ],
)
def test_what_is_not_of_vaekl_s_options_is_no_command(key, value):
    before = content()
    *path, last = key.split(".", 1)
    (before[path[0]] if path else before)[last] = value
    assert train_command(before) is None


def test_classes_of_the_user_s_own_are_no_command():
    assert train_command(content("likelihood=custom", "likelihood._target_=mine.Mine")) is None


def test_a_config_that_could_not_be_read_again_is_refused():
    with pytest.raises(VaeklError, match=r"^run_name holds a control character"):
        single(["run_name='a\x85b'"])
    with pytest.raises(VaeklError, match=r"^dataset\.path holds"):
        single(["dataset=npz", "dataset.path='a\udcffb'"])
    with pytest.raises(VaeklError, match=r"^model\.x holds a number of more than 64 bits"):
        single([f"+model.x=[{2**63}]"])
    with pytest.raises(VaeklError, match=r"^model\.x holds a key that is no text"):
        single(["+model.x={1:2}"])


PATHS = [
    "/my data/x.npz", "a,b=c", "it's", 'say "x"', "-x", "~/x", "1", "null", "[a]", "{a: b}", "a\\", "a\\'b", "a\\\\'",
    "'", "\\", "$(touch ran)", "`touch ran`", "a:b", "a#b", "a&b;c", "é", " ", "", "glob(*)", "choice(a,b)", "a/",
    "/plain/path-1_2.npz", "C:\\data\\x", "1/2", "1e3/x", "null/", "-/x",
]  # fmt: skip


@pytest.mark.parametrize("text", PATHS)
def test_a_path_that_is_printed_to_be_pasted_is_one_text_for_the_shell_and_for_hydra(text):
    (word,) = shlex.split(command(setting("dataset.path", text)))
    override = parse(word)
    assert (override.key_or_group, override.value(), override.is_sweep_override()) == ("dataset.path", text, False)


@pytest.mark.parametrize("text", ["it's a,b=c", 'q"u\\', "[x]: $(touch ran)"])
def test_a_folder_that_is_printed_to_be_pasted_is_that_folder(text, tmp_path):
    (word,) = shlex.split(command(setting("hydra.run.dir", tmp_path / text)))
    assert single([word]).path == tmp_path / text


def test_a_folder_with_a_dash_is_no_option():
    assert command("vaekl", "resume", Path("./-x")) == "vaekl resume ./-x"
    assert command("vaekl", "eval", "-x", Path("/a/-x")) == "vaekl eval -x /a/-x"
