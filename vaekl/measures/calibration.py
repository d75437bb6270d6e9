"""Calibration: the implied σ beside the error of the mean, and predicted beside observed frequencies of levels."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from vaekl.data import Split, batch_slices
from vaekl.measures.elbo import batch_limit
from vaekl.measures.ruler import Ruler, why_no_ruler
from vaekl.model.vae import VAE

#: the most groups of levels whose probabilities are predicted, and the bins of those predictions
_GROUPS = 16
_BINS = 20
#: the most values of the data, and of η, from which the error is computed
_VALUES = 2**20
_OUTPUTS = 2**26


@dataclass(frozen=True)
class Calibration:
    """Per channel and over all, on the scale of pictures; averages over images, values and one posterior sample each.

    Args:
        implied_sigma: the root of the density's average variance.
        rmse: root mean square error of the density's mean.
        calibrated_dispersion: the φ that maximises the likelihood of these data with this decoder, mean(E)/s; None
            where φ is no scale, or E depends on it. As a weight of the KL it is the calibrated β_KL.
    """

    implied_sigma: list[float]
    rmse: list[float]
    calibrated_dispersion: list[float] | None


def figures(calibration: Calibration, channels: list[str]) -> dict[str, Any]:
    """As `eval.json` holds it: the whole, then the channels by their names, where there are several."""
    names = ["all", *channels]
    table = {}
    for i, name in enumerate(names[: 1 if len(names) == 2 else None]):
        sigma, rmse = calibration.implied_sigma[i], calibration.rmse[i]
        table[name] = {"implied_sigma": sigma, "rmse": rmse, "sigma_over_rmse": sigma / rmse if rmse else None}
        if calibration.calibrated_dispersion is not None:
            table[name]["calibrated_beta_kl"] = calibration.calibrated_dispersion[i]
    return table


@torch.inference_mode()
def calibration(model: VAE, split: Split, generator: torch.Generator) -> Calibration:
    """The implied σ beside the error on the same images.

    Args:
        model: in evaluation mode.
        split: the images.
        generator: of all noise.

    Returns:
        Lists whose first entry is over all channels, followed by one for each channel.
    """
    sums = torch.zeros(4, model.spec.shape[0], dtype=torch.float64)
    for part in batch_slices(len(split), batch_limit(model), drop_last=False):
        x = split.batch(part, generator)
        eta = model.decode(model.sample_posterior(x, generator).z, x)
        mean, variance = model.moments(eta)
        energy = model.likelihood.energy(eta, x, model.weighting.dispersion)
        missing = x.isnan()
        columns = (variance, (mean - model.spec.to_data(x)).square(), energy, torch.ones_like(mean))
        kept = [column.masked_fill(missing, 0) for column in columns]
        sums += torch.stack([column.double().sum((0, *range(2, column.ndim))).cpu() for column in kept])
    *totals, count = torch.cat([sums.sum(1, keepdim=True), sums], 1)
    variance, square_error, energy = (total / count.clamp(min=1) for total in totals)
    power = None if model.likelihood.energy_depends_on_dispersion else model.likelihood.scale_power
    return Calibration(
        implied_sigma=variance.sqrt().tolist(),
        rmse=square_error.sqrt().tolist(),
        calibrated_dispersion=None if power is None else (energy / power).tolist(),
    )


@dataclass(frozen=True)
class Reliability:
    """How often groups of levels come true, beside the probability that was predicted.

        error = 1/G Σ_g Σ_b n_gb/n |predicted_gb − observed_gb|

    over the bins b of each group's n predictions, sorted by their size, with about as many predictions in each bin.

    Args:
        predicted: the average predicted probability in each bin of all groups' predictions together, ascending; with
            `observed` it is the reliability curve.
        observed: how often the predictions of that bin came true.
        error: the adaptive calibration error, in which no group's excess makes up for another's lack. Most groups are
            improbable, so that it is small: of a model that says 1/G everywhere while one group always comes true it
            is (2/G)(1 − 1/G), 0.117 for 16 groups.
        groups: G, into how many groups the range of levels was cut.
        images: how many images were looked at, the split's first.

    Source: Nixon, Dusenberry, Zhang, Jerfel, Tran 2019, "Measuring calibration in deep learning".
    """

    predicted: list[float]
    observed: list[float]
    error: float
    groups: int
    images: int


@torch.inference_mode()
def reliability(model: VAE, split: Split, generator: torch.Generator) -> Reliability | None:
    """Predicted beside observed frequencies of levels.

    Args:
        model: in evaluation mode.
        split: its first images are used, as many as have 2^20 values.
        generator: of all noise.

    Returns:
        None where the values are no levels, or the likelihood gives no probability to them.
    """
    spec, likelihood = model.spec, model.likelihood
    if why_no_ruler(spec, likelihood) is not None or spec.levels is None or not likelihood.has_log_mass:
        return None
    split = split.first(max(1, min(_VALUES, _OUTPUTS // likelihood.outputs) // spec.dims))
    groups = min(_GROUPS, spec.levels)
    starts = [g * spec.levels // groups for g in range(groups)] + [spec.levels]
    predictions: list[list[Tensor]] = [[] for _ in range(groups)]
    outcomes: list[list[Tensor]] = [[] for _ in range(groups)]
    for part in batch_slices(len(split), batch_limit(model), drop_last=False):
        x = split.batch(part, generator)
        eta = model.decode(model.sample_posterior(x, generator).z, x)
        level = Ruler(spec).level(x)
        for group, (first, end) in enumerate(pairwise(starts)):
            predictions[group].append(_probability(model, eta, first, end).flatten().float().cpu())
            outcomes[group].append(((level >= first) & (level < end)).flatten().cpu())
    columns = [(torch.cat(p), torch.cat(o)) for p, o in zip(predictions, outcomes, strict=True)]
    errors = []
    for column in columns:
        predicted, observed, share = _binned(*column)
        errors.append(((predicted - observed).abs() * share).sum())
    predicted, observed, _ = _binned(*(torch.cat(column) for column in zip(*columns, strict=True)))
    error = torch.stack(errors).mean().item()
    return Reliability(predicted.tolist(), observed.tolist(), error, groups, len(split))


def _binned(predictions: Tensor, outcomes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions sorted into bins of about equal numbers.

    Equal predictions share a bin: to cut between them would make the result depend on the order of the images.

    Args:
        predictions: probabilities, [n].
        outcomes: whether each came true, bool [n].

    Returns:
        Of each bin that is not empty, float64 [bins]: the average prediction, how often it came true, and its share of
        the predictions.
    """
    value, which, count = predictions.unique(return_inverse=True, return_counts=True)
    came_true = torch.zeros(len(value), dtype=torch.float64).index_add_(0, which, outcomes.double())
    middle = count.cumsum(0) - count / 2
    place = (middle * _BINS / count.sum()).long().clamp(max=_BINS - 1)
    sums = torch.zeros(3, _BINS, dtype=torch.float64)
    sums.index_add_(1, place, torch.stack([value.double() * count, came_true, count.double()]))
    predicted, observed, counts = sums[:, sums[2] > 0]
    return predicted / counts, observed / counts, counts / counts.sum()


def _probability(model: VAE, eta: Tensor, first: int, end: int) -> Tensor:
    """P(first ≤ k < end) of η [B, P, *S], [B, *S]."""
    ruler, shape = Ruler(model.spec), (len(eta), *model.spec.shape)
    lower, _ = ruler.edges(torch.full(shape, float(first), dtype=torch.float64, device=eta.device))
    _, upper = ruler.edges(torch.full(shape, float(end - 1), dtype=torch.float64, device=eta.device))
    return model.likelihood.log_mass(eta, lower, upper, model.weighting.dispersion).exp()
