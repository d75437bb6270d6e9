"""Vectors, signals, volumes and the rows of a table, from the first step to the report, as a user types it."""

import csv
import json

import numpy as np
import pytest
from cli_helpers import Answer, results, same_weights, vaekl, weights
from PIL import Image

from vaekl.training.trainer import Trainer
from vaekl.verbs.report import style

RNG = np.random.default_rng(0)
COUNT = 40
#: what is drawn: the same one thing in each example, larger or smaller, and noise
SIZE = RNG.normal(size=COUNT)


def noisy(*shape):
    pattern = np.sin(np.arange(np.prod(shape))).reshape(shape)
    return 900 + 40 * (SIZE.reshape(-1, *[1] * len(shape)) * pattern + 0.1 * RNG.normal(size=(COUNT, *shape)))


CONV = ("model=conv", "model.width=3", "model.hidden=8", "model.latents=2")
MLP = ("model=mlp", "model.hidden=[8]", "model.latents=2")
#: by the word for one example: the array, its layout, its shape, and the network
CASES = {
    "vector": (noisy(9), "ND", (9,), MLP),
    "signal": (noisy(2, 30), "NCT", (2, 30), CONV),
    "volume": (noisy(8, 9, 10), "NDHW", (1, 8, 9, 10), CONV),
    "row": (None, None, (4,), ("model=linear", "model.latents=2")),
}
STEPS = ("trainer.steps=6", "trainer.valid_every=2", "trainer.log_every=2", "trainer.batch_size=8", "valid=6")


def typed(folder, *words) -> Answer:
    answer = vaekl(folder, *words)
    assert answer.code == 0, answer.err
    return answer


def words_of(example, folder):
    """The words of `vaekl train` for such data, which are written into the folder."""
    array, layout, _, nets = CASES[example]
    common = [*nets, *STEPS, "likelihood=gaussian", "weighting=learned_precision", "weighting.per=channel"]
    if array is None:
        with (folder / "x.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["size", "weight", "colour", "kind"])
            writer.writerows(
                [s, 5 * s + i % 7, ("red", "blue")[i % 2], ("a", "b", "c")[i % 3]] for i, s in enumerate(SIZE)
            )
        return [*common, "dataset=table", "dataset.path=x.csv", "dataset.label=kind"]
    np.savez(
        folder / "x.npz", x_train=array[:30], x_test=array[30:], y_train=np.arange(30) % 2, y_test=np.arange(10) % 2
    )
    return [*common, "dataset=npz", "dataset.path=x.npz", f"dataset.layout={layout}"]


@pytest.fixture(params=CASES, scope="module")
def made(request, tmp_path_factory):
    """The word for an example, a finished run of such data, and its folder."""
    folder = tmp_path_factory.mktemp(request.param)
    words = words_of(request.param, folder)
    answer = typed(folder, "train", "hydra.run.dir=run", *words)
    return request.param, folder, words, answer


def test_the_head_and_the_figures_call_an_example_by_its_word(made):
    example, _, _, answer = made
    shape = "×".join(map(str, (3,) if example == "row" else CASES[example][2]))
    assert f" test {example}s of {shape}; standardized" in answer.out
    for part in (f"nats per {example}", f"averaged over {example}s", f"{example}s/s"):
        assert part in answer.out
    assert "image" not in answer.out


def test_a_run_that_is_stopped_goes_on_to_the_same_weights(made, monkeypatch):
    _, folder, words, _ = made
    whole = Trainer.train_step

    def train_step(self, stored):
        whole(self, stored)
        self.stop_requested = self.step == 3

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", train_step)
        assert vaekl(folder, "train", "hydra.run.dir=stopped", *words).code == 130
    assert "resumed at step 3" in typed(folder, "resume", "stopped").out
    assert same_weights(weights(folder / "stopped"), weights(folder / "run"))
    assert results(folder / "stopped") == results(folder / "run")


def test_it_is_measured(made):
    example, folder, _, _ = made
    out = typed(folder, "eval", "run", "eval.k=1,4", "eval.ais_steps=2", "eval.ais_images=2").out
    measured = json.loads((folder / "run" / "eval.json").read_text())
    assert measured["example"] == example and measured["quality"] is None and measured["reliability"] is None
    assert measured["elbo"]["elbo_nats"] == pytest.approx(results(folder / "run")["test"]["elbo_nats"], rel=1e-5)
    names = {
        "vector": [f"value {i}" for i in range(9)],
        "signal": ["channel 0", "channel 1"],
        "volume": [],
        "row": ["column size", "column weight", "column colour=red"],
    }[example]
    assert list(measured["calibration"]) == ["all", *names]
    assert f"test {example}s" in out and "15-NN accuracy" in out
    refusal = vaekl(folder, "eval", "run", "eval.features=classifier").err
    assert "eval.features=none" in refusal and refusal.count("\n") == 1


def test_it_is_drawn(made):
    example, folder, _, _ = made
    shape = (3,) if example == "row" else CASES[example][2]
    typed(folder, "sample", "run", "sample.count=10")
    typed(folder, "sample", "run", "sample.count=10", "--format", "npz")
    for kind in ("prior", "reconstructions", "traversal", "interpolation"):
        with np.load(folder / "run" / "samples" / f"{kind}_sample.npz") as arrays:
            assert arrays["images"].shape[1:] == shape
        with Image.open(folder / "run" / "samples" / f"{kind}_mean.png") as image:
            words, pixels = image.text["Description"], np.asarray(image.convert("L"))
        assert {"vector": "lower to upper edge", "row": "colour=red 0 to 1", "volume": "slice 5 of 8"}.get(
            example, ""
        ) in words
        assert len(np.unique(pixels[-60:])) > 1, "something is drawn"
    with np.load(folder / "run" / "samples" / "reconstructions_mean.npz") as arrays:
        inputs = arrays["inputs"]
    if example != "row":
        np.testing.assert_allclose(inputs, CASES[example][0].reshape(COUNT, *shape)[30:], rtol=1e-4)
    for name in ("inputs_above_reconstructions", "prior_means", "prior_samples", "latent_traversal"):
        with Image.open(folder / "run" / f"{name}.png") as image:
            assert len(np.unique(np.asarray(image))) > 1


def test_it_is_audited(made):
    example, folder, _, _ = made
    out = typed(folder, "audit", "run").out
    assert f"nats per {example}" in out and f"averaged over {example}s" in out and "image" not in out
    data = ["dataset=table", "dataset.path=x.csv"] if example == "row" else ["dataset=npz", "dataset.path=x.npz"]
    layout = [] if example == "row" else [f"dataset.layout={CASES[example][1]}"]
    out = typed(folder, "audit", *data, *layout, "latents=1").out
    assert f"training {example}s of" in out and f"nats per {example}" in out


def test_it_is_diagnosed(made):
    example, folder, _, _ = made
    out = typed(folder, "diagnose", "run", "diagnose.trial_steps=1", "diagnose.k=2").out
    assert f"nats per {example}" in out and f"latents of training {example}s" in out and "image" not in out


def test_it_is_reported(made, monkeypatch):
    example, folder, _, _ = made
    monkeypatch.setattr(style, "rendered", lambda figure, kind: b'<svg xmlns="http://www.w3.org/2000/svg"/>')
    typed(folder, "report", "run", "report.jobs=1", "report.pictures=3", "report.output=report")
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert f"nats per test {example}" in page and f"Reconstructions of the first test {example}s" in page
    assert {"row": "Each bar is a column", "vector": "Each bar is a value"}.get(example, "") in page
    assert "image" not in page.split("<body", 1)[1].replace("data:image", "").replace("images_per_second", "")
