"""What several runs of a process have one copy of, and for how long."""

from dataclasses import replace

import pytest

from vaekl.config.job import single
from vaekl.run import build_data
from vaekl.run.config import RunConfig


@pytest.fixture(scope="module")
def config():
    return RunConfig.of(single(["dataset=digits", "likelihood=cb"]).content)


def images(config, split_seed=0):
    """The training images of a run."""
    changed = replace(config, data=replace(config.data, split_seed=split_seed))
    return build_data.build_likelihood_and_data(changed)[1].train.images


def test_only_inside_of_shared_runs_have_one_copy(config):
    assert images(config) is not images(config)
    with build_data.shared():
        first = images(config)
        assert images(config) is first
        assert images(config, split_seed=1) is not first
    assert images(config) is not first


def test_what_is_made_inside_of_an_inner_one_ends_there_and_what_was_read_before_stays(config, monkeypatch):
    groups, make = [], build_data.make
    monkeypatch.setattr(build_data, "make", lambda group, *more: (groups.append(group), make(group, *more))[1])
    with build_data.shared():
        outer = images(config)
        with build_data.shared():
            assert images(config) is outer
            inner = images(config, split_seed=1)
            assert images(config, split_seed=1) is inner
        assert images(config, split_seed=1) is not inner
    assert groups.count("dataset") == 1
