"""Whatever form a sealed checkpoint has, `resume` refuses it in one sentence, or ends as if nothing was changed."""

from collections import Counter

import pytest
from checkpoint_damage import make, outcomes

pytestmark = pytest.mark.xdist_group("checkpoint_fuzz")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("made")
    make(place)
    return place


def tried(numbers, made, folder):
    ended = outcomes([*numbers], made, folder)
    assert [case["case"] for case in ended] == [*map(str, numbers)]
    faults = [f"{case['case']} ({case.get('what')}): {case['fault']}" for case in ended if case["fault"]]
    assert not faults, "\n".join(faults)
    return ended


def test_some_checkpoints(made, tmp_path):
    ends = Counter(case["end"] for case in tried(range(9), made, tmp_path))
    assert ends["refused"] > 3 and ends["equal"] > 0


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, 2000, 100))
def test_two_thousand_checkpoints(first, made, tmp_path, capsys):
    ended = tried(range(first, first + 100), made, tmp_path)
    with capsys.disabled():
        print(f"\n{dict(Counter(case['end'] for case in ended))}")


@pytest.mark.nightly
def test_the_judge_sees_what_is_loaded_unchecked(made, tmp_path):
    """Some end the process by a signal, others end as another run; each case has its end all the same."""
    ended = outcomes([*range(14)], made, tmp_path, checked=False)
    assert [case["case"] for case in ended] == [str(number) for number in range(14)]
    assert sum(bool(case["fault"]) for case in ended) >= 4
