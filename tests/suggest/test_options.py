"""The words after `vaekl suggest`: what they mean, and the sentence for each mistake."""

import pytest
from cli_helpers import refused, vaekl

from vaekl.suggest.options import parse, seconds
from vaekl.system.errors import VaeklError


def test_words_of_the_suggestion_and_of_the_data_are_told_apart():
    options = parse(["dataset=mnist", "budget=90s", "for=samples", "likelihood=cb,gaussian", "model=conv", "seeds=2"])
    assert (options.budget, options.aim, options.seeds) == (90, "samples", 2)
    assert options.likelihoods == ("cb", "gaussian")
    assert options.words == ("dataset=mnist", "model=conv")


def test_the_folder_is_that_of_the_same_words_in_any_order_at_any_budget():
    one = parse(["dataset=digits", "model=conv", "budget=5m"]).folder
    assert parse(["budget=1h", "model=conv", "dataset=digits", "jobs=3"]).folder == one
    assert parse(["model=conv", "dataset=digits", "for=samples"]).folder != one


@pytest.mark.parametrize(("text", "value"), [("10m", 600), ("2h", 7200), ("0.5h", 1800), (45, 45), ("1.5min", 90)])
def test_a_budget_is_a_time(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([], ["suggest needs data"]),
        (["dataset=digits", "budget=ten"], ["budget must be a time", "'ten'"]),
        (["dataset=digits", "budget=0"], ["budget must be a time"]),
        (["dataset=digits", "budget=9999h"], ["up to 30 days"]),
        (["dataset=digits", "budget=5d"], ["budget must be a time"]),
        (["dataset=digits", "budgett=5m"], ["there is no key budgett", "did you mean budget?"]),
        (["datset=digits"], ["there is no key datset", "did you mean dataset?"]),
        (["dataset=digits", "vald=0.2"], ["there is no key vald", "did you mean valid?"]),
        (["dataset=digits", "optm=sgd"], ["there is no key optm", "did you mean optim?"]),
        (["dataset=digits", "for=desity"], ["for must be density", "did you mean density?"]),
        (["dataset=digits", "for=3"], ["for must be density"]),
        (["dataset=digits", "seeds=0"], ["seeds must be a whole number from 1"]),
        (["dataset=digits", "seeds=1.5"], ["seeds must be a whole number"]),
        (["dataset=digits", "jobs=0"], ["jobs must be null or a whole number from 1"]),
        (["dataset=digits", "images=1"], ["images must be a whole number from 2"]),
        (["dataset=digits", "likelihood=gausian"], ["likelihood=gausian is not one of", "did you mean gaussian?"]),
        (["dataset=digits", "likelihood=auto"], ["likelihood=auto is not one of"]),
        (["dataset=digits", "likelihood=cb,"], ["likelihood= is not one of"]),
        (["dataset=digits", "weighting=fixed_beta"], ["weighting=fixed_beta is what `vaekl suggest` decides"]),
        (["dataset=digits", "seed=3"], ["seed=3 is what `vaekl suggest` decides"]),
        (["dataset=digits", "hydra.run.dir=x"], ["decides by itself"]),
        (["dataset=digits", "dataset=mnist"], ["dataset is given twice"]),
        (["dataset=digits", "5m"], ["cannot read '5m'", "write key=value"]),
        (["dataset=digits", "-m"], ["unknown option -m"]),
        (["dataset=digitz"], ["dataset=digitz is not one of", "did you mean digits?"]),
        (["dataset=digits,mnist"], ["dataset=digits,mnist is several values, and `vaekl suggest` takes one of each"]),
        (["dataset=digits", "output_dir="], ["output_dir= is empty: give a folder"]),
        (["dataset=digits", "valid=0"], ["suggest judges by validation examples"]),
        (["dataset=digits", "model.latents=0"], ["model.latents must be a whole number from 1"]),
        (["dataset=digits", "likelihood=poisson"], ["none of the likelihoods fits digits", "takes counts"]),
    ],
)
def test_each_mistake_is_one_sentence(tmp_path, words, parts):
    refused(vaekl(tmp_path, "suggest", *words, *([] if "jobs=0" in words else ["jobs=1"])), *parts)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("transform=nope", "transform=nope is not one of"),
        ("suggest.nope=1", "there is no key suggest.nope"),
        ("trainer.steps=x", "trainer.steps must be null or a whole number from 1"),
    ],
)
def test_words_of_which_no_run_can_be_made_are_refused_by_themselves(word, said, tmp_path, monkeypatch):
    """Without the folder, and without torch: reading the words is enough."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VaeklError, match=said):
        parse(["dataset=digits", word])
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_key(tmp_path):
    answer = vaekl(tmp_path, "suggest", "--help")
    assert answer.code == 0
    for key in ("budget=10m", "for=density", "seeds=3", "images=500", "jobs=null"):
        assert key in answer.out


def test_a_family_of_one_s_own_is_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "likelihood").mkdir()
    (tmp_path / "likelihood" / "mine.yaml").write_text("# mine\n_target_: mine.Mine\n")
    answer = vaekl(tmp_path, "suggest", "dataset=digits", "likelihood=mine", "--config-dir", str(tmp_path))
    refused(answer, "likelihood=mine is of your own", "vaekl train -m likelihood=mine,gaussian")
