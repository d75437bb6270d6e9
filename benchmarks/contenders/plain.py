"""The loop of PyTorch's example: a DataLoader, ordinary Adam, the loss read at every step.

python -m benchmarks.contenders.plain WORKLOAD DATA SCRATCH DEVICE [tensors | torchvision]
"""

import sys
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks.data import tensors
from benchmarks.gate import Gate
from benchmarks.workloads import WORKLOADS, Net, Workload, noise


def dataset(workload: Workload, data: Path, kind: str) -> Dataset[tuple[torch.Tensor, ...]]:
    """Images in memory, or torchvision's, one PIL image at a time."""
    if kind == "tensors":
        return TensorDataset(tensors(workload, data))
    from torchvision import datasets, transforms

    mnist: Dataset[tuple[torch.Tensor, ...]] = datasets.MNIST(str(data), transform=transforms.ToTensor())
    return mnist


def main(name: str, data: str, _: str, device: str, kind: str = "tensors") -> None:
    workload, gate = WORKLOADS[name], Gate()
    torch.manual_seed(0)
    loader = DataLoader(dataset(workload, Path(data), kind), batch_size=workload.batch, shuffle=True)
    model = Net(workload).to(device)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    total = 0.0
    gate.ready()
    while True:
        for images, *_label in loader:
            x = images.to(device)
            adam.zero_grad()
            loss = model(x, noise(x))
            loss.backward()
            total += loss.item()
            adam.step()
            gate.step(len(x))


if __name__ == "__main__":
    main(*sys.argv[1:])
