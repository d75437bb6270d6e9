"""Faults of the machine: a disk that becomes read-only, no room for temporary files, no semaphores."""

import os
import shutil
import subprocess
import sys
from errno import ENOSPC
from functools import partial
from pathlib import Path

import pytest
import torch
from cli_helpers import SMALL, finished, refused, results, same_weights, vaekl, weights
from forks import Fork
from killed import typed
from kills import command, differences, undisturbed
from mounts import needs_mounts, own_mounts

from vaekl.store import checkpoint

RUN = (
    "train", "hydra.run.dir=run", "model.hidden=[16]", "model.latents=4", "trainer.steps=60", "trainer.valid_every=15",
    "trainer.log_every=6",
)  # fmt: skip


# --- a disk that becomes read-only in mid-run ---


@needs_mounts
def test_a_disk_that_becomes_read_only_ends_the_run_in_a_sentence(tmp_path):
    """Its mount ends with the process, and the disk can be written again."""
    whole = undisturbed(tmp_path / "whole", *RUN)
    folder = tmp_path / "folder"
    folder.mkdir()
    answer = command(folder, *RUN, place="step", number=21, act="lose disk", mounts=())
    refused(answer, "run", "its disk is read-only", "mount it for writing", "what was saved before is kept")
    assert checkpoint.load(folder / "run/last.pt")["step"] == 15
    assert command(folder, "resume", "run").code == 0
    assert differences(folder, whole.folder) == []


def on_disk(words, image, then=None, **aim):
    """`vaekl WORDS` typed on a disk of its own, whose file system is in a file; then the run is copied from there."""
    own_mounts(f"-o loop,errors=remount-ro {image} disk")
    place = Path.cwd()
    os.chdir("disk")
    code = typed(words, **aim)
    if then is not None:
        shutil.copytree("run", place / then / "run")
    return code


@needs_mounts
@pytest.mark.nightly
@pytest.mark.parametrize(("place", "number"), [("step", 21), ("half a row", 5), ("checkpoint half written", 2)])
def test_a_file_system_with_an_error_is_remounted_read_only_by_the_kernel(place, number, tmp_path):
    """What is open cannot be written either."""
    whole = undisturbed(tmp_path / "whole", *RUN)
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 16 << 20)
    (tmp_path / "disk").mkdir()
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    disk = partial(Fork, folder=tmp_path)
    answer = finished(disk(partial(on_disk, image=image, place=place, number=number, act="break disk"), RUN))
    refused(answer, "run", "its disk is read-only", "mount it for writing", "what was saved before is kept")
    subprocess.run(["e2fsck", "-f", "-y", image], capture_output=True)
    answer = finished(disk(partial(on_disk, image=image, then="after"), ("resume", "run")))
    assert answer.code == 0 and "resumed at step 15" in answer.out, answer
    assert differences(tmp_path / "after", whole.folder) == []


# --- no room for temporary files ---


def test_a_compiler_without_room_is_told_from_one_that_is_missing(tmp_path, monkeypatch):
    """TMPDIR is named, not the folder that Python takes where it is full."""

    class InductorError(Exception):
        __module__ = "torch._inductor.exc"

    def compiled(*_, **__):
        raise InductorError(f"C++ compile error\nfatal error: writing to x.s: {os.strerror(ENOSPC)}")

    monkeypatch.setattr(torch.nn.Module, "compile", compiled)
    monkeypatch.setenv("TMPDIR", "/somewhere")
    answer = vaekl(tmp_path, "train", *SMALL, "trainer.compile=true")
    refused(answer, "torch.compile failed (the disk is full)", "free some space in /somewhere", "trainer.compile=false")


@pytest.fixture
def full(tmp_path):
    """The script that gives a command a TMPDIR with a few bytes, or none, and then runs it."""
    (tmp_path / "small").mkdir()
    return "mount -t tmpfs -o size=64k tmpfs small && export TMPDIR=$PWD/small"


