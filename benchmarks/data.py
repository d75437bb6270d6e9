"""The data that all contenders read: real where the data directory has them, else random ones of the same sizes."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.workloads import Workload

BINARIZED, CIFAR, IDX = "binarized_mnist.npz", "cifar10_subset.npz", "MNIST/raw"
#: speed depends on sizes, and these are the real ones but for the test images
_ROWS = {"train": 50_000, "valid": 10_000, "test": 10_000}


def prepare(scratch: Path) -> tuple[Path, bool]:
    """The folder with every file, and whether it is real: `$VAEKL_DATA_DIR` if it has all of them."""
    real = Path(os.environ.get("VAEKL_DATA_DIR", scratch / "none")).absolute()
    needed = [BINARIZED, CIFAR, f"{IDX}/train-images-idx3-ubyte", f"{IDX}/t10k-images-idx3-ubyte"]
    if all((real / name).exists() for name in needed):
        return real, True
    made = scratch / "data"
    if not all((made / name).exists() for name in needed):
        _make(made)
    return made, False


def _make(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / IDX).mkdir(parents=True, exist_ok=True)
    np.savez(folder / BINARIZED, **{k: rng.integers(0, 256, (n, 98), np.uint8) for k, n in _ROWS.items()})
    images = {f"x_{k}": rng.integers(0, 256, (n, 32, 32, 3), np.uint8) for k, n in (("train", 20_000), ("test", 1017))}
    np.savez(folder / CIFAR, **images)
    for name, count in (("train", 60_000), ("t10k", 10_000)):
        for kind, code, shape in (("images-idx3", 3, (count, 28, 28)), ("labels-idx1", 1, (count,))):
            values = rng.integers(0, 10, shape, np.uint8)
            header = np.array([0x0800 + code, *shape], ">i4").tobytes()
            (folder / IDX / f"{name}-{kind}-ubyte").write_bytes(header + values.tobytes())


def tensors(workload: Workload, folder: Path) -> Tensor:
    """Training images as float32 in [0, 1], [N, C, H, W]."""
    if workload.name == "mlp":
        with np.load(folder / BINARIZED) as file:
            pixels = np.unpackbits(file["train"], axis=1).reshape(-1, 1, 28, 28)
        return torch.from_numpy(pixels).float()
    with np.load(folder / CIFAR) as file:
        return torch.from_numpy(file["x_train"]).permute(0, 3, 1, 2).contiguous().float() / 255
