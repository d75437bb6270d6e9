"""A LightningModule under the default Trainer, with its default logger and checkpoints.

python -m benchmarks.contenders.lightning WORKLOAD DATA SCRATCH DEVICE [tensors | torchvision]
"""

import sys
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.contenders.plain import dataset
from benchmarks.gate import Gate
from benchmarks.workloads import WORKLOADS, Net, Workload, noise


class Module(lightning.LightningModule):
    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self.vae = Net(workload)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        loss: Tensor = self.vae(batch[0], noise(batch[0]))
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class Turns(lightning.Callback):
    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def on_train_start(self, *_: Any) -> None:
        self.gate.ready(version=lightning.__version__)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: list[Tensor], index: int) -> None:
        self.gate.step(len(batch[0]))


def main(name: str, data: str, scratch: str, device: str, kind: str = "tensors") -> None:
    workload, gate = WORKLOADS[name], Gate()
    loader = DataLoader(dataset(workload, Path(data), kind), batch_size=workload.batch, shuffle=True)
    trainer = lightning.Trainer(
        max_epochs=100_000,
        accelerator="gpu" if device == "cuda" else device,
        devices=1,
        default_root_dir=scratch,
        callbacks=[Turns(gate)],
    )
    trainer.fit(Module(workload), loader)


if __name__ == "__main__":
    main(*sys.argv[1:])
