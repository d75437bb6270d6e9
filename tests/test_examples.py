"""The programs of docs/examples/, and what docs/distributions.md shows."""

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
#: what an example needs beside the project
NEEDS = {"pyro_model": "pyro", "lightning_module": "lightning"}


@pytest.mark.parametrize("example", sorted(file.stem for file in DOCS.glob("examples/*.py")))
def test_an_example_learns(example, capfd, tmp_path, monkeypatch):
    if package := NEEDS.get(example):
        pytest.importorskip(package, reason=f"docs/examples/{example}.py needs {package}, which the project does not")
    monkeypatch.chdir(tmp_path)
    elbo = runpy.run_path(str(DOCS / "examples" / f"{example}.py"))["main"](epochs=3)
    # uniform noise has 0 nats
    assert 0 < elbo < 150
    assert f"epoch 3: ELBO {elbo:.2f} nats" in capfd.readouterr().out


def test_the_code_of_the_page_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "distributions.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert names["kl"].item() == pytest.approx(22.1789, abs=1e-3) and names["elbo"].shape == (5,)
