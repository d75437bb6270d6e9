"""A family for each column of a table: ln p of a row by SciPy, missing values, and a run on such a table."""

import csv
import re

import numpy as np
import pytest
import torch
from cli_helpers import refused, results, rows, trained, vaekl
from scipy import stats
from scipy.special import expit, log_softmax

from vaekl.data import Data, Split, generator
from vaekl.data.auto import AutoTransform
from vaekl.data.coding import Code
from vaekl.data.sources.table import table
from vaekl.data.spec import DataSpec
from vaekl.measures.elbo import evaluate
from vaekl.model.likelihoods import AutoLikelihood, Columns
from vaekl.model.nets import mlp
from vaekl.model.vae import VAE
from vaekl.model.weighting import auto_weighting
from vaekl.run.build_data import check_support
from vaekl.run.load import load_run
from vaekl.system.errors import VaeklError

COUNT = 80
CITIES = ("Bonn", "Köln", "Ulm")


def people(file, missing=0.0):
    """A table with a column of each kind, of whose values some are missing."""
    draw = np.random.default_rng(5)
    size = draw.normal(size=COUNT)
    columns = {
        "height": (170 + 9 * size).round(1),
        "children": draw.poisson(np.exp(0.4 + 0.3 * size)),
        "smokes": np.where(draw.random(COUNT) < expit(size), "yes", "no"),
        "city": np.array(CITIES)[draw.integers(0, 3, COUNT)],
    }
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(["" if draw.random() < missing else value for value in row])
    return str(file)


def model_of(path, **options):
    """A VAE on that table, untrained, and its data."""
    likelihood = Columns()
    data = Data.from_source(table(path, **options), AutoTransform(), likelihood.accepts)
    likelihood.check_spec(data.spec)
    torch.manual_seed(0)
    nets = mlp(data.spec.shape, likelihood.outputs, 2, (8,))
    weighting = auto_weighting(likelihood, data.spec.shape)
    with torch.no_grad():
        weighting.log_dispersion.copy_(torch.linspace(-1, 0.5, data.spec.dims))
    return VAE(data.spec, nets, likelihood, weighting, 2).eval(), data


def by_scipy(eta, x, phi, scaling):
    """ln p of each value of a row on the user's scale, [B, 6]: height, children, smokes=yes, and three cities."""
    (height, children, smokes, *city), user = eta[:, 0].double().T.numpy(), scaling.original(x).double().numpy()
    mean, spread = scaling.center[0].item(), scaling.spread[0].item()
    columns = [
        stats.norm(height * spread + mean, spread * phi[0] ** 0.5).logpdf(user[:, 0]),
        stats.nbinom(1 / phi[1], 1 / (1 + phi[1] * np.exp(children))).logpmf(user[:, 1].round()),
        stats.bernoulli(expit(smokes)).logpmf(np.nan_to_num(user[:, 2])),
        *(np.array(log_softmax(city, 0)) * np.nan_to_num(user[:, 3:]).T),
    ]
    return np.stack(columns, 1)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_ln_p_of_a_row_is_the_sum_over_the_columns_that_are_there(tmp_path, missing):
    path = people(tmp_path / "people.csv", missing)
    model, data = model_of(path, missing="mask" if missing else "refuse")
    assert data.spec.support == "mixed" and data.spec.has_missing == bool(missing)
    x = data.train.batch(slice(None))
    assert x.isnan().any().item() == bool(missing)
    terms, eta = model.terms(x, torch.zeros(len(x), 2))
    phi = model.weighting.dispersion.detach().double().numpy()
    expected = np.where(x.isnan(), 0, by_scipy(eta.detach(), x, phi, data.spec.scaling)).sum(1)
    np.testing.assert_allclose(model.log_prob(eta, x).detach(), expected, rtol=2e-5)
    np.testing.assert_allclose((terms.log_norm_const - terms.energy_nats).detach(), expected, rtol=2e-5)
    assert terms.energy_nats.isfinite().all()


@pytest.mark.parametrize(
    ("place", "values", "sentence"),
    [
        (slice(3, 6), (0, 0, 0), r"one 1 and else 0 as the 3 values of the column city, but a row holds \(0, 0, 0\): "),
        (slice(3, 6), (1, 1, 1), r"of the column city, but a row holds \(1, 1, 1\): "),
        (slice(3, 6), (0.5, 0.5, 0), r"of the column city, but a row holds \(0.5, 0.5, 0\): "),
        (slice(3, 6), (float("nan"), 1, 0), r"of the column city, but a row holds \(nan, 1, 0\): "),
        (1, 1.5, "whole numbers from 0 on of the column children, but a row holds 1.5: give rows as the run's"),
        (1, -2, "whole numbers from 0 on of the column children, but a row holds -2: "),
        (2, 2, "0 or 1 of the column smokes=yes, but a row holds 2: "),
    ],
)
def test_a_row_that_no_column_can_have_is_refused_wherever_it_stands(tmp_path, place, values, sentence):
    model, data = model_of(people(tmp_path / "people.csv", 0.2), missing="mask")
    stored = data.train.stored(slice(None)).float().repeat(20, 1)
    stored[-1, place] = torch.tensor(values).float()
    assert len(stored) > 1000
    with pytest.raises(VaeklError, match=f"^likelihood=columns takes .*{sentence}"):
        check_support(model.likelihood, Split(stored, None, data.train.transform), data.spec, generator("support", 0))


