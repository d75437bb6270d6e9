"""The importance-weighted bound against a bare loop of as many decoder passes, interleaved in one process.

    python -m benchmarks.importance RUN [K] [IMAGES]

RUN is a finished run on real data. The bare loop draws z and decodes batches of the same size: nothing is scored.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from vaekl.measures.elbo import batch_limit
from vaekl.measures.importance import importance_bounds
from vaekl.measures.ruler import log_density
from vaekl.run.load import load_run

ROUNDS = 5


@torch.inference_mode()
def bare(run, images: int, k: int) -> None:
    generator = torch.Generator(run.device).manual_seed(0)
    size = min(images, batch_limit(run.model))
    for _ in range(images * k // size):
        run.model.decode(torch.randn(size, run.model.latents, generator=generator, device=run.device))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(path: str, k: str = "50", images: str = "10000") -> None:
    run = load_run(Path(path))
    split = run.split("test", int(images))

    def bound() -> None:
        importance_bounds(
            run.model, split, log_density(run.model), [int(k)], torch.Generator(run.device).manual_seed(0)
        )

    loop: list[float] = []
    whole: list[float] = []
    bare(run, 1000, 1)
    for _ in range(ROUNDS):
        loop.append(seconds(lambda: bare(run, len(split), int(k))))
        whole.append(seconds(bound))
    ratios = [b / a for a, b in zip(loop, whole, strict=True)]
    what = f"{run.choices['dataset']} {run.choices['likelihood']}, {len(split)} images, K = {k}"
    print(
        f"{what}, {torch.get_num_threads()} threads: "
        f"bare loop {statistics.median(loop):.2f} s, bound {statistics.median(whole):.2f} s, "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {ROUNDS} rounds)"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
