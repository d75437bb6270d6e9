"""Ten losses that are right in their way and written in an unusual one."""

from collections import namedtuple

import torch
from torch import nn
from torch.distributions import ContinuousBernoulli, Normal, Poisson
from torch.nn import functional

Result = namedtuple("Result", "loss rec kl")


def kl_of(mu, logvar):
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp())


def letters(a, b, c, d):
    """a target, b probabilities, c ln σ², d μ."""
    return functional.binary_cross_entropy(b, a, reduction="sum") / len(a) + kl_of(d, c).sum(1).mean()


def of_a_dict(out, batch, beta=0.5):
    rec = functional.mse_loss(out["reconstruction"], batch, reduction="none").flatten(1).sum(1).mean() / 2
    kl = kl_of(out["z_mean"], out["z_log_var"]).sum(1).mean()
    return Result(rec + beta * kl, rec, kl)


def huber(x, x_rec, z_mean, z_logvar):
    error = functional.huber_loss(x_rec, x, reduction="none", delta=0.5).flatten(1).sum(1)
    return torch.mean(error + kl_of(z_mean, z_logvar).sum(1))


def log_cosh(recons, inputs, mu, log_var, alpha=10.0):
    t = recons - inputs
    error = alpha * t + torch.log(1 + torch.exp(-2 * alpha * t)) - torch.log(torch.tensor(2.0))
    return (error / alpha).flatten(1).sum(1).mean() + 0.05 * kl_of(mu, log_var).sum(1).mean()


def sigma_vae(x_hat, x, mu, logvar):
    """Rybkin et al. 2021: one σ for the batch, at its optimum."""
    log_sigma = ((x - x_hat) ** 2).mean().sqrt().log()
    nll = 0.5 * ((x - x_hat) / log_sigma.exp()) ** 2 + log_sigma
    return nll.sum() + kl_of(mu, logvar).sum()


def predicted_variance(x_mean, x_logvar, x, mu, logvar):
    nll = 0.5 * (x_logvar + (x - x_mean) ** 2 / x_logvar.exp())
    return nll.flatten(1).sum(1).mean() + kl_of(mu, logvar).sum(1).mean()


def warm_up(recon, x, mu, logvar, step, warmup=10000):
    weight = min(1.0, step / warmup)
    return (recon - x).pow(2).flatten(1).sum(1).mean() / 2 + weight * kl_of(mu, logvar).sum(1).mean()


def continuous_bernoulli(recon, x, mu, std):
    nll = -ContinuousBernoulli(probs=recon).log_prob(x).flatten(1).sum(1)
    kl = 0.5 * (mu**2 + std**2 - 1) - std.log()
    return (nll + kl.sum(1)).mean()


def counts_by_a_draw(rate, counts, mean, scale):
    q = Normal(mean, scale)
    z = q.rsample()
    kl = q.log_prob(z) - Normal(torch.zeros_like(mean), torch.ones_like(scale)).log_prob(z)
    return -Poisson(rate).log_prob(counts).flatten(1).sum(1).mean() + kl.sum(1).mean()


class LightningLike(nn.Module):
    """A model whose training_step takes a batch and calls the model itself."""

    def __init__(self, latents=4):
        super().__init__()
        self.encoder = nn.Linear(32, 2 * latents)
        self.decoder = nn.Linear(latents, 32)

    def forward(self, x):
        mu, logvar = self.encoder(x.flatten(1)).chunk(2, dim=1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return self.decoder(z).view(x.shape), mu, logvar

    def log(self, *_):
        raise RuntimeError("there is no trainer")

    def training_step(self, batch, batch_idx):
        x, _ = batch
        recon, mu, logvar = self(x)
        loss = functional.mse_loss(recon, x) + 0.001 * kl_of(mu, logvar).sum(1).mean()
        self.log("loss", loss)
        return loss


class Perceptual(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.features = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh()).double()

    def forward(self, recon, x, mu, logvar):
        error = (self.features(recon) - self.features(x)).pow(2).flatten(1).sum(1)
        return (error + kl_of(mu, logvar).sum(1)).mean()
