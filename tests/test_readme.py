"""What the README shows is what the program does."""

import csv
import re
import sys
from math import inf
from pathlib import Path
from statistics import fmean

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import gennorm, kstest

from vaekl.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def source() -> str:
    return python(0)


def python(number: int) -> str:
    """One of the README's two files of Python."""
    likelihood, control = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return (likelihood, control)[number]


def test_the_likelihood_of_the_readme_is_a_density(source):
    names: dict = {}
    exec(source, names)
    likelihood = names["Quartic"]()
    mean, phi = 0.3, torch.full((1, 1, 1), 0.2, dtype=torch.float64)
    eta = torch.full((1, 1, 1, 1, 1), mean, dtype=torch.float64)

    def density(x: float) -> float:
        return likelihood.log_prob(eta, torch.full((1, 1, 1, 1), x, dtype=torch.float64), phi).exp().item()

    assert quad(density, -inf, inf)[0] == pytest.approx(1, abs=1e-6)
    variance = quad(lambda x: (x - mean) ** 2 * density(x), -inf, inf)[0]
    assert likelihood.variance(eta, phi).item() == pytest.approx(variance, rel=1e-6)

    torch.manual_seed(0)
    draws = likelihood.sample(eta.expand(1, 1, 1, 100, 100), phi).flatten()
    exact = gennorm(4, mean, phi.item() ** 0.25)
    assert density(0.7) == pytest.approx(exact.pdf(0.7))
    assert kstest(draws.numpy(), exact.cdf).pvalue > 1e-3
    assert not likelihood.has_log_mass


def test_the_likelihood_of_the_readme_trains(source, tmp_path, monkeypatch, capsys):
    (tmp_path / "quartic.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["train", "likelihood=custom", "likelihood._target_=quartic.Quartic", "trainer.steps=2"]) == 0
    assert "auto → learned_precision" in capsys.readouterr().out
    assert len(list(tmp_path.glob("outputs/*/results.json"))) == 1


def test_the_control_of_the_readme_holds_the_rmse(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(python(1), encoding="utf-8")
    monkeypatch.delitem(sys.modules, "mine", raising=False)  # another test's
    monkeypatch.chdir(tmp_path)
    (line,) = re.findall(r"vaekl (train .*HoldRmse.*)", README)
    words = ["trainer.steps=1300", "model.hidden=[64]", "hydra.run.dir=run", "optim.lr=0.003", "trainer.log_every=50"]
    assert main([*line.split(), *words]) == 0
    assert "hold_rmse" in capsys.readouterr().out
    with open("run/metrics.csv", encoding="utf-8") as file:
        last = [row for row in csv.DictReader(file) if row["split"] == "train"][-5:]
    assert fmean(float(row["rmse"]) for row in last) == pytest.approx(0.15, rel=0.05)
    assert all(float(row["information_weight"]) > 2 for row in last)
