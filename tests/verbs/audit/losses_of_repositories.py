"""Ten losses in the shapes that well-known repositories give them, each written anew: see `docs/gallery.md`."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn import functional


def mnist_example(recon_x, x, mu, logvar):
    """pytorch/examples, vae/main.py."""
    cross_entropy = functional.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    return cross_entropy - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


class VanillaVAE(nn.Module):
    """AntixK/PyTorch-VAE, models/vanilla_vae.py."""

    def loss_function(self, *args, **kwargs):
        recons, target, mu, log_var = args[:4]
        weight = kwargs["M_N"]
        error = functional.mse_loss(recons, target)
        kld = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
        return {"loss": error + weight * kld, "Reconstruction_Loss": error.detach(), "KLD": -kld.detach()}


class CapacityVAE(nn.Module):
    """AntixK/PyTorch-VAE, models/beta_vae.py, its loss_type B."""

    num_iter = 0

    def __init__(self):
        super().__init__()
        self.gamma, self.C_stop_iter = 1000.0, 1e5
        self.C_max = torch.Tensor([25])

    def loss_function(self, *args, **kwargs):
        self.num_iter += 1_000_000
        recons, target, mu, log_var = args[0], args[1], args[2], args[3]
        error = functional.mse_loss(recons, target)
        kld = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
        limit = torch.clamp(self.C_max / self.C_stop_iter * self.num_iter, 0, self.C_max.data[0])
        return {"loss": error + self.gamma * kwargs["M_N"] * (kld - limit).abs(), "KLD": kld}


class ContinuousPerceptual(nn.Module):
    """CompVis/latent-diffusion, ldm/modules/losses/contperceptual.py, without its discriminator and its LPIPS."""

    def __init__(self, logvar_init=0.0, kl_weight=1e-6):
        super().__init__()
        self.kl_weight = kl_weight
        self.logvar = nn.Parameter(torch.ones(size=()) * logvar_init)

    def forward(self, inputs, reconstructions, posteriors, global_step=0, split="train"):
        error = torch.abs(inputs.contiguous() - reconstructions.contiguous())
        nll = error / torch.exp(self.logvar) + self.logvar
        nll = torch.sum(nll) / nll.shape[0]
        kl = posteriors.kl()
        kl = torch.sum(kl) / kl.shape[0]
        loss = nll + self.kl_weight * kl
        return loss, {f"{split}/total_loss": loss.clone().detach().mean(), f"{split}/kl_loss": kl.detach().mean()}


def autoencoder_kl(reconstructions, targets, posterior, kl_scale=1e-6):
    """huggingface/diffusers, examples/research_projects/autoencoderkl/train_autoencoderkl.py, its rec_loss l2."""
    rec_loss = functional.mse_loss(reconstructions.float(), targets.float(), reduction="none")
    nll = torch.sum(rec_loss) / rec_loss.shape[0]
    kl = posterior.kl()
    return nll + kl_scale * torch.sum(kl) / kl.shape[0]


@dataclass
class LossOutput:
    loss: torch.Tensor
    reconstruction_loss: torch.Tensor
    kl_local: torch.Tensor


def single_cell(x, px_rate, px_r, qz, kl_weight=1.0):
    """scverse/scvi-tools, module/_vae.py: a negative binomial, and a KL whose weight is warmed up."""
    eps = 1e-8
    log_theta_mu = torch.log(px_r + px_rate + eps)
    log_mass = (
        px_r * (torch.log(px_r + eps) - log_theta_mu)
        + x * (torch.log(px_rate + eps) - log_theta_mu)
        + torch.lgamma(x + px_r)
        - torch.lgamma(px_r)
        - torch.lgamma(x + 1)
    )
    reconst_loss = -log_mass.sum(-1)
    kl_local = kl_divergence(qz, Normal(torch.zeros_like(qz.loc), torch.ones_like(qz.loc))).sum(dim=1)
    return LossOutput(torch.mean(reconst_loss + kl_weight * kl_local), reconst_loss, kl_local)


class PythaeVAE(nn.Module):
    """clementchadebec/benchmark_VAE, models/vae/vae_model.py with reconstruction_loss="bce"."""

    def loss_function(self, recon_x, x, mu, log_var, z):
        recon_loss = functional.binary_cross_entropy(
            recon_x.reshape(x.shape[0], -1), x.reshape(x.shape[0], -1), reduction="none"
        ).sum(dim=-1)
        KLD = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp(), dim=-1)  # noqa: N806
        return (recon_loss + KLD).mean(dim=0), recon_loss.mean(dim=0), KLD.mean(dim=0)


def world_model(x, y, mu, logvar, z_size=4, kl_tolerance=0.5):
    """hardmaru/WorldModelsExperiments, vae/vae.py: squares summed, and free bits of z_size · kl_tolerance."""
    r_loss = torch.sum((x - y) ** 2, dim=[1, 2, 3]).mean()
    kl_loss = -0.5 * torch.sum(1 + logvar - mu**2 - torch.exp(logvar), dim=1)
    kl_loss = torch.maximum(kl_loss, torch.as_tensor(kl_tolerance * z_size)).mean()
    return r_loss + kl_loss


def beta_vae(x, x_recon, mu, logvar, beta=4):
    """1Konny/Beta-VAE, solver.py, its objective H with a Bernoulli decoder."""
    batch_size = x.size(0)
    recon_loss = functional.binary_cross_entropy_with_logits(x_recon, x, reduction="sum").div(batch_size)
    klds = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp())
    total_kld = klds.sum(1).mean(0, True)
    return recon_loss + beta * total_kld


class BoltsVAE(nn.Module):
    """williamFalcon/pytorch-lightning-vae, vae.py: a learned log_scale, and the KL of one draw."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(2, 2), nn.Linear(2, 2)
        self.log_scale = nn.Parameter(torch.Tensor([0.0]))

    def loss(self, x_hat, x, z, mu, std):
        scale = torch.exp(self.log_scale)
        recon = Normal(x_hat, scale).log_prob(x).sum(dim=(1, 2, 3))
        q, p = Normal(mu, std), Normal(torch.zeros_like(mu), torch.ones_like(std))
        kl = (q.log_prob(z) - p.log_prob(z)).sum(-1)
        return (kl - recon).mean()


def bernoulli_of_distributions(logits, x, q_mu, q_sigma):
    nll = -Bernoulli(logits=logits, validate_args=False).log_prob(x).flatten(1).sum(-1)
    return (nll + kl_divergence(Normal(q_mu, q_sigma), Normal(0.0, 1.0)).sum(-1)).mean()
