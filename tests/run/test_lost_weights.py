"""A finished run whose weights are gone is no dead end: what is true is said, and what can be done works."""

import json
import shlex
import shutil

import pytest
from cli_helpers import contents, refused, results, rows, same_weights, trained, vaekl, weights

from vaekl.store import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with best weights beside the last ones, which nobody changes."""
    return trained(tmp_path_factory.mktemp("lost"), "trainer.patience=9", "seed=3")


@pytest.fixture
def copy(run, tmp_path):
    """The same in a folder of the test's own."""
    return shutil.copytree(run, tmp_path / "run")


WORDS = ("train", "hydra.run.dir=run", "model.hidden=[16]", "model.latents=4", "trainer.steps=4", "trainer.log_every=2")
SAME = (*WORDS, "trainer.valid_every=2", "trainer.patience=9", "seed=3")


def test_what_is_true_is_said(copy):
    (copy / "best.pt").unlink()
    before = contents(copy)
    for words in (("resume", "run"), SAME):
        text = refused(vaekl(copy.parent, *words), "is finished, but the weights that it tested, best.pt, are gone")
        assert "checkpoint=last" in text and "--again" in text and "nothing to resume" not in text
    refused(vaekl(copy.parent, "eval", "run"), "is finished", "best.pt, are gone", "checkpoint=last", "--again")
    refused(vaekl(copy.parent, "sample", "run"), "is finished", "best.pt, are gone", "checkpoint=last", "--again")
    assert contents(copy) == before
    (copy / "last.pt").unlink()
    text = refused(vaekl(copy.parent, "eval", "run"), "best.pt, are gone", "--again")
    assert "checkpoint=" not in text and "before its first one" not in text


def test_an_unfinished_run_without_a_checkpoint_is_to_be_gone_on_with(copy):
    for name in ("results.json", "last.pt", "best.pt"):
        (copy / name).unlink()
    refused(vaekl(copy.parent, "eval", "run"), "has no last.pt yet", "vaekl resume run")


def test_a_finished_run_is_not_to_be_resumed_for_its_last_weights(copy):
    (copy / "last.pt").unlink()
    text = refused(vaekl(copy.parent, "eval", "run", "eval.checkpoint=last"), "has no last.pt", "checkpoint=best")
    assert "resume" not in text


def test_a_run_of_a_sweep_is_named_so_that_it_can_be_typed(tmp_path):
    run = trained(tmp_path, "seed=3")
    place = run.rename(tmp_path / "likelihood=cb,seed=3")
    (place / "last.pt").unlink()
    text = refused(vaekl(tmp_path, "eval", str(place)), "--again")
    word = next(word for word in shlex.split(text) if word.startswith("hydra.run.dir="))
    again = [*WORDS, "trainer.valid_every=2", "seed=3", "--again"]
    again[1] = word
    answer = vaekl(tmp_path, *again)
    assert answer.code == 0, answer.err
    assert (place / "last.pt").exists()


def test_what_the_user_put_beside_a_run_stays(copy):
    kept = copy / "evaluation-notes.json"
    kept.write_text("{}")
    for name in ("eval.json", "eval_valid.json", "eval_all.json", "eval_0a1b2c.json"):
        (copy / name).write_text("{}")
    RunFolder(copy).clear()
    assert kept.exists() and not list(copy.glob("eval*_*.json")) and not (copy / "eval.json").exists()


def test_another_checkpoint_can_be_measured(copy):
    (copy / "best.pt").unlink()
    answer = vaekl(copy.parent, "eval", "run", "eval.checkpoint=last", "eval.k=1", "eval.knn=false")
    assert answer.code == 0, answer.err


def test_the_same_run_is_trained_again_into_its_folder(run, copy):
    for name in ("best.pt", "last.pt"):
        (copy / name).unlink()
    (copy / "eval.json").write_text("{}")
    facts = json.loads((copy / "facts.json").read_text())
    (copy / "facts.json").write_text(json.dumps(facts | {"python": "2.7"}))
    answer = vaekl(copy.parent, *SAME, "--again")
    assert answer.code == 0, answer.err
    assert "training again: results.json, eval.json" in answer.out and "metrics.csv" in answer.out
    assert results(copy) == results(run)
    for name in ("best.pt", "last.pt"):
        assert same_weights(weights(copy, name), weights(run, name))
    assert [row["step"] for row in rows(copy)] == [row["step"] for row in rows(run)]
    assert (
        not (copy / "eval.json").exists() and json.loads((copy / "facts.json").read_text())["python"] == facts["python"]
    )


def test_a_run_of_another_config_is_not_taken_away(copy):
    before = contents(copy)
    refused(vaekl(copy.parent, *SAME, "optim.lr=0.1", "--again"), "holds a run already, of another config")
    assert contents(copy) == before


def test_a_sweep_is_not_trained_again(tmp_path):
    refused(vaekl(tmp_path, "train", "-m", "seed=0,1", "--again"), "--again", "a single run")
    assert not list(tmp_path.iterdir())
