"""A VAE on digits in plain PyTorch: vaekl's ledger in three lines of the loop.

python docs/examples/plain_loop.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

import vaekl


def main(epochs: int = 30) -> float:
    """Train, and return the ELBO of the last epoch, nats for each image."""
    torch.manual_seed(0)
    images = torch.tensor(load_digits().images, dtype=torch.float32).unsqueeze(1)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * 8))
    decoder = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 64), nn.Unflatten(1, (1, 1, 8, 8)))
    likelihood = vaekl.ContinuousBernoulli()
    weighting = vaekl.auto_weighting(likelihood, (1, 8, 8))  # a Gaussian's would have ln φ as a parameter
    parameters = [*encoder.parameters(), *decoder.parameters(), *weighting.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2e-3)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch in images[torch.randperm(len(images))].split(100):
            x = (batch + torch.rand_like(batch)) / 17  # 17 levels, dequantized
            mean, log_std = encoder(x).chunk(2, dim=1)
            eta = decoder(mean + log_std.exp() * torch.randn_like(mean))
            terms = vaekl.elbo(likelihood, weighting, eta, x, mean, log_std)
            optimizer.zero_grad()
            terms.loss.backward()
            optimizer.step()
            total += terms.elbo.sum().item()
        figures = ", ".join(f"{name} {value:.3g}" for name, value in terms.figures().items())
        print(f"epoch {epoch}: ELBO {total / len(images):.2f} nats; last batch: {figures}")
    return total / len(images)


if __name__ == "__main__":
    main()
