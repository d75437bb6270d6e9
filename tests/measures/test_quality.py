"""PSNR and SSIM against scikit-image, an independent implementation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import grey, model_of, spec_of, split_of
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vaekl.measures.quality import MAX_PSNR, figures, psnr, ssim

GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5}
UNIFORM = {"win_size": 7}


def pair(shape, noise=0.15):
    """Images [4, *shape], the first two smooth, and noisy copies."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, *shape, generator=generator)
    x[:2] = torch.linspace(0, 0.9, shape[-1])
    return x, (x + noise * torch.randn(x.shape, generator=generator)).clamp(0, 1)


def by_skimage(x, y, settings):
    pairs = zip(x.double().numpy(), y.double().numpy(), strict=True)
    return [
        structural_similarity(a, b, channel_axis=0, data_range=1.0, use_sample_covariance=False, **settings)
        for a, b in pairs
    ]


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((1, 28, 28), GAUSSIAN),
        ((3, 32, 32), GAUSSIAN),
        ((1, 11, 16), GAUSSIAN),
        ((1, 10, 40), UNIFORM),
        ((1, 8, 8), UNIFORM),
        ((3, 7, 9), UNIFORM),
    ],
)
def test_ssim_is_scikit_images(shape, settings):
    x, y = pair(shape)
    expected = by_skimage(x, y, settings)
    assert np.ptp(expected) > 0.05
    assert ssim(x, y).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (4, 4), (5, 6), (8, 8), (12, 12)])
def test_ssim_is_one_for_equal_images_and_less_for_others_however_small(size):
    x, y = pair((1, *size))
    assert ssim(x, x).tolist() == pytest.approx([1.0] * 4, abs=1e-6)
    assert ((ssim(x, y) > 0) & (ssim(x, y) <= 1)).all()
    assert ssim(x, y).mean() < 0.95


def test_psnr_is_scikit_images():
    x, y = pair((3, 9, 7))
    pairs = zip(x.double().numpy(), y.double().numpy(), strict=True)
    expected = [peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in pairs]
    assert psnr(x, y).tolist() == pytest.approx(expected, rel=1e-5)


def test_psnr_of_a_perfect_reconstruction_is_finite_and_above_any_other_of_bytes():
    x = torch.zeros(1, 3, 64, 64)
    assert psnr(x, x).item() == MAX_PSNR
    y = x.clone()
    y[0, 0, 0, 0] = 1 / 255
    assert psnr(x, y).item() == pytest.approx(peak_signal_noise_ratio(x.numpy(), y.numpy(), data_range=1.0), rel=1e-5)
    assert psnr(x, y).item() < MAX_PSNR


@pytest.fixture(scope="module")
def linear():
    """A linear VAE on 300 images of 12 × 12, whose reconstructions leave [0, 1]."""
    images = grey(300, (1, 12, 12))
    model = model_of(spec_of(images), hidden=())
    with torch.no_grad():
        model.decoder[0].bias += 1.0 - torch.linspace(0, 1.2, 144)
    return model, split_of(images)


def test_figures_are_those_of_the_clamped_mean_at_the_posterior_mean(linear):
    model, split = linear
    weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
    x = split.images.double().numpy()
    z = x.reshape(300, -1) @ weights["encoder.mean.weight"].T + weights["encoder.mean.bias"]
    mean = (z @ weights["decoder.0.weight"].T + weights["decoder.0.bias"]).reshape(x.shape)
    assert mean.min() < 0 and mean.max() > 1
    mean = mean.clip(0, 1)
    quality = figures(model, split, torch.Generator())
    expected = [peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in zip(x, mean, strict=True)]
    assert quality["psnr_db"] == pytest.approx(np.mean(expected), rel=1e-5)
    expected = by_skimage(torch.from_numpy(x), torch.from_numpy(mean), GAUSSIAN)
    assert quality["ssim"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert quality == figures(model, split, torch.Generator())
    assert model.training


def test_data_on_the_whole_real_line_are_no_pictures(linear):
    model, split = linear
    spec, model.spec = model.spec, replace(model.spec, support="real")
    assert figures(model, split, torch.Generator()) is None
    model.spec = spec
