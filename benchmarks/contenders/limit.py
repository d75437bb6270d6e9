"""The limit: forward, backward and fused Adam on one batch.

python -m benchmarks.contenders.limit WORKLOAD DATA SCRATCH DEVICE [eager | compiled | channels_last | graph]

`graph` is the same step as one CUDA graph, which a GPU does without waiting for any program.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.data import tensors
from benchmarks.gate import Gate
from benchmarks.workloads import WORKLOADS, Net, noise


def main(name: str, data: str, _: str, device: str, mode: str = "eager") -> None:
    workload, gate = WORKLOADS[name], Gate()
    torch.set_flush_denormal(True)
    torch.backends.cudnn.allow_tf32 = False  # as vaekl has it
    torch.manual_seed(0)
    x = tensors(workload, Path(data))[: workload.batch].clone().to(device)
    model = Net(workload).to(device)
    if mode == "channels_last":
        model = model.to(memory_format=torch.channels_last)
    if mode == "compiled":
        model.compile()
    adam = torch.optim.Adam(model.parameters(), fused=True, capturable=mode == "graph")

    def step() -> None:
        adam.zero_grad()
        model(x, noise(x)).backward()
        adam.step()

    if mode == "graph":
        step = captured(step)
    gate.ready()
    while True:
        step()
        gate.step(len(x))


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """The same step as a CUDA graph.

    It sets the gradients to None before they are computed, so that each replay writes them anew.
    """
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # what libraries set up at a first call must not be recorded
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=aside):
        step()
    return graph.replay


if __name__ == "__main__":
    main(*sys.argv[1:])
