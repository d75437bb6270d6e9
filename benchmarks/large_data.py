"""Memory and throughput of runs on images in a file beside the same images in memory.

Each run is a `vaekl train` of its own on 28x28 bytes: from x_train.npy, which is read as needed, or from an .npz file,
which is loaded. The two take turns; throughput is the median of `images_per_second` over a run's log without its first
row, then over the repeats. Memory is the process's, sampled every 10 ms; "file" is what it has mapped of files, its
libraries included.
"""

import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.tables import summary

SIZES = (10_000, 100_000, 1_000_000)
TEST = 1000
CHUNK = 10_000


def measure(smoke: bool = False, words: list[str] | None = None) -> list[dict[str, Any]]:
    """A row a size and place: medians of throughput and memory, and the throughput over that of resident images.

    Args:
        smoke: a few steps of the smallest size.
        words: further overrides for the runs.
    """
    steps, repeats = (60, 1) if smoke else (600, 5)
    rows: list[dict[str, Any]] = []
    for size in SIZES[:1] if smoke else SIZES:
        with tempfile.TemporaryDirectory() as folder:
            sources = _write(Path(folder), size)
            by_place: dict[str, list[dict[str, float]]] = {place: [] for place in sources}
            for repeat in range(repeats):
                for place, path in sources.items():
                    run = Path(folder) / f"{place}_{repeat}".replace(" ", "_")
                    by_place[place].append(_run(path, run, steps, words or []))
            for place, runs in by_place.items():
                pairs = zip(runs, by_place["resident"], strict=True)
                ratio = summary([one["speed"] / resident["speed"] for one, resident in pairs])
                rows.append(
                    {
                        "images": f"{size:,}",
                        "place": place,
                        "images/s": median(run["speed"] for run in runs),
                        "of resident": ratio["median"],
                        "quartiles": f"{ratio['low']:.2f} to {ratio['high']:.2f}",
                        **{
                            name: median(run[key] for run in runs) / 1024
                            for name, key in (("peak MB", "VmHWM"), ("anon MB", "RssAnon"), ("file MB", "RssFile"))
                        },
                    }
                )
    return rows


def _write(folder: Path, size: int) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    mapped, resident = folder / "on_disk", folder / "resident.npz"
    mapped.mkdir()
    header = {"descr": "|u1", "fortran_order": False, "shape": (size, 28, 28)}
    with (mapped / "x_train.npy").open("wb") as out:
        np.lib.format.write_array_header_1_0(out, header)
        for start in range(0, size, CHUNK):
            out.write(rng.integers(0, 256, (min(CHUNK, size - start), 28, 28), np.uint8).tobytes())
    test = rng.integers(0, 256, (TEST, 28, 28), np.uint8)
    np.save(mapped / "x_test.npy", test)
    np.savez(resident, x_train=np.load(mapped / "x_train.npy", mmap_mode="r"), x_test=test)
    return {"on disk": mapped, "resident": resident}


def _run(path: Path, run: Path, steps: int, words: list[str]) -> dict[str, float]:
    fixed = [f"trainer.steps={steps}", f"valid={TEST}", f"trainer.valid_every={steps}", "trainer.device=cpu"]
    place = [f"dataset.path='{path}'", f"hydra.run.dir='{run}'"]
    command = [sys.executable, "-m", "vaekl", "train", "dataset=npz", *place, *fixed, *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    memory = {"VmHWM": 0.0, "RssAnon": 0.0, "RssFile": 0.0}
    while process.poll() is None:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in memory:
                memory[name] = max(memory[name], float(value.split()[0]))
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    with (run / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    return memory | {"speed": median(float(row["images_per_second"]) for row in rows[1:])}
