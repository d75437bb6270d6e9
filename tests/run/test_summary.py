"""The table at a run's end: two columns that add up, and nothing where there is no such number."""

from dataclasses import replace
from math import log

import pytest
import torch
from helpers import data_of, grey, model_of, seeded, split_of, trainer_of
from trainer_cases import byte_data

from vaekl.data import DataSpec
from vaekl.data.coding import Code
from vaekl.data.scaling import Scaling
from vaekl.measures.elbo import evaluate
from vaekl.measures.importance import importance_bounds
from vaekl.model.control import Capacity, Controller, Geco
from vaekl.model.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from vaekl.model.objective import Iwae
from vaekl.model.weighting import FixedBeta, LearnedPrecision
from vaekl.run import summary


def table_of(data, likelihood, beta=0.5, schedule=1.0, control=None, objective=None):
    """The table's rows by their name, and the evaluation it shows."""
    model = model_of(data.spec, likelihood, FixedBeta(likelihood, data.spec.shape, beta))
    model.control = control or model.control
    model.objective = objective or model.objective
    trainer, _ = trainer_of(data, model)
    test = evaluate(model, data.test, seeded(), schedule)
    columns = [list(column.cells) for column in summary.end(trainer, test).columns]
    assert len(columns[0]) == len(set(columns[0]))
    return {name: tuple(values) for name, *values in zip(*columns, strict=True)}, test


def number(text):
    return float(text.replace(",", "").split(" ± ")[0])


def test_phi_and_sigma_stand_beside_the_name_and_kind_of_their_column():
    spec = DataSpec("t", (2,), None, "real", codes=(Code("age", "numeric"), Code("a/b", "count")))
    model = model_of(spec, Gaussian(), LearnedPrecision(Gaussian(), (2,), "value", 0.25))
    shown = summary.dispersions(evaluate(model, split_of(grey(4, (1, 1, 2)).flatten(1)), seeded()))
    table = {column.header: list(column.cells) for column in shown.columns}
    assert table == {"column": ["age", "a/b"], "kind": ["numeric", "count"], "φ": ["0.25"] * 2, OWN_UNIT: ["0.5"] * 2}
    many = replace(spec, shape=(99,), codes=tuple(Code(str(number), "numeric") for number in range(99)))
    model = model_of(many, Gaussian(), LearnedPrecision(Gaussian(), (99,), "value"))
    rows = list(
        summary.dispersions(evaluate(model, split_of(grey(4, (1, 9, 11)).flatten(1)), seeded())).columns[0].cells
    )
    assert rows[59:] == ["59", "and 39 more in results.json"]
    scalar = model_of(spec, Gaussian())
    assert summary.dispersions(evaluate(scalar, split_of(grey(4, (1, 1, 2)).flatten(1)), seeded())) is None


OWN_UNIT = "implied σ, own unit"
PARTS = ["−E/φ", "ln C", "−KL"]


def test_columns_with_units_of_their_own_have_no_one_sigma():
    data, images = data_of(), grey(64).flatten(1)[:, :2]
    assert "implied σ, RMSE" in table_of(data, Gaussian())[0]
    vectors = replace(data.spec, shape=(2,), support="real")
    scaling = Scaling(torch.zeros(2), torch.tensor([1.0, 40.0]), "value")
    for changes, has_one in (
        ({}, True),
        ({"codes": (Code("age", "numeric"), Code("a/b", "count"))}, False),
        ({"scaling": scaling}, False),
        ({"scaling": replace(scaling, per="data")}, True),
    ):
        spec = replace(vectors, **changes)
        rows, _ = table_of(replace(data, spec=spec, test=split_of(images)), Gaussian())
        assert ("implied σ, RMSE" in rows) == has_one, changes


@pytest.mark.parametrize("likelihood", [Gaussian(), ContinuousBernoulli()], ids=lambda likelihood: likelihood.name)
def test_both_columns_add_up_to_the_elbo_s(likelihood):
    rows, test = table_of(byte_data(), likelihood)
    nats, bits = zip(*(map(number, rows[name]) for name in PARTS), strict=True)
    assert sum(nats) == pytest.approx(number(rows["ELBO"][0]), abs=2e-3)
    assert rows["bins of width 1/256"] == ("", "+8.0000")
    assert sum(bits) + 8 == pytest.approx(number(rows["ELBO"][1]), abs=3e-4)
    assert number(rows["ELBO"][1]) == pytest.approx(8 - test.elbo / (16 * log(2)), abs=1e-4)
    # the parts of the table, not of each other
    assert [-test.energy_nats, test.log_norm_const, -test.kl] == pytest.approx(list(nats), abs=1e-3)