def in_namespace(folder, script, *words, module="vaekl"):
    """`python -m vaekl WORDS` typed in a folder, with mounts of its own that a shell's script has changed."""
    line = f'mount --make-rprivate / && {script} && exec "$@"'
    command = [sys.executable, "-m", *module.split(), *words]
    pipe, environment = subprocess.PIPE, os.environ | {"OMP_NUM_THREADS": "1"}
    shell = ["unshare", "--mount", "sh", "-c", line, "sh", *command]
    running = subprocess.Popen(shell, cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment)
    return finished(running)


SWEEP = ("train", "-m", "seed=0,1", "hydra.sweep.dir=sweep", *SMALL)
VERBS = (("eval", "sweep", "eval.k=1"), ("report", "sweep", "report.pictures=1"), ("sample", "run", "sample.count=2"))
FULL = "&& (head -c 1000000 /dev/zero >small/filled; true) 2>/dev/null"


@needs_mounts
@pytest.mark.nightly
@pytest.mark.parametrize("filled", ["", FULL], ids=["64 KB", "full"])
def test_a_full_tmpdir(filled, full, tmp_path):
    """Nothing but the compiler needs it."""
    script = f"{full} {filled}"
    for words in (("train", "hydra.run.dir=run", *SMALL), SWEEP, *VERBS):
        answer = in_namespace(tmp_path, script, *words)
        assert (answer.code, answer.err) == (0, ""), answer
    assert vaekl(tmp_path, "train", "hydra.run.dir=alone", *SMALL).code == 0
    (first,) = tmp_path.glob("sweep/seed=0*")
    assert all(results(run) == results(tmp_path / "alone") for run in (first, tmp_path / "run"))
    answer = in_namespace(tmp_path, script, "train", "hydra.run.dir=compiled", "trainer.compile=true", *SMALL)
    refused(answer, "torch.compile failed (the disk is full)", f"free some space in {tmp_path / 'small'}")


# --- no semaphores ---


@needs_mounts
@pytest.mark.nightly
def test_without_dev_shm(tmp_path):
    (tmp_path / "empty").mkdir()
    script = "mount --bind empty /dev/shm && mount -o remount,bind,ro /dev/shm"
    alone = ("train", "hydra.run.dir=run", *SMALL)
    answer = in_namespace(tmp_path, script, *SWEEP, "hydra.launcher.n_jobs=2")
    assert (answer.code, answer.err) == (0, ""), answer
    assert "2 runs, 2 at a time" in answer.out and "/dev/shm" not in answer.out
    answer = in_namespace(
        tmp_path, script, "--standalone", "--nproc-per-node=2", "-m", "vaekl", *alone, module="torch.distributed.run"
    )
    assert answer.code == 0, answer
    for verb in VERBS:
        answer = in_namespace(tmp_path, script, *verb)
        assert (answer.code, answer.err) == (0, ""), answer
        assert verb[0] != "eval" or "2 runs, 1 at a time (processes need semaphores" in answer.out
    assert vaekl(tmp_path, "train", "hydra.run.dir=alone", *SMALL).code == 0
    (first,) = tmp_path.glob("sweep/seed=0*")
    assert same_weights(weights(first), weights(tmp_path / "alone")) and results(first) == results(tmp_path / "alone")


@needs_mounts
@pytest.mark.nightly
def test_a_dev_shm_without_room_for_another_semaphore(tmp_path):
    script = "mount -t tmpfs -o size=8k tmpfs /dev/shm && head -c 4096 /dev/zero >/dev/shm/filled"
    assert in_namespace(tmp_path, script, *SWEEP).code == 0
    refused(in_namespace(tmp_path, script, *VERBS[0]), "no processes could be started", "/dev/shm", "eval.jobs=1")
    assert in_namespace(tmp_path, script, *VERBS[0], "eval.jobs=1").code == 0
