"""Tasks in forked processes: what they return, and what becomes of those that are killed, raise or take too long."""

import _thread
import errno
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from cli_helpers import finished
from forks import Fork

from vaekl.sweep import forks, workers
from vaekl.system.errors import StoppedError
from vaekl.system.workers import PARENT, this_process


def nothing():
    pass


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def raises(sentence):
    raise ValueError(sentence)


def test_each_task_has_a_process_of_its_own_and_its_answer_its_place():
    answers = forks.results([os.getpid, lambda: "x" * 300_000, os.getpid], 2, nothing)
    assert len({answers[0], answers[2], os.getpid()}) == 3 and answers[1] == "x" * 300_000


def test_a_task_that_is_killed_has_no_answer_and_the_others_have_theirs():
    assert forks.results([killed, lambda: 1, lambda: 2], 1, nothing) == [forks.Died(-signal.SIGKILL), 1, 2]


def test_an_error_is_raised_when_all_have_ended(tmp_path):
    tasks = [partial(raises, "the first"), partial((tmp_path / "later").write_text, "done"), partial(raises, "another")]
    with pytest.raises(ValueError, match="the first"):
        forks.results(tasks, 1, nothing)
    assert (tmp_path / "later").exists()


class OfTwoError(Exception):
    """An error that is pickled without what makes it."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def odd():
    raise OfTwoError("one", "other")


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (odd, "OfTwoError: one and other cannot"),
        (lambda: lambda: 1, "a function cannot"),
        (partial(raises, lambda: 1), "ValueError: <function"),
    ],
)
def test_what_cannot_be_handed_over_is_named(task, sentence):
    with pytest.raises(forks.FailedTaskError, match=sentence):
        forks.results([task, lambda: 1], 2, nothing)


def test_an_error_brings_the_traceback_of_its_process():
    with pytest.raises(ValueError, match="wrong") as caught:
        forks.results([partial(raises, "wrong")], 1, nothing)
    assert "in raises" in caught.value.__notes__[0]


def test_a_signal_that_comes_with_the_fork_is_left_to_the_process_s_own_handling(monkeypatch):
    fork, parent = os.fork, os.getpid()

    def interrupted():
        child = fork()
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGINT)
        return child

    monkeypatch.setattr(os, "fork", interrupted)
    ignore = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    assert forks.results([lambda: 1], 1, ignore) == [1]


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("os.fork", BlockingIOError(11, "Resource temporarily unavailable")),
        ("threading.Thread.start", RuntimeError("can't start new thread")),
    ],
)
def test_where_no_process_can_be_begun_that_is_raised_and_nothing_stays_open(place, error, monkeypatch):
    def no_process(*_):
        raise error

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(place, no_process)
    with pytest.raises(BlockingIOError):
        forks.results([nothing], 1, nothing)
    assert len(os.listdir("/proc/self/fd")) == before


def test_where_there_is_room_for_one_process_only_the_others_wait_for_its_end(monkeypatch):
    fork, begun = os.fork, []

    def one_at_a_time():
        if any(Path("/proc", str(process)).exists() for process in begun):  # also one that nobody has waited for
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        begun.append(fork())
        return begun[-1]

    monkeypatch.setattr(os, "fork", one_at_a_time)
    answers = forks.results([os.getpid] * 3, 3, nothing)
    assert answers == begun and len({*answers}) == 3


def test_no_more_than_so_many_at_a_time(tmp_path):
    def others(name):
        (tmp_path / name).touch()
        time.sleep(0.05)
        count = len(list(tmp_path.iterdir()))
        (tmp_path / name).unlink()
        return count

    counts = forks.results([partial(others, str(number)) for number in range(7)], 3, nothing)
    assert max(counts) <= 3


def test_a_process_that_takes_too_long_is_killed():
    begun = time.monotonic()
    tasks = [partial(time.sleep, 60), lambda: 1]
    assert forks.results(tasks, 2, nothing, patience=0.3) == [forks.Died(-signal.SIGKILL), 1]
    assert time.monotonic() - begun < 30


def test_a_process_is_prepared_before_its_task(monkeypatch):
    assert forks.results([lambda: os.environ["PREPARED"]], 1, partial(os.environ.__setitem__, "PREPARED", "yes")) == [
        "yes"
    ]
    assert "PREPARED" not in os.environ


def test_an_error_before_the_task_is_raised():
    with pytest.raises(ValueError, match="not ready"):
        forks.results([lambda: 1], 1, partial(raises, "not ready"))


def computed():
    """What two threads compute, each a part."""
    torch.set_num_threads(2)
    return torch.ones(1_000_000).exp().sum().item()


def computes_twice():
    """A program that computes itself, and then in processes."""
    expected = computed()
    return int(forks.results([computed] * 2, 2, nothing, patience=20) != [expected] * 2)


def test_a_program_that_has_computed_with_several_threads_begins_processes_that_do(tmp_path):
    assert finished(Fork(computes_twice, folder=tmp_path)).code == 0


def slow_run(name):
    Path(name).mkdir()
    Path(name, "process").write_text(f"{os.getpid()} {os.getppid()}")
    try:
        time.sleep(60)
    except StoppedError:
        Path(name, "saved").touch()


def interrupted():
    """A program that goes on after Ctrl-C, as a notebook does; returns how many of its processes go on too."""
    os.environ[PARENT] = this_process()
    runs = [Path("sweep", str(number)).absolute() for number in range(2)]
    runs[0].parent.mkdir()

    def interrupt():
        while not all((run / "process").exists() and (run / "process").read_text() for run in runs):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        forks.results(
            [partial(workers.alone, partial(slow_run, run), run) for run in runs], 2, partial(workers.begin, 1)
        )
    except KeyboardInterrupt:
        processes = {word for run in runs for word in (run / "process").read_text().split()}
        end = time.monotonic() + 20
        while time.monotonic() < end and any(Path("/proc", process).exists() for process in processes):
            time.sleep(0.02)
        left = [process for process in processes if Path("/proc", process).exists()]
        return len(left) + sum(not (run / "saved").exists() for run in runs)
    return 100


def test_ctrl_c_in_a_program_that_goes_on_ends_its_processes_and_their_runs_save(tmp_path):
    assert finished(Fork(interrupted, folder=tmp_path)).code == 0


def test_ctrl_c_while_a_process_is_begun_ends_it_too(monkeypatch):
    fork, begun = os.fork, []

    def interrupted():
        begun.append(fork())
        if begun[-1]:
            _thread.interrupt_main()
        return begun[-1]

    monkeypatch.setattr(os, "fork", interrupted)
    with pytest.raises(KeyboardInterrupt):
        forks.results([partial(time.sleep, 60)], 1, nothing)
    assert not Path("/proc", str(begun[0])).exists()
