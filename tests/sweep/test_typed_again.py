"""What a sweep makes of runs that were changed, killed or not begun since it was typed before."""

import errno
import io
import os
import shutil
import signal
import socket
import threading
from types import SimpleNamespace

import pytest
from cli_helpers import SMALL, contents, finished, process, refused, results, vaekl

from vaekl.store import RunFolder, manifest
from vaekl.store.sweep_schema import Entry
from vaekl.sweep import display, launcher, plan, trying
from vaekl.system.console import Console
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import LostOutputError

SWEEP = ("train", "-m", "seed=0,1", "hydra/launcher=basic", *SMALL)


@pytest.mark.parametrize("length", ["trainer.steps=4", "trainer.steps=12"])
def test_a_run_that_was_given_more_steps_since_is_finished_and_says_so(length, tmp_path):
    assert vaekl(tmp_path, *SWEEP).code == 0
    (run,) = tmp_path.glob("outputs/*/seed=1_*")
    before = results(run)
    answer = vaekl(tmp_path, "resume", str(run), length)
    is_longer = answer.code == 0
    assert is_longer == (length == "trainer.steps=12") and (results(run) == before) != is_longer
    again = vaekl(tmp_path, *SWEEP)
    assert again.code == 0, again.err
    reasons = {name.partition("_")[0]: entry.reason for name, entry in manifest.read(run.parent).items()}
    assert reasons == {"seed=0": None, "seed=1": f"with {length}, which it was given since" if is_longer else None}


@pytest.mark.parametrize("name", ["last.pt", "config.yaml", "facts.json"])
def test_of_a_damaged_run_it_is_said_what_to_do_and_that_helps(name, tmp_path):
    assert vaekl(tmp_path, *SWEEP).code == 0
    (run,) = tmp_path.glob("outputs/*/seed=1_*")
    before = results(run)
    (run / "results.json").unlink()
    (run / name).write_text("[")
    cure = "or take the run's folder away and train afresh"
    refused(vaekl(tmp_path, *SWEEP), "1 of 2 runs failed: ", f"{run / name} cannot be read (", cure, f"({run.name}); ")
    shutil.rmtree(run)
    answer = vaekl(tmp_path, *SWEEP)
    assert answer.code == 0 and results(run)["test"] == before["test"], answer.err


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_file_in_the_place_of_a_run_is_named(launcher, tmp_path):
    words = [
        *SWEEP[:3],
        f"hydra/launcher={launcher}",
        *SWEEP[4:],
        "hydra.sweep.dir=sweep",
        "hydra.sweep.subdir=${seed}",
    ]
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/1").touch()
    says = f"{tmp_path}/sweep/1 is in the place of a run's folder: take it away."
    assert finished(process(tmp_path, *words)).err == f"vaekl: {says}\n"


def test_runs_that_did_not_begin_are_counted():
    runs = {"a": Entry(status="finished"), "b": Entry(status="killed", reason="gone.")}
    assert manifest.failures(runs, 5) == "1 of 5 runs failed: gone (b); 3 did not begin"
    assert manifest.failures(runs) == manifest.failures(runs, 2) == "1 of 2 runs failed: gone (b)"


def test_a_display_whose_output_is_lost_ends_without_a_traceback(tmp_path, monkeypatch):
    manifest.note(tmp_path / "run", status="finished", session="now")
    console, errors = Console(file=io.StringIO()), []

    def lost(*args, **kwargs):
        raise LostOutputError(BrokenPipeError(32, "Broken pipe"), "standard output")

    monkeypatch.setattr(console, "print", lost)
    monkeypatch.setattr(threading, "excepthook", errors.append)
    with display.shown(tmp_path, "now", 1, console):
        pass
    assert errors == []


