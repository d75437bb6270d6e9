"""Probabilistic PCA as a VAE whose every weight is known, and what scikit-learn says of held-out digits under it."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from vaekl.data import DataSpec, Split
from vaekl.data.transforms import AsStored
from vaekl.model.likelihoods import Gaussian
from vaekl.model.nets import linear
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedDispersion

LATENTS = 8
IMAGES = load_digits().data / 16
TRAIN, TEST = IMAGES[:1437], IMAGES[1437:]
SPEC = DataSpec("digits", (1, 8, 8), 17, "unit_interval", "scaled k/16")


def pca() -> PCA:
    return PCA(LATENTS).fit(TRAIN)


def held_out(images=TEST) -> Split:
    return Split(torch.from_numpy(images).float().view(-1, 1, 8, 8), None, AsStored())


def vae(fitted: PCA, shrink: float = 1.0, widen: float = 1.0) -> VAE:
    """The linear VAE with the decoder of `fitted` and its exact posterior, shrunk and widened to make it wrong.

    x = μ + W z + noise of variance φ with W = U (Λ − φ)^½, whose posterior is N(Λ⁻¹ Wᵀ(x − μ), φ Λ⁻¹): diagonal, since
    WᵀW + φ = Λ. Source: Tipping, Bishop 1999.
    """
    phi, spectrum = fitted.noise_variance_, fitted.explained_variance_
    loadings = fitted.components_.T * np.sqrt(spectrum - phi)
    to_mean = shrink * (loadings / spectrum).T
    model = VAE(SPEC, linear(SPEC.shape, 1, LATENTS), Gaussian(), FixedDispersion(Gaussian(), SPEC.shape, phi), LATENTS)
    values = {
        model.encoder.mean.weight: to_mean,
        model.encoder.mean.bias: -to_mean @ fitted.mean_,
        model.encoder.log_std: np.log(widen * np.sqrt(phi / spectrum)),
        model.decoder[0].weight: loadings,
        model.decoder[0].bias: fitted.mean_,
    }
    with torch.no_grad():
        for parameter, value in values.items():
            parameter.copy_(torch.from_numpy(value))
    return model.eval()
