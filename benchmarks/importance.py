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


def measure(run, k: int, images: int) -> dict[str, float]:
    """Seconds of the bound and of the bare loop, medians, and their ratio with its range.

    Args:
        run: a finished one.
        k: samples of each image.
        images: of the test split, at most.
    """
    split = run.split("test", images)

    def bound(part=split) -> None:
        noise = torch.Generator(run.device).manual_seed(0)
        importance_bounds(run.model, part, log_density(run.model), [k], noise)

    def seconds(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        if run.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    loop: list[float] = []
    whole: list[float] = []
    seconds(lambda: bare(run, 1000, 1))
    seconds(lambda: bound(split.first(100)))
    for _ in range(ROUNDS):
        loop.append(seconds(lambda: bare(run, len(split), k)))
        whole.append(seconds(bound))
    ratios = [b / a for a, b in zip(loop, whole, strict=True)]
    times = {"images": len(split), "k": k, "bare loop s": statistics.median(loop), "bound s": statistics.median(whole)}
    return times | {"ratio": statistics.median(ratios), "from": min(ratios), "to": max(ratios), "rounds": ROUNDS}


def main(path: str, k: str = "50", images: str = "10000") -> None:
    run = load_run(Path(path))
    of = measure(run, int(k), int(images))
    what = f"{run.choices['dataset']} {run.choices['likelihood']}, {of['images']} images, K = {k}"
    print(
        f"{what}, {torch.get_num_threads()} threads: "
        f"bare loop {of['bare loop s']:.2f} s, bound {of['bound s']:.2f} s, "
        f"ratio {of['ratio']:.2f} ({of['from']:.2f} to {of['to']:.2f}, {ROUNDS} rounds)"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
