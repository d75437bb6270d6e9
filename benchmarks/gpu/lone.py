"""One run of the MLP and of the convolutions beside a bare loop, a CUDA graph of it, and what people write.

All contenders of both are started at once, and then train in turns (see `benchmarks.speed`) until the time is over.
"""

import importlib.util
import itertools
import shutil
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks import data
from benchmarks.contender import Contender
from benchmarks.environment import SCRATCH
from benchmarks.gpu import part, say, write
from benchmarks.speed import LIMIT, Turns, contender, rows_of, take_turns, warm_up

#: name in `benchmarks.speed` -> the package that it takes
NAMES = {
    LIMIT: "torch",
    "limit, CUDA graph": "torch",
    "vaekl": "vaekl",
    "vaekl, compiled": "vaekl",
    "vaekl, graph": "vaekl",
    "vaekl, bfloat16": "vaekl",
    "PyTorch loop, tensors": "torch",
    "Lightning, tensors": "lightning",
    "pythae": "pythae",
}
_ON_GPU = ("limit, CUDA graph", "vaekl, compiled", "vaekl, graph", "vaekl, bfloat16")


def main(device: str, seconds: float, smoke: bool) -> None:
    """Rounds of turns while there is time, and the tables after each."""
    end, turn = time.perf_counter() + 0.9 * seconds, 0.3 if smoke else 1.5
    running: dict[str, list[Contender]] = {}
    try:
        for workload in ("mlp",) if smoke else ("mlp", "conv"):
            running[workload] = _contenders(workload, device, smoke)
        everyone = list(itertools.chain(*running.values()))
        with ThreadPoolExecutor(len(everyone) if device == "cuda" else 1) as pool:
            list(pool.map(partial(warm_up, seconds=turn), everyone))
        taken: dict[str, Turns] = {name: {one.name: [] for one in those} for name, those in running.items()}
        for number in itertools.count():
            begun = time.perf_counter()
            for workload, those in running.items():
                if those[0].failed is None:
                    take_turns(those, number, turn, taken[workload])
                write(workload, rows_of(those, taken[workload], None))
            now = time.perf_counter()
            say(f"lone: round {number + 1} took {now - begun:.0f} s")
            if smoke or now + (now - begun) > end:
                break
    finally:
        for one in itertools.chain(*running.values()):
            one.stop()


def _contenders(workload: str, device: str, smoke: bool) -> list[Contender]:
    scratch = SCRATCH / "gpu" / workload
    shutil.rmtree(scratch, ignore_errors=True)
    folder, _ = data.prepare(SCRATCH)
    made = []
    for number, (name, package) in enumerate(NAMES.items()):
        python = _python_with(package)
        if device == "cpu" and name in _ON_GPU:
            say(f"lone: {name} is compared on a GPU alone")
        elif python is None:
            say(f"lone: {name} is left out, since {package} is not installed: `make bench ARGS=speed` installs it")
        else:
            made.append(contender(name, workload, folder, scratch / str(number), device, python, smoke))
    return made


def _python_with(package: str) -> str | None:
    """A Python that has the package: this one, or that of the peers' environment where it was made before."""
    if importlib.util.find_spec(package) is not None:
        return sys.executable
    peers = SCRATCH / "env"
    library = Path(sysconfig.get_path("purelib", vars={"base": str(peers)}))
    return str(peers / "bin" / "python") if (library / package).is_dir() else None


if __name__ == "__main__":
    part(main)
