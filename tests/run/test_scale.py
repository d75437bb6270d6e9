"""The unit of the data is the user's affair: the same data in another unit give the same run in that unit."""

import json
from math import log

import numpy as np
import pytest
from cli_helpers import results, trained, vaekl

N = 36
WORDS = ("dataset=npz", "dataset.path=blobs.npz", "valid=0.1", "trainer.batch_size=30")


def blobs(folder, factor=1.0, offset=0.0):
    """Smooth pictures of 0…1 in another unit."""
    draw = np.random.default_rng(7)
    y, x = np.mgrid[:6, :6]
    places = draw.uniform(0, 6, (200, 2))
    pictures = [np.exp(-((y - a) ** 2 + (x - b) ** 2) / 6) for a, b in places]
    np.savez(folder / "blobs.npz", x_train=np.asarray(pictures, np.float64) * factor + offset)
    return np.asarray(pictures).std() * factor


@pytest.mark.nightly
@pytest.mark.parametrize("likelihood", ["gaussian", pytest.param("laplace", marks=pytest.mark.nightly)])
def test_a_unit_changes_nothing_but_units(likelihood, tmp_path):
    outcomes = []
    for number, (factor, offset) in enumerate([(3.0, 0.0), (3e-3, 0.0), (3e4, 0.0), (3.0, 1e3)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        spread = blobs(folder, factor, offset)
        run = trained(folder, *WORDS, f"likelihood={likelihood}", "trainer.steps=150")
        test = results(run)["test"]
        assert test["implied_sigma"] < spread
        outcomes.append((test["rmse"] / spread, test["elbo_nats"] + N * log(factor), test["dispersion"]))
    first = outcomes[0]
    for other in outcomes[1:]:
        assert other[0] == pytest.approx(first[0], rel=0.05)
        assert other[1] == pytest.approx(first[1], rel=0.05, abs=0.5)
        assert other[2] == pytest.approx(first[2], rel=0.05)


def test_other_data_are_seen_on_the_run_s_own_scale(tmp_path):
    """Half as large: standardized anew they would look the same, and the RMSE would be half of the run's."""
    blobs(tmp_path, 3.0)
    run = trained(tmp_path, *WORDS, "likelihood=gaussian", "trainer.steps=60")
    whole = vaekl(tmp_path, "eval", "run", "eval.k=1", "eval.knn=false")
    assert whole.code == 0
    (tmp_path / "other").mkdir()
    blobs(tmp_path / "other", 1.5)
    answer = vaekl(tmp_path, "eval", "run", "dataset.path=other/blobs.npz", "eval.k=1", "eval.knn=false")
    assert answer.code == 0, answer.err
    figures = [json.loads(file.read_text())["elbo"] for file in sorted(run.glob("eval*.json"))]
    assert figures[0]["implied_sigma"] == pytest.approx(figures[1]["implied_sigma"], rel=1e-6)
    assert figures[0]["rmse"] != pytest.approx(figures[1]["rmse"], rel=0.2)
    # the Jacobian is the run's own in every figure: the ELBO of one sample is the importance-weighted bound of one
    for file in run.glob("eval*.json"):
        report = json.loads(file.read_text())
        assert report["iwae"][0]["nats"] == pytest.approx(report["elbo"]["elbo_nats"], abs=1.0)
