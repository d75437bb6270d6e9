"""What a run that had not come to rest says of itself, and what every verb says of it."""

import json

import pytest
from cli_helpers import trained, vaekl


def test_no_verb_gives_an_unfinished_answer_as_an_answer(tmp_path):
    """With φ far above what it comes down to: while it falls, σ is coarse and every latent may be active."""
    words = ("likelihood=gaussian", "weighting=learned_precision", "weighting.init=0.3", "trainer.steps=100")
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *words, "trainer.log_every=5", "model.hidden=[32]")
    assert answer.code == 0, answer.err
    (line,) = (line for line in answer.out.splitlines() if line.startswith("  unfinished"))
    sentence, _, longer = line.removeprefix("  unfinished").strip().rpartition(": ")
    assert longer.startswith("vaekl resume ") and longer.endswith(" trainer.steps=200")
    assert sentence.startswith("φ still falling by ") and sentence.endswith(" per 100 steps: train longer")

    card = vaekl(tmp_path, "audit", "run").out
    assert f"no answer yet  {sentence}" in card
    assert "latents are active" in card and "collapses" not in card
    assert "trainer.steps=200" in card.partition("train it")[2]

    table = vaekl(tmp_path, "eval", "run", "eval.k=1", "eval.knn=false").out
    assert sentence in " ".join(table.replace("│", " ").split())  # a cell is as wide as the terminal lets it be
    assert json.loads((tmp_path / "run/eval.json").read_text())["moving"] == sentence
    assert vaekl(tmp_path, "report", "run", "report.pictures=0", "report.measure=false").code == 0
    assert sentence in (tmp_path / "run/report/report.md").read_text()


def test_a_run_at_rest_says_nothing(tmp_path):
    run = trained(tmp_path, "likelihood=gaussian", "optim.lr=1e-9", "trainer.steps=40", "trainer.log_every=2")
    assert "no answer yet" not in vaekl(tmp_path, "audit", str(run)).out


@pytest.mark.parametrize(
    "words",
    [
        ("lr_schedule=cosine",),
        # with patience, what the run keeps at its end depends on where that is
        ("trainer.patience=50", "trainer.valid_every=30"),
    ],
    ids=" ".join,
)
def test_no_command_is_printed_that_resume_may_refuse(words, tmp_path):
    learned = ("likelihood=gaussian", "weighting.init=0.3", "weighting=learned_precision", "model.hidden=[32]")
    length = ("trainer.steps=100", "trainer.log_every=5")
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *learned, *length, *words)
    (line,) = (line for line in answer.out.splitlines() if line.startswith("  unfinished"))
    assert line.endswith("train longer")
