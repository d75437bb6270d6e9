"""The words after eval and sample."""

from pathlib import Path

import pytest

from vaekl.config.groups import settings
from vaekl.config.verb_options import defaults, parse
from vaekl.system.errors import VaeklError


def test_runs_options_and_changes_are_told_apart(tmp_path):
    odd = tmp_path / "a=b"
    odd.mkdir()
    words = parse("eval", ["run", str(odd), "eval.k=1,50,5000", "eval.knn=false", "data_dir=x", "dataset.path=y"])
    assert words.runs == (Path("run"), odd), "a folder may have = in its name"
    assert words.options == defaults("eval") | {"k": [1, 50, 5000], "knn": False}
    assert words.changes == ("data_dir=x", "dataset.path=y")


@pytest.mark.parametrize(
    ("text", "value"), [("7", [7]), ("[1,2]", [1, 2]), ("1,2", [1, 2]), (" 3, 4", [3, 4])], ids=str
)
def test_a_list_may_be_written_in_any_way(text, value):
    assert parse("eval", ["run", f"eval.k={text}"]).options["k"] == value


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "needs a run folder"),
        (["run", "-k"], "unknown option -k"),
        (["run", "eval.sed=1"], "did you mean eval.seed"),
        (["run", "seed=1"], "did you mean eval.seed"),
        (["run", "model.latents=2"], "cannot change model.latents"),
        (["run", "eval.seed=[1]"], "takes one value"),
        (["run", "eval.k=[]"], "needs at least one value"),
        (["run", "eval.k={"], "cannot read"),
    ],
)
def test_mistakes(words, says):
    with pytest.raises(VaeklError, match=says):
        parse("eval", words)


@pytest.mark.parametrize("verb", ["eval", "sample", "encode", "score", "export", "diagnose", "report"])
def test_every_key_has_a_line_of_help(verb):
    lines = settings(verb, f"{verb}.").splitlines()
    assert [line.split("=")[0].strip() for line in lines] == [f"{verb}.{key}" for key in defaults(verb)]
    assert all(line.split("=")[1].split(maxsplit=1)[1] for line in lines)
