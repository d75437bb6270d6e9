"""Commands typed in a folder of the test's own: in this process where that is enough, else in a real one."""

import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from forks import Fork, command
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from vaekl import cli
from vaekl.config.job import single
from vaekl.run.build import build
from vaekl.run.config import RunConfig
from vaekl.run.execute import Run
from vaekl.system.console import Console

SHARED = Path(__file__).parents[2] / "shared" / "data"
#: a run of four steps that trains, validates, saves and tests in half a second
SMALL = (
    "model.hidden=[16]", "model.latents=4", "trainer.steps=4", "trainer.log_every=2", "trainer.valid_every=2",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str


def vaekl(folder: Path, *words: str, out: io.StringIO | None = None, **environment: str) -> Answer:
    """`vaekl WORDS` typed in a folder, within this process, its output written to `out`; nothing of it stays behind."""
    out, err = out if out is not None else io.StringIO(), io.StringIO()
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None  # of a sweep's last run in this process
    try:
        with (
            patch.dict(os.environ, {"HYDRA_FULL_ERROR": "", **environment}),
            patch.object(sys, "path", list(sys.path)),
            patch.object(sys, "argv", ["vaekl"]),
            patch.object(threading, "excepthook", threading.excepthook),
            contextlib.chdir(folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = cli.main(words)
    finally:
        torch.set_flush_denormal(False)
    return Answer(code, out.getvalue(), err.getvalue())


def process(folder: Path, *words: str, threads: int = 1, here: bool = True, group: bool = False) -> Fork:
    """`vaekl WORDS` started in a folder, as a process of its own, or as the head of a group of its own.

    Python looks for modules `here`, in the folder, as with `python -m vaekl`.
    """
    return Fork(command, words, threads, here, folder=folder, group=group, OMP_NUM_THREADS=str(threads))


def fresh_process(folder: Path, *words: str, threads: int = 1) -> subprocess.Popen[str]:
    """The same as `python -m vaekl WORDS`, which begins with nothing loaded."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "vaekl", *words],
        cwd=folder,
        stdout=pipe,
        stderr=pipe,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )


def finished(started: subprocess.Popen[str] | Fork, timeout: float = 300) -> Answer:
    """Wait for a process."""
    out, err = started.communicate(timeout=timeout)
    return Answer(started.returncode, out, err)


def trained(folder: Path, *words: str) -> Path:
    """A finished run in `folder/run`."""
    answer = vaekl(folder, "train", "hydra.run.dir=run", *SMALL, *words)
    assert answer.code == 0, answer.err
    return folder / "run"


def refused(answer: Answer, *parts: str) -> str:
    """Exit code 1 and one sentence on stderr that holds the parts; returns it."""
    assert answer.code == 1, answer
    lines = answer.err.splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("vaekl: ") and lines[0].endswith((".", "?"))
    assert "Traceback" not in lines[0] and "unexpected" not in lines[0]
    for part in parts:
        assert part in lines[0]
    return lines[0]


def rows(run: Path, split: str | None = None) -> list[dict[str, str]]:
    """The rows of metrics.csv, of one split or all."""
    with (run / "metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if split in (None, row["split"])]


def results(run: Path) -> dict:
    """results.json."""
    return json.loads((run / "results.json").read_text())


def weights(run: Path, name: str = "last.pt") -> dict[str, torch.Tensor]:
    """The model's weights in a checkpoint."""
    return torch.load(run / name, weights_only=True)["state"]["model"]


def same_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two models agree in every bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def real_data(folder: Path, name: str) -> Path:
    """A data directory with a copy of a real set's archives; skips where there are none."""
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is not here")
    shutil.copytree(SHARED / name, folder / name)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def built(folder: Path, *words: str) -> Run:
    """The objects of `vaekl train WORDS` typed in a folder, before its first step."""
    with contextlib.chdir(folder):
        job = single(["hydra.run.dir=built", *SMALL, *words])
        job.path.mkdir()
        return build(RunConfig.of(job.content), job.path, Console(file=io.StringIO()))
