"""python -m benchmarks.gpu [FILE]: does everything run on a GPU, does it agree with the CPU, and how fast is it.

Needs a GPU; trains small models on embedded and made-up data through the command line, and writes what it saw as JSON.
"""

import contextlib
import csv
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vaekl
from benchmarks.environment import ROOT
from benchmarks.workloads import CONV, LATENTS, MLP, Net, Workload
from vaekl import cli
from vaekl.run.load import load_run

#: every likelihood with every weighting that fits it
PAIRS = {
    "gaussian": ("fixed_beta", "fixed_dispersion", "learned_precision", "optimal_precision"),
    "laplace": ("fixed_beta", "fixed_dispersion", "learned_precision", "optimal_precision"),
    "cb": ("fixed_beta", "fixed_dispersion", "cb_normalizer"),
    "beta": ("fixed_beta", "fixed_dispersion"),
    "categorical": ("fixed_beta", "fixed_dispersion"),
    "bernoulli": ("fixed_beta", "fixed_dispersion"),
}
SMALL = ("model.hidden=[64]", "trainer.steps=20", "trainer.log_every=10", "trainer.valid_every=10")
VARIANTS = {
    "float32": (),
    "tf32": ("trainer.autocast=tf32",),
    "bfloat16": ("trainer.autocast=bfloat16",),
    "compiled": ("trainer.compile=true",),
}


def command(*words: str) -> str:
    """What `vaekl WORDS` prints, in this process; raises where it fails."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(words)
    if code:
        raise RuntimeError(err.getvalue().strip()[-400:])
    return out.getvalue()


def attempt(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a check measured, or why it failed."""
    try:
        return check()
    except Exception as error:
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}"[:400]}


def pair(folder: Path, likelihood: str, weighting: str) -> dict[str, Any]:
    """Train; then the same weights, images and noise on the GPU and on the CPU. Of each likelihood one is measured."""
    run = folder / f"{likelihood}-{weighting}"
    transform = ["transform=binarize"] if likelihood == "bernoulli" else []
    words = ["train", f"likelihood={likelihood}", f"weighting={weighting}", f"hydra.run.dir={run}", *transform, *SMALL]
    command(*words, "trainer.device=cuda")
    if weighting == PAIRS[likelihood][0]:
        command("eval", str(run), "eval.k=1,5", "eval.ais_steps=4", "eval.ais_images=4", "eval.device=cuda")
        command("sample", str(run), "sample.device=cuda")
    gpu, cpu = load_run(run, "cuda"), load_run(run, "cpu")
    x = cpu.split("test").batch(slice(0, 64), torch.Generator().manual_seed(0))
    noise = torch.randn(len(x), cpu.model.latents, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact = cpu.model(x, noise).elbo
        measured = gpu.model(x.cuda(), noise.cuda()).elbo.cpu()
    return {"largest_elbo_difference_nats": float((exact - measured).abs().max()), "elbo_nats": float(exact.mean())}


def resumed(folder: Path) -> dict[str, Any]:
    """A run that gets SIGTERM and goes on, beside one that was left alone."""
    words = ("model.hidden=[64]", "trainer.steps=1500", "trainer.valid_every=500", "trainer.device=cuda")
    alone, stopped = folder / "alone", folder / "stopped"
    command("train", f"hydra.run.dir={alone}", *words)
    line = [sys.executable, "-m", "vaekl", "train", f"hydra.run.dir={stopped}", *words]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (stopped / "last.pt").exists():
        time.sleep(0.05)
    process.terminate()
    _, message = process.communicate()
    command("resume", str(stopped))
    weights = [torch.load(run / "last.pt", map_location="cpu", weights_only=True)["state"] for run in (alone, stopped)]
    first, second = (state["model"] for state in weights)
    return {
        "exit_code": process.returncode,
        "message": message.strip()[-200:],
        "largest_weight_difference": max(float((first[name] - second[name]).abs().max()) for name in first),
        "bit_identical": all(torch.equal(first[name], second[name]) for name in first),
    }


def sweep(folder: Path) -> dict[str, Any]:
    """Three runs that share the GPU; in a process of its own, because a sweep forks and CUDA cannot be forked."""
    words = ["train", "-m", "seed=0,1,2", f"hydra.sweep.dir={folder / 'sweep'}", *SMALL, "trainer.device=cuda"]
    line = [sys.executable, "-m", "vaekl", *words]
    answer = subprocess.run(line, capture_output=True, text=True, timeout=300, check=True)
    return {"plan": next(line for line in answer.stdout.splitlines() if "at a time" in line)}


def limit(workload: Workload, seconds: float = 2.0) -> float:
    """Images a second of forward, backward and fused Adam on one batch."""
    torch.manual_seed(0)
    x = torch.rand(workload.batch, *workload.shape, device="cuda").round()
    model = Net(workload).cuda()
    adam = torch.optim.Adam(model.parameters(), fused=True)

    def steps(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            adam.zero_grad()
            model(x, torch.randn(len(x), LATENTS, device="cuda")).backward()
            adam.step()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    steps(50)  # to warm up
    count = max(50, round(seconds / (steps(50) / 50)))
    return count * len(x) / steps(count)


def speed(folder: Path, workload: Workload, data: Path, words: tuple[str, ...]) -> dict[str, Any]:
    """Images a second that a whole run logs, the median of its rows after the first second."""
    run = folder / "-".join(["speed", workload.name, *(word.partition("=")[2] for word in words)])
    own = [word for word in workload.words if not word.startswith("dataset=")]
    command("train", "dataset=npz", f"dataset.path={data}", *own, f"hydra.run.dir={run}", "trainer.device=cuda",
            "trainer.steps=3000", "trainer.log_every=200", "trainer.valid_every=1500", *words)  # fmt: skip
    with (run / "metrics.csv").open(newline="") as file:
        rates = [float(row["images_per_second"]) for row in csv.DictReader(file) if row["split"] == "train"]
    return {"images_per_second": statistics.median(rates[3:])}


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    # of processes that are started from here, too
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    results: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "vaekl": vaekl.__version__,
    }

    def record(name: str, check: Callable[[], dict[str, Any]]) -> None:
        """Measure one thing, and write all that is known so far."""
        start = time.perf_counter()
        results[name] = attempt(check)
        print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
        for file in sys.argv[1:]:
            Path(file).write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    generator = np.random.default_rng(0)
    for workload in (MLP, CONV):
        channels, height, width = workload.shape
        data = folder / f"{workload.name}.npz"
        images = generator.integers(0, 256, (20_000, height, width, channels), dtype=np.uint8)
        np.savez(data, x_train=images, x_test=images[:500])
        title = f"{workload.name}, batch {workload.batch}"
        record(f"{title}: limit", lambda w=workload: {"images_per_second": limit(w)})
        for name, words in VARIANTS.items():
            record(f"{title}: {name}", lambda w=workload, d=data, more=words: speed(folder, w, d, more))
        record(f"{title}: limit again", lambda w=workload: {"images_per_second": limit(w)})
    record("stopped and resumed", lambda: resumed(folder))
    for likelihood, weightings in PAIRS.items():
        for weighting in weightings:
            record(f"{likelihood} {weighting}", lambda p=likelihood, w=weighting: pair(folder, p, w))
    record("sweep", lambda: sweep(folder))
    shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(results, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
