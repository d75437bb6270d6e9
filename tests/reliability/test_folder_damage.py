"""Whatever has become of a run folder, each verb does its work or says in one sentence what is wrong."""

import pytest
from folder_damage import VERBS, faults, make

from vaekl.store import RunFolder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("whole")
    make(place)
    return place


def changes(numbers, whole, tmp_path):
    found = ["\n  ".join(said) for number in numbers if (said := faults(number, whole, tmp_path / str(number)))]
    assert not found, "\n".join(found)


def test_some_changes(whole, tmp_path):
    changes(range(12), whole, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(12, 1012, 100))
def test_a_thousand_changes(first, whole, tmp_path):
    changes(range(first, first + 100), whole, tmp_path)


def test_the_judge_sees_a_bug(whole, tmp_path, monkeypatch):
    def config(_):
        raise KeyError("trainer")

    monkeypatch.setattr(RunFolder, "config", config)
    said = faults(0, whole, tmp_path)
    assert len(said) == 1 + len(VERBS) and all("says 'unexpected'" in line for line in said[1:])
