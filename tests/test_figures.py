"""The reference figures of `docs/figures.md`, on the whole of MNIST. Slow: `make nightly`."""

import json
import shutil
from pathlib import Path

import pytest

from vaekl.cli import main

SHARED = Path(__file__).parents[2] / "shared" / "data"

#: test ELBO in nats of an independent implementation, same network and budget
REFERENCE = {
    "mnist_cb": 3226,
    "mnist_cb_clipped": 1473,
    "mnist_bce_dropped": 1172,
    "mnist_gaussian_learned": 738,
    "mnist_gaussian_unit": -739,
    "mnist_beta": 3227,
}


@pytest.mark.nightly
@pytest.mark.skipif(not (SHARED / "MNIST").is_dir(), reason="needs MNIST's archives in ../shared/data")
@pytest.mark.parametrize("experiment", REFERENCE)
def test_mnist_lands_within_two_percent(experiment, tmp_path, monkeypatch):
    shutil.copytree(SHARED / "MNIST", tmp_path / "data" / "MNIST", copy_function=shutil.copyfile)
    monkeypatch.chdir(tmp_path)
    assert main(["train", f"experiment={experiment}", f"data_dir={tmp_path / 'data'}"]) == 0
    (results,) = tmp_path.glob("outputs/*/results.json")
    assert json.loads(results.read_text())["test"]["elbo_nats"] == pytest.approx(REFERENCE[experiment], rel=0.02)
