"""Seconds per epoch of the whole program as images, batch, latents and cores grow; all else stays at the default."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.contender import Contender
from benchmarks.environment import SCRATCH
from vaekl.data.splits import MAX_VALID
from vaekl.system.cores import allowed_cores

_IMAGES, _BATCH, _LATENTS = 20_000, 100, 20


def measure(smoke: bool = False) -> list[dict[str, Any]]:
    """A row for each point: `what` grows, its `value`, `seconds per epoch`."""
    axes: dict[str, tuple[int, ...]] = {
        "images": (5_000, 10_000, 20_000, 40_000),
        "batch size": (50, 100, 200, 400),
        "latents": (5, 20, 80, 320),
        "threads": tuple(n for n in (1, 2, 4, 8) if n <= allowed_cores()),
    }
    points = [(what, value) for what, values in axes.items() for value in (values[:1] if smoke else values)]
    return [{"what": what, "value": value, "seconds per epoch": _epoch(what, value, smoke)} for what, value in points]


def _epoch(what: str, value: int, smoke: bool) -> float:
    folder = SCRATCH / "growth"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    images = value if what == "images" else _IMAGES
    words = [
        f"dataset.path={_random(folder, images)}",
        f"trainer.batch_size={value if what == 'batch size' else _BATCH}",
        f"model.latents={value if what == 'latents' else _LATENTS}",
        f"trainer.valid_every={50 if smoke else 500}",
        "trainer.epochs=1000",
    ]
    module = ["-m", "benchmarks.contenders.vaekl"]
    command = [sys.executable, *module, "growth", str(folder), str(folder / "run"), "cpu", "whole", *words]
    contender = Contender(what, command, folder / "run")
    threads = {"OMP_NUM_THREADS": str(value)} if what == "threads" else {}
    try:
        with mock.patch.dict(os.environ, threads):
            contender.start()
        contender.turn(0)
        turn = contender.turn(1 if smoke else 5)
    finally:
        contender.stop()
    trained = images - min(MAX_VALID, images // 10)
    return float(trained / (turn["images"] / turn["seconds"]))


def _random(folder: Path, images: int) -> Path:
    path, rng = folder / "images.npz", np.random.default_rng(0)
    np.savez(
        path, **{k: rng.integers(0, 256, (n, 28, 28), np.uint8) for k, n in (("x_train", images), ("x_test", 500))}
    )
    return path
