"""However often a run is killed, and wherever, it ends as if it never had been."""

import random
import signal
import time

import pytest
from cli_helpers import finished, fresh_process, refused, results
from killed import BACK, HUNG
from killed_words import LATE, PATIENT, RUN, SEED, SWEEP
from kills import KILLED, Killer, command, differences, start, undisturbed

#: they share the run that nobody stopped
pytestmark = pytest.mark.xdist_group("kills")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody stopped."""
    return undisturbed(tmp_path_factory.mktemp("whole") / "folder", *RUN)


def killed(whole, folder, places, draw, fault=None):
    """The run after kills at these places."""
    killer = Killer(whole, folder, draw)
    killer.fault = {"fault": fault} if fault else {}
    killer.die_at(places)
    return killer


def same_after_kills(whole, folder, places, seed=SEED):
    """All the kills happen, and nothing is different afterwards."""
    print(f"seed {seed}")
    killer = killed(whole, folder, places, random.Random(seed))
    assert differences(folder, whole.folder) == []
    assert killer.tally.kills.total() == len(places), killer.tally.line()


@pytest.mark.nightly
def test_a_real_process_ends_as_its_fork_does(whole, tmp_path):
    answer = finished(fresh_process(tmp_path, *RUN))
    assert answer.code == 0, answer
    assert differences(tmp_path, whole.folder) == []


def test_killed_at_five_places(whole, tmp_path):
    places = ["config half written", "half an event", "checkpoint half written", "previous renamed", "half a row"]
    same_after_kills(whole, tmp_path, places)


@pytest.mark.nightly
def test_killed_at_four_places_of_a_run_with_patience(tmp_path):
    whole = undisturbed(tmp_path / "whole", *RUN, *PATIENT)
    places = ["best renamed", "checkpoint renamed", "half an event of the test", "results synced"]
    assert whole.steps < 45  # else patience did not end it
    same_after_kills(whole, tmp_path / "killed", places)


@pytest.fixture(scope="module")
def restored(tmp_path_factory):
    """A run that nobody stopped, and that went back to its checkpoints by itself."""
    whole = undisturbed(tmp_path_factory.mktemp("restored") / "folder", *RUN, *LATE)
    assert results(whole.folder / "run")["restores"] == 4 == whole.counts["diverged"]
    return whole


@pytest.mark.nightly
def test_killed_while_it_goes_back_and_while_it_writes_the_next_checkpoint(restored, tmp_path):
    going_back_killed(restored, tmp_path, 2, "steps taken again", "checkpoint half written")


@pytest.mark.nightly
@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("place", BACK)
def test_killed_each_time_that_it_goes_back(place, number, restored, tmp_path):
    for after in ("checkpoint half written", "checkpoint synced", "previous renamed", "checkpoint renamed"):
        going_back_killed(restored, tmp_path / after, number, place, after)


def going_back_killed(restored, folder, number, place, after):
    """Killed at that passing of the place, and then at the next checkpoint."""
    folder.mkdir(exist_ok=True)
    assert command(folder, *restored.words, place=place, number=number).code == KILLED
    assert command(folder, *restored.words, place=after, number=1).code == KILLED
    assert command(folder, "resume", "run").code == 0
    assert differences(folder, restored.folder) == []


@pytest.mark.nightly
def test_a_sweep_killed_while_it_writes_its_manifest(tmp_path):
    whole = undisturbed(tmp_path / "whole", *SWEEP)
    same_after_kills(whole, tmp_path / "killed", ["manifest half written", "manifest renamed"])


def test_killed_before_there_is_a_run(whole, tmp_path):
    """What is there is no run yet; the same command makes it one."""
    answer = command(tmp_path, *RUN, place="config synced", number=1)
    assert answer.code == KILLED
    refused(command(tmp_path, "resume", "run"), "run holds no run")
    assert command(tmp_path, *RUN).code == 0
    assert differences(tmp_path, whole.folder) == []


@pytest.mark.nightly
def test_pictures_are_on_the_disk_before_their_checkpoint(whole, tmp_path):
    """Else a kill right after the checkpoint loses them: the resumed run begins after their step."""
    answer = command(tmp_path, *RUN, place="checkpoint renamed", number=2, fault="slow events")
    assert answer.code == KILLED
    assert command(tmp_path, "resume", "run").code == 0
    assert differences(tmp_path, whole.folder) == []


def test_killed_right_after_the_results(whole, tmp_path):
    same_after_kills(whole, tmp_path, ["results renamed"])


@pytest.mark.parametrize(
    ("fault", "sign"),
    [
        ("rows stay", "run: metrics.csv"),
        pytest.param(None, None, marks=pytest.mark.nightly),
        pytest.param("events stay", "run: steps of scalars train/loss", marks=pytest.mark.nightly),
        pytest.param("noise begins again", "run: last.pt", marks=pytest.mark.nightly),
    ],
)
def test_a_fault_is_found(fault, sign, whole, tmp_path):
    """The second checkpoint's rows and events are there when it is not: a fault shows, and nothing else."""
    answer = command(tmp_path, *RUN, place="checkpoint half written", number=2, fault=fault)
    assert answer.code == KILLED
    assert command(tmp_path, "resume", "run", fault=fault).code == 0
    differing = differences(tmp_path, whole.folder)
    assert sign in differing or (fault, differing) == (None, [])
    assert fault == "noise begins again" or "run: last.pt" not in differing


