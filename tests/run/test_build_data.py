"""What several runs of a process have one copy of, and for how long."""

import tempfile
from pathlib import Path

from cli_helpers import built

from vaekl.run import build_data


def images(folder, *words):
    """The training images of a run as it is built."""
    place = Path(tempfile.mkdtemp(dir=folder))
    return built(place, "likelihood=cb", *words).trainer.data.train.images


def test_only_inside_of_shared_runs_have_one_copy(tmp_path):
    assert images(tmp_path) is not images(tmp_path)
    with build_data.shared():
        first = images(tmp_path)
        assert images(tmp_path) is first
        assert images(tmp_path, "split_seed=1") is not first
    assert images(tmp_path) is not first


def test_what_is_made_inside_of_an_inner_one_ends_there_and_what_was_read_before_stays(tmp_path, monkeypatch):
    groups, make = [], build_data.make
    monkeypatch.setattr(build_data, "make", lambda group, *more: (groups.append(group), make(group, *more))[1])
    with build_data.shared():
        outer = images(tmp_path)
        with build_data.shared():
            assert images(tmp_path) is outer
            inner = images(tmp_path, "split_seed=1")
            assert images(tmp_path, "split_seed=1") is inner
        assert images(tmp_path, "split_seed=1") is not inner
    assert groups.count("dataset") == 1
