"""The programs of docs/examples/, and what docs/distributions.md and docs/own_programs.md show."""

import json
import os
import re
import runpy
from pathlib import Path

import pytest
from cli_helpers import trained, vaekl

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


def blocks_of(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_pipeline_of_the_page_runs():
    names: dict = {}
    exec(blocks_of("own_programs.md")[0].replace("steps=500", "steps=20"), names)
    assert names["nats"].shape == (178,) and names["accuracy"] > 0.5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own_programs")
    trained(folder)
    return folder


def test_the_plot_of_the_page_is_drawn_from_its_keys(run, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(run)
    assert vaekl(run, "encode", "run", "encode.out=latents.npz").code == 0
    names: dict = {}
    exec(blocks_of("own_programs.md")[1], names)
    keys = {"mean", "std", "row", "label", "split", "about"}
    assert set(names["latents"].files) == keys and (run / "latents.png").stat().st_size > 10_000
    assert vaekl(run, "encode", "run", "--format", "csv", "encode.out=latents.csv").code == 0
    head = (run / "latents.csv").read_text().splitlines()[0].split(",")
    assert head == ["row", "split", "label", *[f"{key}_{z}" for key in ("mean", "std") for z in range(4)]]


@pytest.mark.nightly
def test_the_exported_networks_of_the_page_run(run, monkeypatch):
    monkeypatch.chdir(run)
    for to, out in (("torch-export", "model"), ("onnx", "onnx")):
        assert vaekl(run, "export", "run", "--to", to, f"export.out={out}").code == 0
    names: dict = {}
    exec(blocks_of("own_programs.md")[2], names)
    assert names["images"].shape == (16, 1, 8, 8) and names["z"].shape == (16, 4)
    exec(blocks_of("own_programs.md")[3], names)
    assert names["mean"].shape == (16, 1, 8, 8)


def texts_of(notebook):
    """What the cells of a notebook have written, as text, one string for each output."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    return ["".join(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in outputs]


def test_the_notebook_runs(tmp_path, monkeypatch):
    for package in ("nbclient", "ipykernel"):
        pytest.importorskip(package, reason=f"the notebook needs {package}, which the project does not: `make extras`")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(DOCS.parent), os.environ.get("PYTHONPATH", "")]))
    executed = runpy.run_path(str(DOCS / "make_notebook.py"))["executed"](tmp_path)
    shown, kept = texts_of(executed), texts_of(json.loads((DOCS / "examples" / "notebook.ipynb").read_text("utf-8")))
    elbos = [float(re.search(r"^ELBO (\S+) nats", "\n".join(texts), re.MULTILINE)[1]) for texts in (shown, kept)]
    assert elbos[0] == pytest.approx(elbos[1], abs=0.5)
    for texts in (shown, kept):
        # the progress is one line, in which the last figures are left
        (line,) = [text for text in texts if "1,500/1,500" in text]
        assert re.fullmatch(r" *step +1,500/1,500 · train ELBO \S+ nats · \S+ images/s · valid ELBO \S+ nats", line)
        assert not re.search(r"\x1b|(?<![\w/])/(?:home|tmp|root|work|Users|private|var)/", "\n".join(texts))


def test_the_notebook_has_its_outputs():
    """What is committed has figures and pictures in it, and is no larger than a page."""
    file = DOCS / "examples" / "notebook.ipynb"
    cells = [cell for cell in json.loads(file.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] for cell in cells[1:]) and file.stat().st_size < 100_000
    assert sum("image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"]) == 2
