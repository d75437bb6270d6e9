"""The limit: forward, backward and fused Adam on one batch.

python -m benchmarks.contenders.limit WORKLOAD DATA SCRATCH [eager | compiled | channels_last]
"""

import sys
from pathlib import Path

import torch

from benchmarks.data import tensors
from benchmarks.gate import Gate
from benchmarks.workloads import WORKLOADS, Net, noise


def main(name: str, data: str, _: str, mode: str = "eager") -> None:
    workload, gate = WORKLOADS[name], Gate()
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    x = tensors(workload, Path(data))[: workload.batch].clone()
    model = Net(workload)
    if mode == "channels_last":
        model = model.to(memory_format=torch.channels_last)
    if mode == "compiled":
        model.compile()
    adam = torch.optim.Adam(model.parameters(), fused=True)
    gate.ready()
    while True:
        adam.zero_grad()
        model(x, noise(x)).backward()
        adam.step()
        gate.step(len(x))


if __name__ == "__main__":
    main(*sys.argv[1:])
