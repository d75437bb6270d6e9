"""`vaekl.load` of runs of real numbers, of rows of a table and of counts: what users give stands on their own scale."""

import numpy as np
import pyarrow
import pytest
import torch
from cli_helpers import results, trained
from scipy import stats

import vaekl


def test_real_numbers_stay_on_their_scale_and_need_no_file(tmp_path):
    rows = np.random.default_rng(0).normal([5, -300], [0.1, 40], (80, 2))
    np.savez(tmp_path / "real.npz", x_train=rows[:60], x_test=rows[60:])
    run = trained(tmp_path, "dataset=npz", "dataset.path=real.npz", "likelihood=gaussian", "dataset.kind=real")
    (tmp_path / "real.npz").unlink()
    model = vaekl.load(run)
    assert vaekl.load(run, noise="eval").elbo(rows[60:]).mean().item() == pytest.approx(
        results(run)["test"]["elbo_nats"], rel=1e-5
    )
    law = model.decode(model.encode(rows).mean)
    assert model.reconstruct(rows).numpy() == pytest.approx(law.mean.cpu().numpy(), rel=1e-5)
    by_scipy = stats.norm.logpdf(rows, law.mean.cpu(), law.variance.sqrt().cpu()).sum(1)
    assert law.log_prob(model.prepare(rows)).cpu().numpy() == pytest.approx(by_scipy, rel=1e-4, abs=1e-3)
    assert abs(model.sample(200).mean(0)[1].item() + 300) < 30
    with pytest.raises(ValueError, match=r"\[2, 3\].*vectors of 2 with real numbers"):
        model.elbo(np.zeros((2, 3)))
    with pytest.raises(vaekl.VaeklError, match="no bits/dim"):
        model.bits_per_dim(rows)
    far = np.array([[5, -300], [1e30, 1], [5, -200], [5, 1e30]])
    for figures, what in ((model.elbo, "the ELBO"), (model.log_prob, r"ln p\(x\)")):
        with pytest.raises(
            ValueError, match=rf"{what} is no finite number for 2 of 4 vectors \(numbers 1, 3, from 0\)"
        ):
            figures(far)
    with pytest.raises(ValueError, match="x has 1 values that are NaN or infinite as float32"):
        model.elbo([[1e300, 0], [5, -300]])


def test_rows_of_a_table_are_coded_as_the_run_s(tmp_path):
    draw = np.random.default_rng(0)
    age, city = draw.integers(20, 60, 60) + 0.5, draw.choice(["Bonn", "Köln", "Ulm"], 60)
    smokes = draw.choice(["no", "yes"], 60)
    lines = [f"{a},{c},{s}" for a, c, s in zip(age, city, smokes, strict=True)]
    (tmp_path / "people.csv").write_text("\n".join(["age,city,smokes", *lines]), encoding="utf-8")
    run = trained(tmp_path, "dataset=table", "dataset.path=people.csv", "likelihood=columns")
    (tmp_path / "people.csv").unlink()
    model = vaekl.load(run)
    coded = np.stack([age, city == "Bonn", city == "Köln", city == "Ulm", smokes == "yes"], 1)
    table = {"smokes": smokes[:1], "name": ["Ada"], "city": city[:1], "age": age[:1]}
    for rows in (table, pyarrow.table(table)):
        assert torch.equal(model.elbo(rows), model.elbo(coded[:1]))
    for column, values, words in (
        ("city", ["Rom"], "holds 'Rom', and the run knows Bonn, Köln, Ulm"),
        ("age", ["old"], "holds words such as 'old'"),
        ("age", [np.nan], "NaN"),
    ):
        with pytest.raises(ValueError, match=words):
            model.elbo(table | {column: values})
    with pytest.raises(ValueError, match="lacks the column age"):
        model.elbo({"city": ["Ulm"], "smokes": ["no"]})


def test_rates_in_proportion_to_totals_keep_each_row_s_own(tmp_path):
    rows = np.random.default_rng(0).poisson([3, 9], (80, 2)) + 1
    np.savez(tmp_path / "counts.npz", x_train=rows[:60], x_test=rows[60:])
    words = ("dataset=npz", "dataset.path=counts.npz", "dataset.kind=counts", "dataset.offset=total")
    run = trained(tmp_path, *words, "likelihood=poisson")
    (tmp_path / "counts.npz").unlink()
    model = vaekl.load(run)
    assert vaekl.load(run, noise="eval").elbo(rows[60:]).mean().item() == pytest.approx(
        results(run)["test"]["elbo_nats"], rel=1e-5
    )
    z = model.encode(rows).mean
    for number, x in ((10, rows[:20]), (20, rows[:10])):
        with pytest.raises(ValueError, match=f"x has {len(x)} rows and z {number}"):
            model.decode(z[:number], x)
    assert torch.equal(model.reconstruct(10 * rows), model.decode(model.encode(10 * rows).mean, 10 * rows).mean.cpu())
    assert (10 * model.decode(z, rows).mean).cpu().numpy() == pytest.approx(
        model.decode(z, 10 * rows).mean.cpu().numpy(), rel=1e-5
    )
    by_scipy = stats.poisson.logpmf(rows, model.decode(z, rows).mean.cpu()).sum(1)
    assert model.decode(z, rows).log_prob(model.prepare(rows)).cpu().numpy() == pytest.approx(by_scipy, rel=1e-4)