def test_a_checkpoint_that_is_written_in_place_is_found(tmp_path):
    for fault, code in ((None, 0), ("written in place", 1)):
        folder = tmp_path / f"{fault}"
        folder.mkdir()
        assert command(folder, *RUN, place="checkpoint half written", number=2, fault=fault).code == KILLED
        assert command(folder, "resume", "run").code == code


def hung(folder, place, number):
    """A run that waits at a place for its file to be taken away."""
    child = start(folder, *RUN, place=place, number=number, act="hang")
    for _ in range(6000):
        if (folder / HUNG).exists():
            return child
        time.sleep(0.01)
    raise AssertionError(finished(child))


@pytest.mark.parametrize(
    ("number", "place", "passing", "step"),
    [
        (signal.SIGTERM, "step", 21, 21),
        (signal.SIGINT, "checkpoint half written", 3, 45),
        pytest.param(signal.SIGTERM, "validation", 2, 30, marks=pytest.mark.nightly),
        pytest.param(signal.SIGINT, "half a row", 5, 24, marks=pytest.mark.nightly),
    ],
    ids=str,
)
def test_a_signal_ends_the_step_and_saves(number, place, passing, step, whole, tmp_path):
    child = hung(tmp_path, place, passing)
    child.send_signal(number)
    (tmp_path / HUNG).unlink()
    answer = finished(child)
    assert (answer.code, f"vaekl: stopped at step {step}: " in answer.err) == (130, True), answer
    answer = command(tmp_path, "resume", "run")
    assert (answer.code, f"resumed at step {step}" in answer.out) == (0, True), answer
    assert differences(tmp_path, whole.folder) == []


@pytest.mark.parametrize(
    ("place", "passing"),
    [
        ("step", 21),
        ("checkpoint half written", 3),
        pytest.param("half a row", 5, marks=pytest.mark.nightly),
        pytest.param("validation", 2, marks=pytest.mark.nightly),
    ],
)
def test_a_second_ctrl_c_stops_at_once(place, passing, whole, tmp_path):
    """What waits would wait for ever; nothing is saved, and the run goes on from its last checkpoint."""
    child = hung(tmp_path, place, passing)
    child.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert (tmp_path / HUNG).exists() and child.poll() is None
    child.send_signal(signal.SIGINT)
    answer = finished(child)
    assert (answer.code, answer.err) == (130, "vaekl: interrupted.\n")
    (tmp_path / HUNG).unlink()
    assert command(tmp_path, "resume", "run").code == 0
    assert differences(tmp_path, whole.folder) == []
