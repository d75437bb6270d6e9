"""Batches whose ledger is known, for the tests of controls."""

import torch

from vaekl.data.spec import DataSpec
from vaekl.model.ledger import ElboTerms, PosteriorSample, gaussian_kl
from vaekl.model.likelihoods import Gaussian

SPEC = DataSpec("four values", (1, 2, 2), None, "real")
IMAGES = 1000


def made(kind, likelihood=None, **options):
    """A control in training."""
    return kind(likelihood or Gaussian(), SPEC, IMAGES, **options).train()


def terms_of(kl, energy=0.0, log_norm_const=0.0, posterior=None):
    """A ledger with these KLs, [B, Z]."""
    kl = torch.as_tensor(kl, dtype=torch.float32)
    batch = len(kl)
    return ElboTerms(
        energy=torch.full((batch, 1, 1, 1), energy),
        log_norm_const=torch.full((batch,), log_norm_const),
        kl=kl,
        dispersion=torch.ones(1, 1, 1),
        posterior=posterior or PosteriorSample(*[torch.zeros_like(kl)] * 4),
    )


def posterior_of(mean, log_std, seed=0):
    """A sample of given posteriors, and its ledger."""
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
    posterior = PosteriorSample(mean + log_std.exp() * noise, mean, log_std, noise)
    return terms_of(gaussian_kl(mean, log_std), posterior=posterior)


def penalised(control, terms, schedule=1.0):
    """The penalty of each image, after the control has seen the batch."""
    with torch.no_grad():
        control.observe(terms, schedule)
    coefficient, values = control.penalty(terms, schedule)
    return coefficient * values
