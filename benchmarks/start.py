"""How long commands take before they do anything: `vaekl train` on the digits, eval and report of a tiny run."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.environment import ROOT, SCRATCH
from benchmarks.tables import summary

_LIMIT = 120
_ADAM = "import torch; x = torch.ones(1, requires_grad=True); x.sum().backward(); torch.optim.Adam([x]).step()"


def measure(smoke: bool = False) -> list[dict[str, Any]]:
    """Starts whose files are in memory already, in turns with what PyTorch and scikit-learn take of them."""
    run = SCRATCH / "tiny"
    shutil.rmtree(run, ignore_errors=True)
    _vaekl("train", "dataset=digits", "model.hidden=[8]", "trainer.steps=10", f"hydra.run.dir={run}")
    contenders: dict[str, Callable[[], float]] = {
        "vaekl train, to the first step": lambda: _first_step(SCRATCH / "start"),
        "vaekl eval of a tiny run, to the end": lambda: _vaekl("eval", str(run), "eval.k=[1]"),
        "vaekl report of it, to the end": lambda: _vaekl("report", str(run)),
        "import torch": lambda: _python("import torch"),
        "import torch, and a step of Adam": lambda: _python(_ADAM),
        "import sklearn.datasets, which has the digits": lambda: _python("import sklearn.datasets"),
    }
    seconds: dict[str, list[float]] = {what: [] for what in contenders}
    for _ in range(2 if smoke else 8):
        for what, once in contenders.items():
            seconds[what].append(once())
    rows = seconds.items()
    return [{"what": what, **{f"{k} s" if k != "count" else k: v for k, v in summary(of).items()}} for what, of in rows]


def _first_step(folder: Path) -> float:
    """Seconds until the log of training figures, written at every step, has its first row."""
    shutil.rmtree(folder, ignore_errors=True)
    words = ["dataset=digits", "trainer.log_every=1", "trainer.epochs=10000", f"output_dir={folder}"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "vaekl", "train", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    try:
        while time.perf_counter() - begun < _LIMIT and process.poll() is None:
            if any(path.read_bytes().count(b"\n") > 1 for path in folder.glob("*/metrics.csv")):
                return time.perf_counter() - begun
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    raise RuntimeError("vaekl train did not reach its first step")


def _vaekl(*words: str) -> float:
    """Seconds that a command takes from its start to its end."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "vaekl", *words], check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - begun


def _python(code: str) -> float:
    """Seconds that a process of its own takes for some code."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun
