"""What a sweep says while it goes on, and when it is stopped."""

import io
import signal

import pytest

from vaekl.store import RunFolder, manifest
from vaekl.sweep import display, workers
from vaekl.system.console import Console
from vaekl.system.errors import StoppedError


def test_one_display_shows_what_ended_and_how_far_the_others_are(tmp_path):
    for name, status in {"a": "finished", "b": "running", "c": "running", "d": "diverged"}.items():
        manifest.note(tmp_path / name, status=status, reason="not finite." if name == "d" else None, session="now")
    manifest.note(tmp_path / "old", status="finished", reason=None, session="before")
    (tmp_path / "b").mkdir()
    RunFolder(tmp_path / "b").beat(30, 40, -12.34)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, height=20, highlight=False)
    with display.shown(tmp_path, "now", 5, console):
        pass
    text = out.getvalue()
    assert "1/5 finished  a" in text and "2/5 diverged  d: not finite." in text and "old" not in text
    assert "-12.3 nats" in text and "starting" in text and "2/5" in text
    # two have ended and b is three quarters through: 2.75 of 5
    watched = display._Display(tmp_path, "now", 5, Console(file=io.StringIO()))
    watched.look()
    assert watched.bars.tasks[0].completed == 2.75


def test_a_stopped_sweep_says_what_is_true(tmp_path):
    """A signal may come before any run has begun, after some have saved, or while one is killed."""

    def stopped():
        with pytest.raises(StoppedError) as caught, workers.stoppable(tmp_path, "now", 1, False):
            signal.raise_signal(signal.SIGTERM)
        return str(caught.value)

    assert stopped() == (
        "the sweep was stopped, before a run of it had taken a step: the same command goes on from there."
    )
    manifest.note(tmp_path / "a", status="stopped", session="now")
    assert "before a run of it had taken a step" in stopped()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "last.pt").touch()
    assert "every run that had begun has saved its state" in stopped()
    manifest.note(tmp_path / "b", status="killed", session="now")
    assert "1 runs before they could save" in stopped()
