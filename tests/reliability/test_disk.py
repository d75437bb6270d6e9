"""A folder that goes away under a run, and a clock that is set back."""

import shutil
import signal
import time

import pytest
from cli_helpers import finished, process, refused, results, rows, vaekl
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

LONG = ("trainer.steps=100000", "trainer.valid_every=20", "trainer.log_every=10", "model.hidden=[8]")
SHORT = ("trainer.steps=60", *LONG[1:])


def wait_for(condition, seconds=60):
    for _ in range(seconds * 20):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about")


@pytest.mark.parametrize("what", ["folder", "last.pt"])
def test_what_is_deleted_under_a_run_is_said_in_a_sentence_or_made_anew(what, tmp_path):
    run = tmp_path / "run"
    running = process(tmp_path, "train", "hydra.run.dir=run", *LONG)
    wait_for((run / "last.pt").exists)
    if what == "folder":
        run.rename(tmp_path / "gone")  # else it writes while the folder is emptied
        shutil.rmtree(tmp_path / "gone")
        refused(finished(running), str(run), "could not be written")
        return
    (run / what).unlink()
    wait_for((run / what).exists)
    running.send_signal(signal.SIGTERM)
    assert finished(running).code == 130
    assert int(rows(run)[-1]["step"]) > 20


def curves(run):
    events = EventAccumulator(str(run), {"scalars": 0})
    events.Reload()
    scalars = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    return {tag: points for tag, points in scalars.items() if "images_per_second" not in tag}


@pytest.mark.parametrize(
    "jump", [-3_600, *(pytest.param(jump, marks=pytest.mark.nightly) for jump in (-86_400, 3_600))]
)
def test_a_clock_that_jumps_between_stop_and_resume_changes_no_curve(jump, tmp_path):
    (tmp_path / "whole").mkdir()
    assert vaekl(tmp_path / "whole", "train", "hydra.run.dir=run", *SHORT).code == 0
    assert vaekl(tmp_path, "train", "hydra.run.dir=run", *SHORT).code == 0
    run = tmp_path / "run"
    # killed after step 60 was logged, with the checkpoint of step 40
    (tmp_path / "short").mkdir()
    assert vaekl(tmp_path / "short", "train", "hydra.run.dir=run", *SHORT, "trainer.steps=40").code == 0
    shutil.copy(tmp_path / "short/run/last.pt", run / "last.pt")
    (run / "results.json").unlink()
    for file in run.glob("events.*"):
        seconds = int(file.name.split(".")[3])
        file.rename(run / file.name.replace(str(seconds), str(seconds - jump)))
    assert vaekl(tmp_path, "resume", "run").code == 0
    assert curves(run) == curves(tmp_path / "whole/run")
    assert results(run) == results(tmp_path / "whole/run")
