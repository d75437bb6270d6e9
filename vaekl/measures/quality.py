"""How close the mean reconstruction is to the image: PSNR and SSIM."""

import torch
from torch import Generator, Tensor

from vaekl.data import Split, batch_slices
from vaekl.model.modes import evaluating
from vaekl.model.vae import VAE

#: dB of a perfect reconstruction, so that averages stay finite; an image of 28 × 28 bytes with one byte off by 1 has 77
MAX_PSNR = 100.0
_BATCH = 250
_GAUSSIAN, _UNIFORM, _SIGMA = 11, 7, 1.5
_C1, _C2 = 0.01**2, 0.03**2


@torch.inference_mode()
def figures(model: VAE, split: Split, generator: Generator) -> dict[str, float] | None:
    """PSNR and SSIM of the mean of p(x | z = the posterior's mean), averaged over a split.

    Means outside [0, 1] are clamped, as a stored picture would be.

    Args:
        model: the VAE, on the split's device.
        split: the images.
        generator: of random transforms, on the same device.

    Returns:
        `psnr_db` and `ssim`; None for data that are no pictures.
    """
    if not model.spec.is_picture:
        return None
    totals = torch.zeros(2, dtype=torch.float64)
    with evaluating(model):
        for part in batch_slices(len(split), _BATCH, drop_last=False):
            x = split.batch(part, generator)
            mean = model.moments(model.decode(model.encode(x)[0], x))[0].clamp(0, 1)
            target = model.spec.to_data(x).float()
            totals += torch.stack([psnr(target, mean), ssim(target, mean)]).cpu().double().sum(1)
    psnr_db, similarity = (totals / len(split)).tolist()
    return {"psnr_db": psnr_db, "ssim": similarity}


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio −10 log10(mean square error), dB, peak 1; at most `MAX_PSNR`.

    Args:
        x: [B, C, H, W] in [0, 1].
        y: the same.

    Returns:
        dB, [B].

    >>> round(psnr(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1)).item(), 4)
    20.0
    """
    square_error = (x - y).square().flatten(1).mean(1)
    return -10 * square_error.clamp(min=10 ** (-MAX_PSNR / 10)).log10()


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity, averaged over the windows that lie inside the image and over the channels.

        (2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)),    C1 = 0.01², C2 = 0.03²

    The window is Gaussian, 11 × 11 with σ = 1.5; for images with a side below 11 it is uniform, 7 × 7, and for those
    below 7 as large as an odd side can be.

    Args:
        x: [B, C, H, W] in [0, 1].
        y: the same.

    Returns:
        [B], float64, 1 for equal images.

    Source: Wang, Bovik, Sheikh, Simoncelli 2004, equation 13, with their window and constants; the uniform window is
    scikit-image's.
    """
    side = min(x.shape[-2:])
    gaussian = side >= _GAUSSIAN
    size = _GAUSSIAN if gaussian else min(_UNIFORM, side - 1 + side % 2)
    offsets = torch.arange(size, dtype=torch.float64, device=x.device) - size // 2
    window = (-(offsets**2) / (2 * _SIGMA**2)).exp() if gaussian else torch.ones_like(offsets)
    window = window / window.sum()
    x, y = x.double(), y.double()  # float32 would keep four digits of the small variance of a flat area
    products = torch.stack([x, y, x * x, y * y, x * y])
    mean_x, mean_y, of_xx, of_yy, of_xy = (products.unfold(-1, size, 1) @ window).unfold(-2, size, 1) @ window
    alike = (2 * mean_x * mean_y + _C1) * (2 * (of_xy - mean_x * mean_y) + _C2)
    most = (mean_x**2 + mean_y**2 + _C1) * (of_xx - mean_x**2 + of_yy - mean_y**2 + _C2)
    similarity: Tensor = alike / most
    return similarity.flatten(1).mean(1)
