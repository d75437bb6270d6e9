"""python -m benchmarks.program: what the program itself needs for a step, alone and in a stack, beside the kernels.

Nets of four units and batches of two, whose kernels take next to nothing; of several turns the shortest.
"""

import sys

import torch

from benchmarks.gpu.stacks import measure
from benchmarks.tables import plain_table
from vaekl.config.job import single

SIZES, TURNS, SECONDS = (1, 4, 16, 64), 5, 1.0
_WORDS = (
    "dataset=digits", "transform=binarize", "likelihood=bernoulli", "trainer.batch_size=2", "model.hidden=[4,4]",
    "model.latents=2", "trainer.steps=1000000", "trainer.log_every=1000", "trainer.device=cpu",
)  # fmt: skip


def main() -> None:
    """Milliseconds of a step of all runs, of the joint step, and microseconds of each run's own loop."""
    torch.set_num_threads(1)
    job, rows = single(list(_WORDS)), []
    for runs in SIZES:
        turn = min((measure(job, runs, "cpu", SECONDS) for _ in range(TURNS)), key=lambda row: row["ms a step"])
        joint = turn["ms a step"] * turn["share of joint steps"]
        own = 1e3 * (turn["ms a step"] - joint) / runs
        rows.append(
            {"runs": runs, "ms a step": turn["ms a step"], "ms of the joint step": joint, "µs of a run's loop": own}
        )
    sys.stdout.write(f"{plain_table(rows)}\n")


if __name__ == "__main__":
    main()
