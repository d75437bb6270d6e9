"""`dataset.offset=total` from a file to the figures: its words, other data, resume, pictures, and what refuses it."""

import numpy as np
import pytest
import torch
from cli_helpers import SMALL, built, refused, results, same_weights, trained, vaekl, weights

from vaekl.measures.pictures import decoded
from vaekl.measures.tiles import Tiles
from vaekl.run.load import load_run
from vaekl.verbs.report.measure import _row

DRAW = np.random.default_rng(0)
COUNTS = DRAW.poisson(DRAW.gamma(2, 2, (60, 1)) * np.arange(1, 7))
COUNTS[0] = 0
WORDS = ("dataset=npz", "dataset.path=counts.npz", "dataset.kind=counts", "dataset.offset=total")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, and files of counts."""
    folder = tmp_path_factory.mktemp("counts")
    np.savez(folder / "counts.npz", x_train=COUNTS[:40], x_test=COUNTS[40:])
    np.savez(folder / "others.npz", x_test=3 * COUNTS)
    np.savez(folder / "zeros.npz", x_train=0 * COUNTS)
    (folder / "table.csv").write_text("a,b,c\n" + "".join(f"{a},{b},{c}\n" for a, b, c in COUNTS[:, :3]))
    trained(folder, *WORDS, "likelihood=poisson", "valid=10")
    return folder


def test_a_run_says_what_its_figures_are_given(folder):
    mean = load_run(folder / "run").data.train.batch(slice(None)).sum(1).mean().item()
    text = f"given each vector's total: rates exp(η)·total/{mean:.6g}, in samples of the prior exp(η)"
    assert results(folder / "run")["protocol"]["data"] == text
    run = load_run(folder / "run")
    assert len(run.data.train) == 30 and run.model.spec.mean_total == pytest.approx(mean)
    answer = vaekl(folder, "audit", "run")
    assert text in answer.out.replace("\n", " ")


def test_a_resumed_run_ends_as_an_uninterrupted_one(folder):
    other = folder / "other"
    words = [*SMALL, *WORDS, "likelihood=poisson", "valid=10"]
    short = [word.replace("steps=4", "steps=2") for word in words]
    assert vaekl(folder, "train", "hydra.run.dir=other", *short).code == 0
    answer = vaekl(folder, "resume", "other", "trainer.steps=4")
    assert answer.code == 0 and "given each vector's total" in answer.out
    assert same_weights(weights(other), weights(folder / "run"))
    assert results(other)["test"]["elbo_nats"] == results(folder / "run")["test"]["elbo_nats"]


def test_other_data_are_measured_against_the_mean_total_of_the_run(folder):
    changes = ("dataset=npz", f"dataset.path={folder / 'others.npz'}", "dataset.kind=counts")
    run, other = load_run(folder / "run"), load_run(folder / "run", changes=changes)
    assert other.model.spec.mean_total == run.model.spec.mean_total
    assert other.data.spec.protocol == run.data.spec.protocol
    x, z = run.data.train.batch(slice(0, 4)), torch.zeros(4, 4)
    torch.testing.assert_close(other.model.decode(z, 3 * x)[:, 0].exp(), 3 * run.model.decode(z, x)[:, 0].exp())


@pytest.mark.parametrize(
    "changes",
    [
        ("dataset.offset=null",),
        ("dataset=npz", "dataset.path=others.npz", "dataset.kind=counts", "dataset.offset=null"),
        pytest.param(("dataset=digits_counts", "dataset.offset=null"), marks=pytest.mark.nightly),
    ],
)
def test_other_data_cannot_take_the_offset_away(folder, changes):
    refused(vaekl(folder, "eval", "run", *changes), "dataset.offset", "trained with total", "leave it out")


def test_reconstructions_have_the_total_of_their_row_and_the_prior_the_mean(folder):
    words = ("sample.format=npz", "sample.decoder=mean", "sample.what=prior,reconstructions,interpolation")
    answer = vaekl(folder, "sample", "run", *words)
    assert "prior, at the mean total of" in answer.out and "in z and in the total" in answer.out
    model = load_run(folder / "run").model
    drawn = {
        kind: dict(np.load(folder / "run" / "samples" / f"{kind}_mean.npz"))
        for kind in ("prior", "reconstructions", "interpolation")
    }
    for kind, arrays in drawn.items():
        with torch.no_grad():
            rate = model.decode(torch.tensor(arrays["z"]))[:, 0].exp().numpy()
        if kind == "reconstructions":
            rate *= arrays["inputs"].sum(1, keepdims=True) / model.spec.mean_total
        if kind == "interpolation":
            totals = arrays["inputs"].sum(1).reshape(-1, 2)
            between = totals[:, :1] + (totals[:, 1:] - totals[:, :1]) * arrays["weights"]
            rate *= between.reshape(-1, 1) / model.spec.mean_total
        np.testing.assert_allclose(arrays["images"], rate, rtol=1e-4, atol=1e-6)


def test_the_report_draws_reconstructions_with_the_total_of_their_row(folder):
    run = load_run(folder / "run")
    drawn = _row("rows", "counts", run, 10, 0)
    x = run.data.test.batch(slice(None))
    with torch.no_grad():
        means = run.model.encode(x)[0]
        right, at_mean = (decoded(run.model, means, inputs=rows) for rows in (x, None))
    right, at_mean = (Tiles.of(run.model.spec, x).drawn(images[:10])[:, 0].numpy() for images in (right, at_mean))
    assert np.array_equal(drawn.reconstructions[..., 0], right) and not np.array_equal(right, at_mean)


@pytest.mark.parametrize(
    "family",
    ["zinb", "auto", *[pytest.param(name, marks=pytest.mark.nightly) for name in ("poisson", "negative_binomial")]],
)
def test_tables_and_digits_of_counts_have_it_too(folder, tmp_path, family):
    data = ("dataset=digits_counts",)
    if family in ("poisson", "auto"):
        data = ("dataset=table", f"dataset.path={folder / 'table.csv'}", "dataset.kind=counts")
    run = built(tmp_path, *data, "dataset.offset=total", f"likelihood={family}")
    x = run.trainer.data.train.batch(slice(None))
    assert run.trainer.data.spec.mean_total == pytest.approx(x.flatten(1).sum(1).mean().item(), rel=1e-6)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("likelihood=mixture", "likelihood.family=poisson"), ("likelihood=mixture", "likelihood=negative_binomial")),
        (("likelihood=gaussian",), ("holds counts",)),
        pytest.param(("likelihood=columns",), ("holds counts",), marks=pytest.mark.nightly),
        (("dataset.kind=real",), ("is for counts", "'real'", "dataset.kind=counts")),
        pytest.param(("dataset.kind=levels",), ("is for counts", "'unit_interval'"), marks=pytest.mark.nightly),
        (("transform=binarize",), ("is for counts", "'binary'", "transform=auto")),
        (("dataset.offset=mean",), ("dataset.offset must be null or total",)),
        pytest.param(("dataset.offset=3",), ("dataset.offset must be",), marks=pytest.mark.nightly),
        pytest.param(("dataset.offset=true",), ("dataset.offset must be",), marks=pytest.mark.nightly),
        (("dataset.path=zeros.npz",), ("every vector of npz is 0",)),
    ],
)
def test_what_has_no_total_refuses_it(folder, words, parts):
    answer = vaekl(folder, "train", "hydra.run.dir=none", *SMALL, *WORDS, *words)
    refused(answer, *parts)
    assert not (folder / "none").exists()
