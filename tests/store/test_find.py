"""Which runs a path stands for, and what is said where there is none."""

import pytest

from vaekl.store import RunFolder, find_runs, linked_runs
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
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
    with pytest.raises(VaeklError, match=rf"{tmp_path} is no run but holds 2 of them: give one .* such as .*/a\.$"):
        RunFolder(tmp_path).config()


@pytest.mark.parametrize("name", ["mine.npz", "mine.csv", "model.safetensors"])
def test_a_file_is_said_to_be_no_run(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(
        VaeklError, match=rf"{name} is a file, and neither a run folder nor a checkpoint: give a folder"
    ):
        find_runs(tmp_path / name)


def test_links_to_runs_are_left_out(tmp_path):
    for name in ("elsewhere/run", "sweep/own"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.yaml").touch()
    (tmp_path / "sweep/linked").symlink_to(tmp_path / "elsewhere/run")
    (tmp_path / "sweep/data").symlink_to(tmp_path)
    (tmp_path / "more").symlink_to(tmp_path / "elsewhere")
    sweep = tmp_path / "sweep"
    assert find_runs(sweep) == [sweep / "own"] and linked_runs(sweep) == [sweep / "linked"]
    assert find_runs(tmp_path) == [tmp_path / "elsewhere/run", sweep / "own"]
    assert linked_runs(tmp_path) == [tmp_path / "more", sweep / "linked"]
    # what is named itself may be a link
    assert find_runs(sweep / "linked") == [sweep / "linked"] and linked_runs(sweep / "linked") == []
    assert find_runs(tmp_path / "more") == [tmp_path / "more/run"] and linked_runs(tmp_path / "more") == []
    (sweep / "own/config.yaml").unlink()
    with pytest.raises(VaeklError, match=r"sweep/linked is left out \(it is a link, .* take it away, or name the run"):
        find_runs(sweep)