def test_phi_of_a_column_without_a_noise_level_has_no_gradient(tmp_path):
    model, data = model_of(people(tmp_path / "people.csv"))
    terms = model(data.train.batch(slice(None)), torch.zeros(len(data.train), 2))
    (slope,) = torch.autograd.grad(model.weighting.loss(terms, 1.0), model.weighting.log_dispersion)
    assert (slope[:2].abs() > 1e-3).all() and not slope[2:].any()
    assert torch.equal(model.weighting.dispersion[2:], torch.ones(4))
    assert torch.equal(model.weighting.own_dispersions, model.weighting.log_dispersion[:2].exp())
    assert model.effective_beta_kl(model.weighting.dispersion, 1.0).tolist() == [1.0] * 6


def test_draws_are_of_each_columns_kind(tmp_path):
    model, _ = model_of(people(tmp_path / "people.csv"))
    eta = torch.zeros(5000, model.likelihood.outputs, 6)
    phi = torch.tensor([4.0, 1, 1, 1, 1, 1])
    draws = model.likelihood.sample(eta, phi, torch.Generator().manual_seed(0))
    assert draws[:, 0].var().item() == pytest.approx(4.0, rel=0.1)
    assert torch.equal(draws[:, 1], draws[:, 1].round()) and draws[:, 1].mean().item() == pytest.approx(1, rel=0.1)
    assert sorted(draws[:, 2].unique().tolist()) == [0, 1]
    assert torch.equal(draws[:, 3:].sum(1), torch.ones(5000)) and stats.chisquare(draws[:, 3:].sum(0)).pvalue > 1e-4


def test_a_table_with_missing_values_trains_is_judged_and_read_back(tmp_path):
    words = ["dataset=table", f"dataset.path={people(tmp_path / 'people.csv', 0.2)}", "dataset.missing=mask"]
    run = trained(tmp_path, *words, "likelihood=auto", "trainer.steps=30", "seed=1")
    assert results(run)["protocol"]["data"].endswith("ELBO on the data's own scale, not the standardized one")
    figures = results(run)["test"]
    columns = figures["dispersion_by_channel"]
    assert {name: column["kind"] for name, column in columns.items()} == {
        "column height": "numeric", "column children": "count",
    }  # fmt: skip
    spread = load_run(run).model.spec.scaling.spread[0].item()
    height = columns["column height"]
    assert height["implied_sigma"] == pytest.approx(spread * height["dispersion"] ** 0.5, rel=1e-5)
    assert [column["dispersion"] for column in columns.values()] == figures["dispersions"]
    assert np.isfinite(figures["elbo_nats"]) and np.isfinite(figures["rmse"])
    read = load_run(run)
    x = read.data.test.batch(slice(None), generator("test", 1))
    judged = evaluate(read.model, read.data.test, generator("test", 1))
    with torch.no_grad():
        eta = read.model.decode(read.model.sample_posterior(x, generator("test", 1)).z)
        left = (read.model.moments(eta)[0] - read.model.spec.to_data(x))[~x.isnan()]
    assert judged.rmse == pytest.approx(left.double().square().mean().sqrt().item(), rel=1e-5)
    assert all(np.isfinite(float(row["loss"])) for row in rows(run) if row["loss"])
    answer = vaekl(tmp_path, "eval", str(run), "eval.k=2")
    assert answer.code == 0 and "nan" not in answer.out
    assert re.search(rf"column height .*φ = {height['dispersion']:.5g} \(numeric\)", answer.out)
    # one figure of columns in several units would be of none of them
    assert not re.search("implied σ / RMSE[^,]", answer.out) and "an estimate" in answer.out
    assert vaekl(tmp_path, "sample", str(run), "sample.count=4").code == 0


def test_what_has_no_law_for_missing_values_says_so(tmp_path):
    words = ["dataset=table", f"dataset.path={people(tmp_path / 'people.csv', 0.2)}"]
    refused(vaekl(tmp_path, "train", *words), "dataset.missing=mask with likelihood=columns")
    answer = vaekl(tmp_path, "train", *words, "dataset.missing=mask", "likelihood=gaussian")
    refused(answer, "likelihood=gaussian has no law for missing values", "likelihood=columns")


SPECS = {
    "cb": DataSpec("a", (1, 4, 4), 256, "levels"),
    "bernoulli": DataSpec("a", (1, 4, 4), 2, "binary"),
    "negative_binomial": DataSpec("a", (4,), None, "counts"),
    "gaussian": DataSpec("a", (4,), None, "real"),
    "columns": DataSpec("a", (2,), None, "real", codes=(Code("a", "numeric"), Code("b", "count"))),
}


@pytest.mark.parametrize("name", SPECS)
def test_auto_takes_the_family_of_the_data(name):
    likelihood = AutoLikelihood().resolve(SPECS[name])
    assert likelihood.name == name and likelihood.chosen_because
    assert AutoLikelihood().resolve(SPECS["columns"], transformed=True).name == "gaussian"
    counts = DataSpec("a", (2,), None, "counts", codes=(Code("a", "count"), Code("b", "count")))
    assert AutoLikelihood().resolve(counts).name == "negative_binomial"
    numbers = DataSpec("a", (2,), None, "real", codes=(Code("a", "numeric"), Code("b", "numeric")))
    assert AutoLikelihood().resolve(numbers).name == "gaussian"


def test_columns_are_for_tables():
    with pytest.raises(VaeklError, match="is for tables"):
        Columns().check_spec(SPECS["bernoulli"])
