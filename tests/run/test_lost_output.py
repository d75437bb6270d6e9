"""A run whose output is gone, by a full disk or a reader who has left, saves and ends; nothing of it is lost."""

import errno
import os
import subprocess
import sys

import pytest
from cli_helpers import SMALL, refused, results, same_weights, trained, vaekl, weights
from streams import Full

FULL = OSError(errno.ENOSPC, "No space left on device")
PIPE = BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    ("error", "takes"),
    [(FULL, 0), (PIPE, 1), *(pytest.param(*case, marks=pytest.mark.nightly) for case in ((FULL, 1), (PIPE, 0)))],
)
def test_the_run_is_saved_and_goes_on(error, takes, whole, tmp_path):
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *SMALL, out=Full(error, takes))
    run = tmp_path / "run"
    assert answer.code == 1 and (run / "last.pt").exists() and not (run / "results.json").exists()
    if error is FULL:
        sentence = refused(answer, "standard output cannot be written (No space left on device)", "stopped at step ")
        assert f"`vaekl resume {run}` goes on from there." in sentence
    else:
        assert answer.err == ""
    assert vaekl(tmp_path, "resume", "run").code == 0
    assert same_weights(weights(run), weights(whole)) and results(run) == results(whole)


@pytest.mark.parametrize(("error", "takes"), [(FULL, 2), (FULL, 3), (PIPE, 3)], ids=["last step", "full", "pipe"])
def test_a_run_that_is_over_is_finished(error, takes, whole, tmp_path):
    answer = vaekl(tmp_path, "train", "hydra.run.dir=run", *SMALL, out=Full(error, takes))
    assert answer.code == 1 and results(tmp_path / "run") == results(whole)
    if error is FULL:
        assert refused(answer).endswith(f"the run is finished, in {tmp_path / 'run'}.")
    else:
        assert answer.err == ""


@pytest.mark.parametrize("verb", ["eval", "sample", "report", "audit"])
def test_a_verb_that_cannot_print_says_so(verb, whole, tmp_path):
    answer = vaekl(whole.parent, verb, "run", out=Full(FULL))
    refused(answer, "standard output cannot be written (No space left on device)")


@pytest.mark.nightly  # a process that begins with nothing loaded
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is full")
def test_on_a_full_device_and_into_a_pipe_that_ends(tmp_path):
    words = [sys.executable, "-m", "vaekl", "train", *SMALL]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr.startswith("vaekl: standard output cannot be written (No space left")
    assert len(done.stderr.splitlines()) == 1
    running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running.stdout.readline()
    running.stdout.close()
    assert (running.wait(), running.stderr.read()) == (1, "")
