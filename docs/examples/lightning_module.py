"""A VAE on digits as a LightningModule, with vaekl's ledger and a callback that logs it; needs `pip install lightning`.

python docs/examples/lightning_module.py
"""

from typing import Any

import lightning
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import vaekl


class LogLedger(lightning.Callback):
    """Logs E/φ, ln C, KL, the ELBO, the loss and φ of each epoch, from the figures that a training step returns."""

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
        module.log_dict({f"train/{name}": value for name, value in outputs["figures"].items()}, on_epoch=True)


class Vae(lightning.LightningModule):
    """The decoder gives α and β of each pixel's beta density."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * 8))
        self.decoder = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 128), nn.Unflatten(1, (2, 1, 8, 8)))
        self.likelihood = vaekl.Beta()
        self.weighting = vaekl.auto_weighting(self.likelihood, (1, 8, 8))

    def training_step(self, batch: list[Tensor], _: int) -> dict[str, Any]:
        x = (batch[0] + torch.rand_like(batch[0])) / 17  # 17 levels, dequantized
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        eta = self.decoder(mean + log_std.exp() * torch.randn_like(mean))
        terms = vaekl.elbo(self.likelihood, self.weighting, eta, x, mean, log_std)
        return {"loss": terms.loss, "figures": terms.figures()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=2e-3)


def main(epochs: int = 30) -> float:
    """Train, and return the ELBO of the last epoch, nats for each image."""
    lightning.seed_everything(0, verbose=False)
    images = TensorDataset(torch.tensor(load_digits().images, dtype=torch.float32).unsqueeze(1))
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[LogLedger()],
    )
    trainer.fit(Vae(), DataLoader(images, batch_size=100, shuffle=True))
    elbo = trainer.callback_metrics["train/elbo_nats"].item()
    print(f"epoch {epochs}: ELBO {elbo:.2f} nats")
    return elbo


if __name__ == "__main__":
    main()
