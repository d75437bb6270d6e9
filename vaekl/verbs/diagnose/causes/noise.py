"""φ, the noise level: beside the errors that the decoder makes."""

from collections.abc import Iterator
from math import log

from vaekl.verbs.diagnose.evidence import Cause, Evidence
from vaekl.verbs.diagnose.structure import survivors, worth
from vaekl.verbs.diagnose.thresholds import DISPERSION_FACTOR


def causes(seen: Evidence) -> Iterator[Cause]:
    """Those that the evidence speaks for; a φ that the run finds for itself is left to the causes of training."""
    settings, fit = seen.settings, seen.train.calibrated_dispersion
    if settings.fits_dispersion or settings.scale_power is None or not fit or not seen.train.rmse:
        return
    phi = seen.train.dispersion
    factor = fit / phi
    ratio = seen.train.implied_sigma / seen.train.rmse
    cost = seen.dims * settings.scale_power * (factor - 1 - log(factor))
    cure = f"weighting=learned_precision, or weighting=fixed_dispersion weighting.dispersion={fit:.2g}"
    if factor <= 1 / DISPERSION_FACTOR:
        now = survivors(seen.structure.data, seen.latents, seen.train.information_weight)
        then = survivors([value / factor for value in seen.structure.data], seen.latents)
        yield Cause(
            "dispersion too large",
            cost + worth(seen.structure.rest, seen.latents),
            f"φ = {phi:.3g} is {1 / factor:.3g} times what the errors speak for (σ/RMSE = {ratio:.2f}): a linear model "
            f"keeps {now} of {seen.latents} latents at this φ, and {then} at φ = {fit:.2g}; "
            f"{seen.test.active} are active.",
            cure,
        )
    elif factor >= DISPERSION_FACTOR:
        yield Cause(
            "dispersion too small",
            cost,
            f"φ = {phi:.3g} promises errors of {seen.train.implied_sigma:.3g} where they are {seen.train.rmse:.3g} "
            f"(σ/RMSE = {ratio:.2f}), which costs {cost:,.1f} nats per {seen.example}.",
            cure,
        )
