"""One small sweep for all tests of the report; tests that change it take a copy."""

import shutil
from pathlib import Path

import pytest
from report_cases import RUNS, reported, train

from vaekl.verbs.report import style


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `sweep` of eight runs, measured by the report in `sweep/report`."""
    folder = tmp_path_factory.mktemp("report")
    for name, words in RUNS.items():
        train(folder, f"sweep/{name}", *words)
    answer = reported(folder, "sweep", "report.jobs=1", "report.pictures=4")
    assert answer.code == 0, answer.err
    assert "measuring 8 runs" in answer.out
    return folder


@pytest.fixture
def sweep(made: Path, tmp_path: Path) -> Path:
    """A copy of the sweep, without its report."""
    return shutil.copytree(made / "sweep", tmp_path / "sweep", ignore=shutil.ignore_patterns("report"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what a report says: its figures, most of the seconds it takes, are made and not rendered."""
    monkeypatch.setattr(style, "rendered", lambda figure, kind: b'<svg xmlns="http://www.w3.org/2000/svg"/>')