def test_a_distribution_needs_no_bins():
    images = grey(64).round()
    data = data_of()
    spec = replace(data.spec, support="binary", levels=2)
    data = replace(data, spec=spec, stored=spec, test=split_of(images))
    rows, test = table_of(data, Bernoulli())
    assert not [name for name in rows if "bins" in name]
    bits = [number(rows[name][1]) for name in PARTS]
    assert sum(bits) == pytest.approx(number(rows["ELBO"][1]), abs=3e-4)
    assert number(rows["ELBO"][1]) == pytest.approx(-test.elbo / (16 * log(2)), abs=1e-4)
    assert rows["ln C"] == ("0.000", "+0.0000")


def test_a_density_on_other_values_has_no_bits():
    rows, _ = table_of(data_of(), Gaussian())
    assert all(bits == "" for _, bits in rows.values())
    assert number(rows["ELBO"][0]) == pytest.approx(sum(number(rows[name][0]) for name in PARTS), abs=2e-3)


def test_one_image_has_no_standard_error():
    data = data_of()
    assert " ± " in table_of(data, Gaussian())[0]["ELBO"][0]
    assert " ± " not in table_of(replace(data, test=split_of(grey(1))), Gaussian())[0]["ELBO"][0]


@pytest.mark.parametrize(("beta", "schedule"), [(0.5, 1.0), (4.0, 0.25)])
def test_the_kl_s_weight_over_the_energy_s_is_shown(beta, schedule):
    rows, _ = table_of(byte_data(), Gaussian(), beta, schedule)
    assert number(rows["effective β_KL"][0]) == pytest.approx(beta * schedule)
    assert number(rows["dispersion φ"][0]) == pytest.approx(beta)


def test_the_bound_of_several_samples_has_the_name_and_the_error_that_eval_gives_it():
    data = replace(data_of(), test=split_of(grey(500)))
    rows, test = table_of(data, Gaussian(), 1.0, objective=Iwae(4))
    bound, error = (float(part) for part in rows["IWAE bound, K = 4"][0].replace(",", "").split(" ± "))
    assert bound == pytest.approx(-test.loss, abs=1e-3)
    model = model_of(data.spec, Gaussian(), FixedBeta(Gaussian(), data.spec.shape, 1.0))
    measured = importance_bounds(model.eval(), data.test, model.log_prob, [4], seeded(3)).bound[4]
    # other draws of z, the same images
    assert error == pytest.approx(measured.std().item() / len(data.test) ** 0.5, rel=0.1)
    assert not [name for name in table_of(data, Gaussian())[0] if "bound" in name]


HELD = {
    "KL": (Controller, {"target": 20.0}, lambda test: test.kl, "20"),
    "the same": (Capacity, {"target": 0.25}, lambda test: test.kl, "0.25"),
    "RMSE": (Geco, {"rmse": 0.14}, lambda test: test.rmse, "0.14"),
}


@pytest.mark.parametrize("name", HELD)
def test_a_target_stands_beside_what_was_reached(name):
    kind, options, of, shown = HELD[name]
    data = byte_data()
    rows, test = table_of(data, Gaussian(), control=kind(Gaussian(), data.spec, 64, **options))
    text = next(cells[0] for row, cells in rows.items() if row.endswith(", target"))
    reached, target, percent = text.replace(" (", ", ").rstrip(")").split(", ")
    assert float(reached) == pytest.approx(of(test), rel=1e-3) and target == shown
    assert float(percent.removesuffix(" %")) == pytest.approx(100 * (of(test) / float(shown) - 1), abs=0.06)


def test_a_distortion_s_distance_is_in_nats():
    data = byte_data()
    rows, test = table_of(data, Gaussian(), control=Geco(Gaussian(), data.spec, 64, nats=-3.0))
    distortion = test.energy_nats - test.log_norm_const
    assert rows["distortion, target"][0] == f"{distortion:,.3f}, -3 ({distortion + 3:+.3g} nats)"
    assert not [row for row in table_of(data, Gaussian())[0] if "target" in row]
