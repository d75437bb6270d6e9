"""A VAE on digits in Pyro, with vaekl's continuous Bernoulli; needs `pip install pyro-ppl`.

python docs/examples/pyro_model.py
"""

import pyro
import torch
from pyro import distributions as dist
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.infer import SVI, Predictive, Trace_ELBO
from sklearn.datasets import load_digits
from torch import Tensor, nn

import vaekl


class ContinuousBernoulli(vaekl.distributions.ContinuousBernoulli, TorchDistributionMixin):
    """vaekl's, with what Pyro adds to a distribution of PyTorch: a call that draws, `to_event`, `mask`."""


def main(epochs: int = 30) -> float:
    """Train, and return the ELBO of the last epoch, nats for each image."""
    pyro.set_rng_seed(0)
    pyro.clear_param_store()
    images = torch.tensor(load_digits().data, dtype=torch.float32)
    encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * 8))
    decoder = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 64))

    def model(x: Tensor | None = None, size: int = 16) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("images", size if x is None else len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(8), 1.0).to_event(1))
            pyro.sample("x", ContinuousBernoulli(logits=decoder(z)).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        pyro.module("encoder", encoder)
        with pyro.plate("images", len(x)):
            mean, log_std = encoder(x).chunk(2, dim=1)
            pyro.sample("z", dist.Normal(mean, log_std.exp()).to_event(1))

    svi = SVI(model, guide, pyro.optim.Adam({"lr": 2e-3}), Trace_ELBO())
    for _ in range(epochs):
        batches = images[torch.randperm(len(images))].split(100)
        loss = sum(svi.step((batch + torch.rand_like(batch)) / 17) for batch in batches)
    draws = Predictive(model, num_samples=1)()["x"]
    print(f"epoch {epochs}: ELBO {-loss / len(images):.2f} nats; new digits, on average {draws.mean():.2f}")
    return -loss / len(images)


if __name__ == "__main__":
    main()
