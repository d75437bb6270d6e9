"""Which runs a path stands for, and what is said where there is none."""

import pytest

from vaekl.store import find_runs
from vaekl.system.errors import VaeklError


def test_a_run_a_checkpoint_and_folders_of_runs(tmp_path):
    runs = [tmp_path / "sweep" / name for name in ("a", "b")]
    for run in runs:
        run.mkdir(parents=True)
        (run / "config.yaml").touch()
        (run / "last.pt").touch()
    assert find_runs(runs[0]) == [runs[0]]
    assert find_runs(runs[0] / "last.pt") == [runs[0] / "last.pt"]
    assert find_runs(tmp_path / "sweep") == find_runs(tmp_path) == runs
    with pytest.raises(VaeklError, match=r"holds no run .* but .*sweep/a does: give that"):
        find_runs(runs[0] / "best.pt")


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(VaeklError, match=r"holds no run .*: give a folder that `vaekl train` made"):
        find_runs(tmp_path / "nothing")
