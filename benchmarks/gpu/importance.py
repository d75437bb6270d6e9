"""The importance-weighted bound of a trained MLP, K = 50, beside a bare loop of as many decoder passes."""

import shutil

from benchmarks import data, importance
from benchmarks.environment import SCRATCH
from benchmarks.gpu import part, write
from benchmarks.workloads import MLP
from vaekl import cli
from vaekl.run.load import load_run


def main(device: str, seconds: float, smoke: bool) -> None:
    """Train a little, then measure both in turns."""
    k, images, steps = (5, 200, 20) if smoke else (50, 10_000, 500)
    path = SCRATCH / "gpu" / "importance"
    shutil.rmtree(path, ignore_errors=True)
    folder, _ = data.prepare(SCRATCH)
    words = [f"data_dir={folder}", f"trainer.steps={steps}", f"trainer.device={device}", f"hydra.run.dir={path}"]
    if cli.main(["train", *MLP.words, *words]):
        raise SystemExit("the run failed")
    write("bound", importance.measure(load_run(path, device), k, images))


if __name__ == "__main__":
    part(main)
