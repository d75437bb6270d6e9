"""The whole program beside others that keep cores busy, and a plain PyTorch loop in the same place."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.contender import Contender
from benchmarks.environment import SCRATCH

_CONTENDERS = {"vaekl": ("vaekl", "whole"), "PyTorch loop, tensors": ("plain", "tensors")}


def measure(smoke: bool = False) -> list[dict[str, Any]]:
    """A row for each number of busy loops and contender; each is started when the loops already run."""
    folder, _ = data.prepare(SCRATCH)
    rows: list[dict[str, Any]] = []
    for loops in (0, 2) if smoke else (0, 2, 4):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
        try:
            for name, (module, kind) in _CONTENDERS.items():
                rows.append({"busy loops": loops, "contender": name, **_one(module, kind, folder, smoke)})
        finally:
            for other in others:
                other.kill()
                other.wait()
    return rows


def _one(module: str, kind: str, folder: Path, smoke: bool) -> dict[str, Any]:
    scratch = SCRATCH / "busy"
    shutil.rmtree(scratch, ignore_errors=True)
    cadence = ["trainer.valid_every=50"] if smoke and module == "vaekl" else []
    words = ["-m", f"benchmarks.contenders.{module}", "mlp", str(folder), str(scratch), "cpu", kind, *cadence]
    contender = Contender(module, [sys.executable, *words], scratch)
    try:
        contender.start()
        contender.turn(1)
        turn = contender.turn(1 if smoke else 10)
        return {"threads": contender.facts["threads"], "images/s": turn["images"] / turn["seconds"]}
    finally:
        contender.stop()
