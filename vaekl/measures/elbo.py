"""The ELBO of the implied density over a whole split, and the other figures that training reports."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from vaekl.data import Split, batch_slices, order
from vaekl.measures.bits import bits_per_dim
from vaekl.model.modes import evaluating
from vaekl.model.vae import VAE
from vaekl.system import distributed

#: a latent is active if the variance of its posterior mean over the data exceeds this (Burda et al. 2016)
ACTIVE_VARIANCE = 0.01
_MAX_BATCH = 500
#: the most values of η in a batch: 256 MiB in float32, several times which a likelihood may need
_MAX_OUTPUTS = 2**26
#: how many φ a record holds, and those of how many channels by their names
_MOST_DISPERSIONS, _MOST_CHANNELS = 64, 1000


@dataclass(frozen=True)
class ChannelDispersion:
    """The noise of one channel, or one column of a table.

    Args:
        kind: of the column, else empty.
        dispersion: φ.
        implied_sigma: the root of the density's average variance there, in the unit of the user's values.
    """

    kind: str
    dispersion: float
    implied_sigma: float


@dataclass(frozen=True)
class Evaluation:
    """Averages over a split's images, in nats per image unless the name says otherwise.

    Args:
        energy_nats: E/φ, so that elbo = −energy_nats + log_norm_const − kl.
        energy: E, in units of φ.
        log_norm_const: ln C(η, φ).
        kl: summed over the latents, unweighted.
        elbo: of the implied density.
        elbo_standard_error: over images; None for a single one.
        loss: what training minimises, at the step's schedule.
        loss_standard_error: over images, of an objective of K samples whose loss is minus a bound; None of others.
        schedule: the KL's multiplier in the loss.
        bits_per_dim: see `vaekl.measures.bits.bits_per_dim`, which also says when there is none.
        dispersion: φ; a geometric mean where there are several.
        implied_sigma: the root of the density's average variance, on the scale of pictures, where levels are
            k/(levels − 1).
        rmse: root mean square error of the density's mean, on the same scale, missing values left out; φ is calibrated
            where the two are equal.
        beta_kl: the KL's coefficient in the loss.
        effective_beta_kl: the KL's weight over the energy's; a geometric mean where there are several φ.
        information_weight: λ, the part of it that is no φ.
        active_units: latents whose posterior mean has variance above 0.01.
        kl_per_latent: [Z].
        dispersions: φ, flattened.
        dispersion_by_channel: of each channel that has a φ of its own, or column of a table, by its name.
        learned_options: what the family has learned beside φ, by the options that say `learned`.
        images: how many there were.
    """

    energy_nats: float
    energy: float
    log_norm_const: float
    kl: float
    elbo: float
    elbo_standard_error: float | None
    loss: float
    loss_standard_error: float | None
    schedule: float
    bits_per_dim: float | None
    dispersion: float
    implied_sigma: float
    rmse: float
    beta_kl: float
    effective_beta_kl: float
    information_weight: float
    active_units: int
    kl_per_latent: Tensor
    dispersions: Tensor
    dispersion_by_channel: dict[str, ChannelDispersion]
    learned_options: dict[str, float]
    images: int

    def figures(self) -> dict[str, float]:
        """The scalars that there are, under the names that TensorBoard, `metrics.csv` and `results.json` share.

        Without what is said of the loss alone, its schedule and its standard error.
        """
        named = {
            "energy_nats": self.energy_nats,
            "energy": self.energy,
            "log_norm_const_nats": self.log_norm_const,
            "kl_nats": self.kl,
            "elbo_nats": self.elbo,
            "elbo_standard_error_nats": self.elbo_standard_error,
            "loss": self.loss,
            "bits_per_dim": self.bits_per_dim,
            "dispersion": self.dispersion,
            "implied_sigma": self.implied_sigma,
            "rmse": self.rmse,
            "beta_kl": self.beta_kl,
            "effective_beta_kl": self.effective_beta_kl,
            "information_weight": self.information_weight,
            "active_units": self.active_units,
        }
        return {name: value for name, value in named.items() if value is not None}

    def record(self) -> dict[str, Any]:
        """The same with what is a list or a table, as values of JSON."""
        by_channel = {name: asdict(channel) for name, channel in self.dispersion_by_channel.items()}
        return self.figures() | {
            "kl_per_latent_nats": self.kl_per_latent.tolist(),
            "dispersions": self.dispersions.tolist() if len(self.dispersions) <= _MOST_DISPERSIONS else None,
            "dispersion_by_channel": by_channel,
            "learned_options": self.learned_options,
        }


def evaluate(
    model: VAE, split: Split, generator: torch.Generator, schedule: float = 1.0, batch_size: int | None = None
) -> Evaluation:
    """One pass over a split with one posterior sample of each image.

    Several processes share the batches, and all of them get the figures.

    Args:
        model: in any mode, which it keeps.
        split: the images.
        generator: of the transform's and the posterior's noise, on the model's device: two evaluations of the same
            weights with equal generators agree to the last digit.
        schedule: the KL's multiplier in the loss.
        batch_size: images at a time; None for as many as `batch_limit` allows.
    """
    parts = batch_slices(len(split), batch_size or batch_limit(model), drop_last=False)
    return judge(model, (split.batch(part, generator) for part in parts), generator, schedule)


def noise_of_test(model: VAE, seed: int) -> torch.Generator:
    """The random numbers with which a run of this seed tests its model, and all that has the figures of that test."""
    return order.generator("test", seed, next(model.parameters()).device)


def batch_limit(model: VAE) -> int:
    """How many images an evaluation takes at a time, so that their η has at most 2^26 values."""
    return max(1, min(_MAX_BATCH, _MAX_OUTPUTS // (model.likelihood.outputs * model.spec.dims)))


@torch.no_grad()
def judge(
    model: VAE, batches: Iterable[Tensor], generator: torch.Generator, schedule: float = 1.0, with_loss: bool = True
) -> Evaluation:
    """The same for batches that are transformed already.

    Args:
        model: in any mode, which it keeps.
        batches: x, each [B, *S].
        generator: of the posterior's noise, on the model's device.
        schedule: the KL's multiplier in the loss.
        with_loss: whether the loss is wanted, for which an objective of K samples decodes K times; NaN if not.
    """
    with evaluating(model):
        return _judge(model, batches, generator, schedule, with_loss)


def _judge(
    model: VAE, batches: Iterable[Tensor], generator: torch.Generator, schedule: float, with_loss: bool
) -> Evaluation:
    judged: list[tuple[Tensor, ...]] = []
    seed = generator.initial_seed()
    phis, own_places = model.weighting.dispersion.flatten(), model.weighting.own_places
    by_channel = 1 < len(phis) == model.spec.shape[0] <= _MOST_CHANNELS
    for number, x in enumerate(batches):
        noise = model.noise(len(x), generator)
        if not distributed.is_dealt(number):
            continue
        terms, eta = model.terms(x, noise)
        parts = torch.stack([terms.energy_nats, terms.total_energy, terms.log_norm_const, terms.elbo])
        mean, variance = model.moments(eta)
        bounds = terms.elbo[:0]
        if not with_loss:
            loss = terms.elbo.new_full((), torch.nan)
        elif model.objective.samples == 1:
            loss = model.loss(terms, schedule) * len(x)
        else:  # the further samples have a stream of their own, so that the ELBO is that of any objective
            further = order.generator(f"loss {number}", seed, x.device)
            loss, bounds = _loss_of_samples(model, x, noise, further, schedule)
        missing = x.isnan()
        there = (~missing).flatten(1).sum(1).float()
        square_error = (mean - model.spec.to_data(x)).square().masked_fill(missing, 0).flatten(1).sum(1)
        variance = variance.masked_fill(missing, 0)
        channels = _channel_sums(variance, missing) if by_channel else variance.new_zeros(0)
        variance = variance.flatten(1).sum(1)
        judged.append((parts, terms.kl, terms.posterior.mean, loss, bounds, variance, square_error, there, channels))
    figures = zip(*distributed.gathered(judged), strict=True)
    columns, kl, posterior_means, losses, bounds_of, variances, square_errors, counts, channel_sums = figures
    values = torch.cat(counts).cpu().double().sum().item()
    # averages over many images are taken in float64, which not every device has
    energy_nats, energy, log_norm_const, elbo = torch.cat(columns, 1).cpu().double()
    kl_per_latent = torch.cat(kl).cpu().double().mean(0)
    dispersion = phis[own_places]
    geometric = dispersion.log().mean().exp()
    images = len(elbo)
    return Evaluation(
        energy_nats=energy_nats.mean().item(),
        energy=energy.mean().item(),
        log_norm_const=log_norm_const.mean().item(),
        kl=kl_per_latent.sum().item(),
        elbo=elbo.mean().item(),
        elbo_standard_error=_standard_error(elbo),
        loss=torch.stack(losses).cpu().double().sum().item() / images,
        loss_standard_error=_standard_error(torch.cat(bounds_of)),
        schedule=schedule,
        bits_per_dim=bits_per_dim(elbo.mean().item(), model.spec, model.likelihood.discrete),
        dispersion=geometric.item(),
        implied_sigma=sqrt(torch.cat(variances).cpu().double().sum().item() / values),
        rmse=sqrt(torch.cat(square_errors).cpu().double().sum().item() / values),
        beta_kl=model.weighting.beta_kl,
        effective_beta_kl=model.effective_beta_kl(geometric, schedule).item(),
        information_weight=model.information_weight(schedule),
        active_units=int((torch.cat(posterior_means).var(0) > ACTIVE_VARIANCE).sum()) if images > 1 else 0,
        kl_per_latent=kl_per_latent,
        dispersions=dispersion.cpu(),
        dispersion_by_channel=_by_channel(model, phis, own_places, channel_sums) if by_channel else {},
        learned_options=model.likelihood.learned_options,
        images=images,
    )


def _channel_sums(variance: Tensor, missing: Tensor) -> Tensor:
    """The variance summed over all but the channels, and of how many values that is, [1, 2, C]."""
    others = (0, *range(2, variance.ndim))
    return torch.stack([variance.sum(others), (~missing).sum(others).float()]).unsqueeze(0)


def _by_channel(
    model: VAE, phis: Tensor, own_places: Tensor, channel_sums: Iterable[Tensor]
) -> dict[str, ChannelDispersion]:
    variance, count = torch.cat(list(channel_sums)).cpu().double().sum(0)
    sigmas = (variance / count.clamp(min=1)).sqrt().tolist()
    kinds = model.spec.kind_of_values or [""] * len(sigmas)
    return {
        model.spec.channels[place]: ChannelDispersion(kinds[place], phis[place].item(), sigmas[place])
        for place in own_places.tolist()
    }


def _standard_error(values: Tensor) -> float | None:
    """Of the mean of one value an image; None of fewer than two."""
    return values.cpu().double().std().item() / sqrt(len(values)) if len(values) > 1 else None


def _loss_of_samples(
    model: VAE, x: Tensor, first: Tensor, further: torch.Generator, schedule: float
) -> tuple[Tensor, Tensor]:
    """The loss of an objective of K samples, summed over x [B, *S], and its bounds, [B], or [0] where it has none.

    The samples' noise begins with `first`, [B, Z].
    """
    samples = model.objective.samples
    noise = torch.stack([first, *(model.noise(len(x), further) for _ in range(samples - 1))], 1)
    at_once = max(1, len(x) // samples)
    loss, bounds = first.new_zeros(()), [first.new_zeros(0)]
    for images, part in zip(x.split(at_once), noise.split(at_once), strict=True):
        terms = model(images, part)
        loss = loss + model.loss(terms, schedule) * len(images)
        own = model.objective.bounds(terms, schedule)
        bounds += [own] if own is not None else []
    return loss, torch.cat(bounds)
