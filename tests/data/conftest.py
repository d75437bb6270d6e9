"""What the tests of data share: the real files, copied to where they may be unpacked, and no network."""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def shared() -> Path:
    """The folder of real data; read-only."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here")
    return SHARED


@pytest.fixture
def copied(shared: Path, tmp_path: Path) -> Path:
    """A data directory that holds MNIST's archives and nothing else."""
    shutil.copytree(shared / "MNIST", tmp_path / "MNIST")
    for path in tmp_path.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path


@pytest.fixture(autouse=True)
def own_data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is kept of the tests' images is kept apart."""
    monkeypatch.setenv("VAEKL_DATA_DIR", str(tmp_path_factory.mktemp("data")))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download fails at once."""

    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
