"""Memory and throughput of runs on images in a file beside the same images in memory.

    python -m benchmarks.large_data [--steps 1000] [--repeats 5] [--sizes 10000 100000 1000000]

Each run is a `vaekl train` of its own on 28x28 bytes: from x_train.npy, which is read as needed, or from an .npz file,
which is loaded. The two take turns; throughput is the median of `images_per_second` over a run's log without its first
row, then over the repeats. Memory is the process's, sampled every 10 ms; "file" is what it has mapped of files, its
libraries included.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

TEST = 1000
CHUNK = 10_000


def main() -> None:
    """Print a line a size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("words", nargs="*", help="further overrides, e.g. model=conv")
    asked = parser.parse_args()
    print("images     kind      images/s   VmHWM MB   anon MB   file MB")
    for size in asked.sizes:
        with tempfile.TemporaryDirectory() as folder:
            sources = _write(Path(folder), size)
            found: dict[str, list[dict[str, float]]] = {kind: [] for kind in sources}
            for repeat in range(asked.repeats):
                for kind, path in sources.items():
                    run = Path(folder) / f"{kind}_{repeat}"
                    found[kind].append(_run(path, run, asked.steps, asked.words))
            for kind, runs in found.items():
                middle = {name: median(run[name] for run in runs) for name in runs[0]}
                memory = "".join(f"{middle[name] / 1024:10.0f}" for name in ("VmHWM", "RssAnon", "RssFile"))
                print(f"{size:>9,}  {kind:8}{middle['speed']:10,.0f}{memory}", flush=True)
            pairs = zip(found["mapped"], found["resident"], strict=True)
            ratios = sorted(mapped["speed"] / resident["speed"] for mapped, resident in pairs)
            print(f"{'':11}mapped / resident: median {median(ratios):.3f}, {ratios[0]:.3f} to {ratios[-1]:.3f}")


def _write(folder: Path, size: int) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    mapped, resident = folder / "mapped", folder / "resident.npz"
    mapped.mkdir()
    header = {"descr": "|u1", "fortran_order": False, "shape": (size, 28, 28)}
    with (mapped / "x_train.npy").open("wb") as out:
        np.lib.format.write_array_header_1_0(out, header)
        for start in range(0, size, CHUNK):
            out.write(rng.integers(0, 256, (min(CHUNK, size - start), 28, 28), np.uint8).tobytes())
    test = rng.integers(0, 256, (TEST, 28, 28), np.uint8)
    np.save(mapped / "x_test.npy", test)
    np.savez(resident, x_train=np.load(mapped / "x_train.npy", mmap_mode="r"), x_test=test)
    return {"mapped": mapped, "resident": resident}


def _run(path: Path, run: Path, steps: int, words: list[str]) -> dict[str, float]:
    fixed = [f"trainer.steps={steps}", f"valid={TEST}", f"trainer.valid_every={steps}", "trainer.device=cpu"]
    place = [f"dataset.path='{path}'", f"hydra.run.dir='{run}'"]
    command = [sys.executable, "-m", "vaekl", "train", "dataset=npz", *place, *fixed, *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    found = {"VmHWM": 0.0, "RssAnon": 0.0, "RssFile": 0.0}
    while process.poll() is None:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in found:
                found[name] = max(found[name], float(value.split()[0]))
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    with (run / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    return found | {"speed": median(float(row["images_per_second"]) for row in rows[1:])}


if __name__ == "__main__":
    main()
