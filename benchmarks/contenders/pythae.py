"""pythae's VAE under its BaseTrainer, with encoder and decoder of the same layers.

python -m benchmarks.contenders.pythae WORKLOAD DATA SCRATCH DEVICE
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn, zeros

from benchmarks.data import tensors
from benchmarks.gate import Gate
from benchmarks.workloads import LATENTS, WORKLOADS, Net


class Encoder(BaseEncoder):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> ModelOutput:
        mean, log_variance = self.net(x).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    def __init__(self, net: nn.Module, binary: bool) -> None:
        super().__init__()
        self.net, self.binary = net, binary

    def forward(self, z: Tensor) -> ModelOutput:
        eta = self.net(z)
        return ModelOutput(reconstruction=eta.sigmoid() if self.binary else eta)


class Turns(TrainingCallback):
    def __init__(self, gate: Gate, images: int) -> None:
        self.gate, self.images = gate, images

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.gate.ready(version=version("pythae"))

    def on_train_step_end(self, *_: Any, **__: Any) -> None:
        self.gate.step(self.images)


def main(name: str, data: str, scratch: str, device: str) -> None:
    workload, gate = WORKLOADS[name], Gate()
    plain, x = Net(workload), tensors(workload, Path(data))
    # the callback does not get the size of a batch: all are whole
    x = x[: len(x) - len(x) % workload.batch]
    settings = VAEConfig(
        input_dim=workload.shape, latent_dim=LATENTS, reconstruction_loss="bce" if plain.binary else "mse"
    )
    model = VAE(settings, encoder=Encoder(plain.encoder), decoder=Decoder(plain.decoder, plain.binary))
    training = BaseTrainerConfig(
        output_dir=scratch,
        num_epochs=100_000,
        per_device_train_batch_size=workload.batch,
        learning_rate=1e-3,
        no_cuda=device == "cpu",
    )
    trainer = BaseTrainer(
        model, BaseDataset(x, zeros(len(x))), training_config=training, callbacks=[Turns(gate, workload.batch)]
    )
    trainer.train()


if __name__ == "__main__":
    main(*sys.argv[1:])
