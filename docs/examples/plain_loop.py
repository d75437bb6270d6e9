"""A VAE on digits in plain PyTorch: the density of x is vaekl's continuous Bernoulli.

python docs/examples/plain_loop.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from vaekl.distributions import ContinuousBernoulli


def main(epochs: int = 30) -> float:
    """Train, and return the ELBO of the last epoch, nats for each image."""
    torch.manual_seed(0)
    images = torch.tensor(load_digits().data, dtype=torch.float32)
    encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * 8))
    decoder = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 64))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)
    prior = Normal(torch.zeros(8), 1.0)
    for _ in range(epochs):
        total = 0.0
        for batch in images[torch.randperm(len(images))].split(100):
            x = (batch + torch.rand_like(batch)) / 17  # 17 levels, dequantized
            mean, log_std = encoder(x).chunk(2, dim=1)
            posterior = Normal(mean, log_std.exp())
            likelihood = Independent(ContinuousBernoulli(logits=decoder(posterior.rsample())), 1)
            elbo = likelihood.log_prob(x) - kl_divergence(posterior, prior).sum(1)
            optimizer.zero_grad()
            (-elbo.mean()).backward()
            optimizer.step()
            total += elbo.sum().item()
    print(f"epoch {epochs}: ELBO {total / len(images):.2f} nats")
    return total / len(images)


if __name__ == "__main__":
    main()
