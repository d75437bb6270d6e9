"""The encoder, and the number of latents."""

from collections.abc import Iterator

from vaekl.verbs.diagnose.causes.training import has_diverged, is_behind, is_collapsed
from vaekl.verbs.diagnose.evidence import Cause, Evidence
from vaekl.verbs.diagnose.structure import survivors, worth
from vaekl.verbs.diagnose.thresholds import (
    DISPERSION_FACTOR,
    LAMBDA_NEAR_1,
    LARGE_RATE,
    LEAST_BITS,
    LEFT_BITS,
    USED_NATS,
    is_gap,
    nats,
)  # fmt: skip


def causes(seen: Evidence, is_explained: bool) -> Iterator[Cause]:
    """Those that the evidence speaks for.

    Args:
        seen: of one run.
        is_explained: whether other causes are named, which spoil any network.
    """
    if seen.all_alike:
        return
    weak = list(_weak_encoder(seen))
    yield from weak
    if not is_behind(seen):
        yield from _gap(seen)
        # more latents are of no use to networks that make less of those that they have than a linear model does
        yield from _few_latents(seen)
    elif not is_explained and not weak and _has_weight_1(seen):
        yield from _behind(seen)


def _has_weight_1(seen: Evidence) -> bool:
    """Whether λ is near the weight that the ELBO of a linear model is of."""
    low, high = LAMBDA_NEAR_1
    return low <= seen.train.information_weight <= high


def _weak_encoder(seen: Evidence) -> Iterator[Cause]:
    """Latents that are not used, though neither λ nor φ nor the optimiser keeps them from it."""
    settings, fit = seen.settings, seen.train.calibrated_dispersion
    further = max(seen.trial.by_rate.values()) if seen.trial is not None else 0.0
    fits = settings.scale_power is None or not fit or fit > seen.train.dispersion / DISPERSION_FACTOR
    if (
        is_collapsed(seen)
        and not settings.holds_target
        and not seen.log.trend.short
        and _has_weight_1(seen)
        and fits
        and further < nats(seen, LEAST_BITS)
        and settings.learning_rate < LARGE_RATE
        and not (settings.drops_constant and settings.scale_power is None)
    ):
        left = worth(seen.structure.rest, seen.latents)
        forecast = survivors(seen.structure.data, seen.latents)
        yield Cause(
            "encoder too weak",
            left,
            f"{seen.test.active} of {seen.latents} latents are active where a linear model keeps {forecast} at this φ "
            f"and λ, and further steps change nothing: the encoder does not see what distinguishes the "
            f"{seen.example}s.",
            "an encoder that sees every value: model=mlp, or model=linear to compare",
        )


def _gap(seen: Evidence) -> Iterator[Cause]:
    gap, gain = seen.train.iwae - seen.train.iwae_elbo, seen.train.fitted_gain
    fit, phi = seen.train.calibrated_dispersion, seen.train.dispersion
    excess = max(1.0, fit / phi) if fit else 1.0
    if gain is not None and all(is_gap(each / excess, seen.train.kl) for each in (gap, gain)):
        yield Cause(
            "encoder gap",
            gain,
            f"the importance-weighted bound is {gap:.1f} nats above the ELBO of training {seen.example}s, beside their "
            f"KL of {seen.train.kl:.1f}, and a q(z|x) fitted to each of them by itself gains {gain:.1f}: the encoder "
            f"does not find the posterior of this decoder.",
            "a larger encoder, or more steps",
        )


def _behind(seen: Evidence) -> Iterator[Cause]:
    if seen.linear is not None:
        yield Cause(
            "worse than a linear model",
            seen.linear.ahead,
            f"a linear VAE with as many latents can have a test ELBO of {seen.linear.elbo:,.1f} nats (probabilistic "
            f"PCA of the training {seen.example}s that were looked at), {seen.linear.ahead:,.1f} ± "
            f"{seen.linear.error:,.1f} more than this run, whose networks make less of their latents.",
            "model=linear, which can reach it",
        )


def _few_latents(seen: Evidence) -> Iterator[Cause]:
    above = len(seen.structure.rest)
    # what the cure can return is told by images that were not trained on
    left = min(worth(seen.structure.rest, above), seen.structure.held)
    used = min(seen.test.kl_per_latent) >= USED_NATS and not has_diverged(seen)
    if used and left >= nats(seen, LEFT_BITS):
        yield Cause(
            "too few latents",
            left,
            f"all {seen.latents} latents are used, with at least {min(seen.test.kl_per_latent):.1f} nats each, and "
            f"what they leave has {above} directions beyond noise, worth {left:.1f} nats.",
            f"model.latents={max(2 * seen.latents, seen.latents + above)}",
        )
