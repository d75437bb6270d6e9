"""Is the dispersion what the data say it is? Implied σ beside the error, and predicted beside observed frequencies."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from vaekl.data import Split, batch_slices
from vaekl.measures.elbo import batch_limit
from vaekl.measures.ruler import Ruler, why_no_ruler
from vaekl.model.vae import VAE

#: at most so many groups of levels, values of the data and decoder outputs make a reliability curve
_GROUPS = 16
_VALUES = 2**20
_OUTPUTS = 2**26
_POINTS = 20


@dataclass(frozen=True)
class Calibration:
    """Per channel and over all, on the scale of pictures; averages over images, pixels and one posterior sample each.

    Args:
        implied_sigma: the root of the density's average variance.
        rmse: root mean square error of the density's mean.
        calibrated_dispersion: the φ that maximises the likelihood of these data with this decoder, mean(E)/s; None
            where φ is no scale. As a weight of the KL it is the calibrated β_KL.
    """

    implied_sigma: list[float]
    rmse: list[float]
    calibrated_dispersion: list[float] | None


def figures(found: Calibration) -> dict[str, Any]:
    """As `eval.json` holds it: the whole, then the channels."""
    names = ["all", *(f"channel {c}" for c in range(len(found.rmse) - 1))]
    table = {}
    for i, name in enumerate(names[: 1 if len(names) == 2 else None]):
        sigma, rmse = found.implied_sigma[i], found.rmse[i]
        table[name] = {"implied_sigma": sigma, "rmse": rmse, "sigma_over_rmse": sigma / rmse if rmse else None}
        if found.calibrated_dispersion is not None:
            table[name]["calibrated_beta_kl"] = found.calibrated_dispersion[i]
    return table


@torch.inference_mode()
def calibration(model: VAE, split: Split, generator: torch.Generator) -> Calibration:
    """Compare the implied σ with the error on the same images; the first entry is over all channels, then each."""
    sums = torch.zeros(3, model.spec.shape[0], dtype=torch.float64)
    for part in batch_slices(len(split), batch_limit(model), drop_last=False):
        x = split.batch(part, generator)
        eta = model.decode(model.sample_posterior(x, generator).z)
        mean, variance = model.moments(eta)
        columns = (variance, (mean - model.spec.to_unit(x)).square(), model.likelihood.energy(eta, x))
        sums += torch.stack([column.double().sum((0, 2, 3)).cpu() for column in columns])
    sums /= len(split) * model.spec.dims / model.spec.shape[0]
    variance, square_error, energy = torch.cat([sums.mean(1, keepdim=True), sums], 1)
    power = model.likelihood.scale_power
    return Calibration(
        implied_sigma=variance.sqrt().tolist(),
        rmse=square_error.sqrt().tolist(),
        calibrated_dispersion=None if power is None else (energy / power).tolist(),
    )


@dataclass(frozen=True)
class Reliability:
    """A reliability curve over all pixels and groups of levels: each point has about as many predictions.

    Args:
        predicted: the average predicted probability, ascending.
        observed: how often it came true.
        error: the average of |predicted − observed|, every prediction counted alike.
        groups: into how many groups G the range of values was cut; most predictions are then small, and so is the
            error: a model that says 1/G everywhere while one group always comes true has (2/G)(1 − 1/G).
        images: how many images were looked at, the split's first.
    """

    predicted: list[float]
    observed: list[float]
    error: float
    groups: int
    images: int


@torch.inference_mode()
def reliability(model: VAE, split: Split, generator: torch.Generator) -> Reliability | None:
    """Predicted against observed frequency of levels, on the first images of a split; None without bins to predict."""
    spec, likelihood = model.spec, model.likelihood
    if why_no_ruler(spec, likelihood) is not None or spec.levels is None or not likelihood.has_log_mass:
        return None
    split = split.first(max(1, min(_VALUES, _OUTPUTS // likelihood.outputs) // spec.dims))
    groups = min(_GROUPS, spec.levels)
    starts = [g * spec.levels // groups for g in range(groups)] + [spec.levels]
    predictions, outcomes = [], []
    for part in batch_slices(len(split), batch_limit(model), drop_last=False):
        x = split.batch(part, generator)
        eta = model.decode(model.sample_posterior(x, generator).z)
        level = Ruler(spec).level(x)
        for first, end in pairwise(starts):
            predictions.append(_probability(model, eta, first, end).flatten().float().cpu())
            outcomes.append(((level >= first) & (level < end)).flatten().cpu())
    # equal predictions stay together: to cut between them would make the curve depend on the order of the images
    value, which, count = torch.cat(predictions).unique(return_inverse=True, return_counts=True)
    came_true = torch.zeros(len(value), dtype=torch.float64).index_add_(0, which, torch.cat(outcomes).double())
    middle = count.cumsum(0) - count / 2
    point = (middle * _POINTS / count.sum()).long().clamp(max=_POINTS - 1)
    sums = torch.zeros(3, _POINTS, dtype=torch.float64)
    sums.index_add_(1, point, torch.stack([value.double() * count, came_true, count.double()]))
    predicted, observed, counts = sums[:, sums[2] > 0]
    predicted, observed = predicted / counts, observed / counts
    error = ((predicted - observed).abs() * counts).sum() / counts.sum()
    return Reliability(predicted.tolist(), observed.tolist(), error.item(), groups, len(split))


def _probability(model: VAE, eta: Tensor, first: int, end: int) -> Tensor:
    """P(first ≤ k < end), [B, C, H, W]."""
    ruler, shape = Ruler(model.spec), (len(eta), *model.spec.shape)
    lower, _ = ruler.edges(torch.full(shape, float(first), dtype=torch.float64, device=eta.device))
    _, upper = ruler.edges(torch.full(shape, float(end - 1), dtype=torch.float64, device=eta.device))
    return model.likelihood.log_mass(eta, lower, upper, model.weighting.dispersion).exp()