def test_a_run_keeps_its_bar_while_it_is_tested(tmp_path):
    shown = display._Display(tmp_path, "now", 1, Console(file=io.StringIO()))
    (tmp_path / "run").mkdir()
    shown.shares["run"] = 0.9, "5.0 nats"
    shown.running["run"] = shown.bars.add_task("run", total=1, state="")
    assert shown._advance("run") == 0.9  # without a heartbeat


@pytest.mark.parametrize("stack", [1, 2])
def test_runs_that_the_launcher_has_not_handed_over_are_no_silent_success(stack):
    stacked = plan.Plan(4, 0, 2, 1, "2 cores", stack=stack, stacks=2)
    with pytest.raises(VaeklError, match="in a way that vaekl does not know"), launcher.launched(stacked):
        pass


def test_a_plan_says_of_which_runs_a_tried_stack_s_steps_were_alone():
    lines = "  2 of 2 runs take their steps alone: no map\n  1 of 2 runs take their steps alone: no other"
    trial = plan.Trial(5.0, 1.0, 1e9, 10, "cpu", reason=lines)
    text = plan.Plan(2, 0, 2, 1, "2 cores", trial).text()
    assert "  not stacked; of a stack that was tried:\n    2 of 2 runs" in text and "\n    1 of 2 runs" in text


def test_a_full_disk_is_named_once_for_all_runs_and_the_same_command_goes_on(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "finish", full)
        sentence = refused(
            vaekl(tmp_path, *SWEEP), "2 of 2 runs failed: ", "once the cause is gone the same command tries them again."
        )
    (sweep,) = (tmp_path / "outputs").iterdir()
    assert sentence.count(f"the run folder {sweep}/RUN could not be written (the disk is full): free some space") == 1
    assert sentence.count("could not be written") == 1
    answer = vaekl(tmp_path, *SWEEP)
    assert answer.code == 0 and "2 finished" in answer.out


def test_a_run_that_had_no_room_to_say_how_it_ended_was_not_killed(tmp_path, monkeypatch):
    process = os.fork()
    if process == 0:
        os._exit(0)
    os.waitpid(process, 0)
    manifest.note(tmp_path / "run", status="running", host=socket.gethostname(), process=process)
    assert manifest.read(tmp_path)["run"].status == "killed"
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=1, f_frsize=4096, f_blocks=1000))
    run = manifest.read(tmp_path)["run"]
    assert run.status == "failed"
    assert run.reason == f"the disk of {tmp_path} is full: free some space; what was saved before is kept"


def test_a_sweep_that_is_stopped_while_its_runs_are_tried_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        (sweep,) = (tmp_path / "a/b").iterdir()
        assert sweep.is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr(trying, "tried", interrupted)
    words = ("train", "-m", "seed=0,1", *SMALL)
    (tmp_path / "a").mkdir()
    assert vaekl(tmp_path, *words, "output_dir=a/b").code == 130
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["a"]
    # what was there before stays
    sweep = tmp_path / "mine"
    sweep.mkdir()
    monkeypatch.setattr(trying, "tried", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    assert vaekl(tmp_path, *words, "hydra.sweep.dir=mine").code == 130
    assert [path.name for path in sweep.iterdir()] == [".lock"]


def test_a_run_and_a_sweep_have_no_folder_in_common(tmp_path):
    assert vaekl(tmp_path, *SWEEP, "hydra.sweep.dir=sweep").code == 0
    assert vaekl(tmp_path, "train", *SMALL, "hydra.run.dir=run").code == 0
    before = contents(tmp_path)
    refused(
        vaekl(tmp_path, "train", "seed=2", *SMALL, "hydra.run.dir=sweep"),
        f"{tmp_path}/sweep is the folder of a sweep",
        ": set hydra.run.dir=FOLDER to another one.",
    )
    refused(
        vaekl(tmp_path, *SWEEP, "hydra.sweep.dir=run"),
        f"{tmp_path}/run is the folder of a run",
        ": set hydra.sweep.dir=FOLDER to another one.",
    )
    assert contents(tmp_path) == before
