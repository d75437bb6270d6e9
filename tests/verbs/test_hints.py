"""What a user is told beside the figures: other programs' words, settings that overrule others, an ELBO above 0."""

import pytest
from cli_helpers import SMALL, refused, vaekl

from vaekl.system.devices import pick_device
from vaekl.system.errors import VaeklError


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("likelihood=mae", "laplace"),
        ("likelihood=MSE", "gaussian"),
        ("likelihood=l2", "gaussian"),
        ("likelihood=bce", "bernoulli or cb"),
        ("likelihood=dmol", "logistic_mixture"),
        ("likelihood=nb", "negative_binomial"),
        ("likelihood=truncnorm", "truncated_gaussian"),
        ("likelihood=tobit", "censored_gaussian"),
        ("model=cnn", "conv"),
    ],
)
def test_the_word_of_another_program(word, hint, tmp_path):
    refused(vaekl(tmp_path, "train", word), f"{word} is not one of", f"(did you mean {hint}?)")


def test_a_gpu_is_called_cuda():
    with pytest.raises(VaeklError, match=r"^trainer\.device=gpu is not on this machine \(did you mean cuda\?\)"):
        pick_device("gpu")


@pytest.mark.parametrize("name", ["results.json", "metrics.csv", "config.yaml"])
@pytest.mark.parametrize("verb", ["eval", "sample"])
def test_a_file_of_a_run_names_its_folder(verb, name, tmp_path):
    (tmp_path / "run").mkdir()
    for file in ("config.yaml", "results.json", "metrics.csv"):
        (tmp_path / "run" / file).touch()
    refused(vaekl(tmp_path, verb, f"run/{name}"), f"run/{name} is a file of the run run: give that folder")


def lines(answer):
    """What is said, by the name that stands before it; of notes all."""
    assert answer.code == 0, answer.err
    notes = [line.split(None, 1)[1] for line in answer.out.splitlines() if line.startswith("  note ")]
    return notes, [line for line in answer.out.splitlines() if line.startswith("  above 0 ")]


def test_settings_that_are_overruled_and_a_density_whose_elbo_is_above_0(tmp_path):
    words = ("trainer.epochs=7", "trainer.batch_size=5000", "valid=0")
    notes, above = lines(vaekl(tmp_path, "train", "hydra.run.dir=run", *SMALL, *words))
    assert notes == [
        "trainer.batch_size=5000 is more than the 1,437 training images: each step takes all",
        "trainer.steps=4 is the run's length: trainer.epochs is not looked at",
    ]
    assert len(above) == 1 and "a density may be larger than 1" in above[0]


def test_neither_where_there_is_nothing_to_say(tmp_path):
    words = ("transform=binarize", "likelihood=bernoulli", "trainer.batch_size=1294")
    assert lines(vaekl(tmp_path, "train", "hydra.run.dir=run", *SMALL, *words)) == ([], [])
