"""Ten losses with one mistake each, as people make them."""

import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional


def kl_of(mu, logvar):
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp())


def wrong_sign(recon_x, x, mu, logvar):
    error = functional.mse_loss(recon_x, x, reduction="sum")
    return error + 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def squared_logvar(recon_x, x, mu, logvar):
    error = functional.mse_loss(recon_x, x, reduction="sum")
    return error - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.pow(2))


def mean_over_latents(recon, target, mu, log_var):
    error = functional.mse_loss(recon, target, reduction="none").sum(dim=(1, 2, 3)).mean()
    return error + kl_of(mu, log_var).mean()


def logvar_as_log_sigma(x_hat, x, mu, logvar):
    error = functional.l1_loss(x_hat, x, reduction="none").flatten(1).sum(1)
    return (error + kl_divergence(Normal(mu, logvar.exp()), Normal(0.0, 1.0)).sum(1)).mean()


def sum_beside_mean(recon, x, mu, logvar):
    error = functional.mse_loss(recon, x, reduction="sum")
    return error + torch.mean(torch.sum(kl_of(mu, logvar), dim=1))


def detached_kl(recon, x, mu, logvar):
    error = functional.binary_cross_entropy(recon, x, reduction="sum") / x.shape[0]
    with torch.no_grad():
        kl = kl_of(mu, logvar).sum(1).mean()
    return {"loss": error + kl, "kl": kl}


class IgnoredBeta(nn.Module):
    def __init__(self, beta=4.0):
        super().__init__()
        self.beta = beta

    def loss_function(self, recon, x, mu, logvar):
        error = functional.mse_loss(recon, x, reduction="sum") / len(x)
        return error + kl_of(mu, logvar).sum() / len(x)


def swapped_cross_entropy(recon_x, x, mu, logvar):
    error = functional.binary_cross_entropy(x, recon_x, reduction="sum")
    return error + kl_of(mu, logvar).sum()


def half_of_one_part(recon_x, x, mu, logvar):
    error = functional.mse_loss(recon_x, x, reduction="sum") / 2
    return error + torch.sum(0.5 * (logvar.exp() - logvar - 1) + mu.pow(2))


class PerceptualWithoutGradient(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.features = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh()).double()

    def forward(self, recon, x, mu, logvar):
        error = functional.l1_loss(recon, x, reduction="none").sum(dim=(1, 2, 3)).mean()
        with torch.no_grad():
            perceptual = (self.features(recon) - self.features(x)).pow(2).sum(dim=(1, 2, 3)).mean()
        return error + 0.1 * perceptual + 1e-3 * kl_of(mu, logvar).sum(1).mean()
