"""A VAE on digits as a LightningModule, with vaekl's beta density; needs `pip install lightning`.

python docs/examples/lightning_module.py
"""

import lightning
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, TensorDataset

from vaekl.distributions import Beta


class Vae(lightning.LightningModule):
    """The decoder gives α and β of each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * 8))
        self.decoder = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 2 * 64))

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        x = (batch[0] + torch.rand_like(batch[0])) / 17  # 17 levels, dequantized
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        posterior = Normal(mean, log_std.exp())
        alpha, beta = softplus(self.decoder(posterior.rsample())).chunk(2, dim=1)
        log_prob = Independent(Beta(alpha, beta), 1).log_prob(x.clamp(1e-6, 1 - 1e-6))
        elbo = (log_prob - kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)).mean()
        self.log("elbo_nats", elbo, on_step=False, on_epoch=True)
        return -elbo

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=2e-3)


def main(epochs: int = 30) -> float:
    """Train, and return the ELBO of the last epoch, nats for each image."""
    lightning.seed_everything(0, verbose=False)
    images = TensorDataset(torch.tensor(load_digits().data, dtype=torch.float32))
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Vae(), DataLoader(images, batch_size=100, shuffle=True))
    elbo = trainer.callback_metrics["elbo_nats"].item()
    print(f"epoch {epochs}: ELBO {elbo:.2f} nats")
    return elbo


if __name__ == "__main__":
    main()
