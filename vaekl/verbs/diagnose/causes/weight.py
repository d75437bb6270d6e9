"""λ, the information weight: too much of it collapses latents, too little leaves the prior empty where they are not."""

from collections.abc import Iterator

from vaekl.verbs.diagnose.causes.training import has_diverged, is_behind
from vaekl.verbs.diagnose.evidence import Cause, Evidence
from vaekl.verbs.diagnose.structure import survivors, worth
from vaekl.verbs.diagnose.thresholds import (
    HOLE_DISTANCE,
    HOLE_NATS,
    LAMBDA_NEAR_1,
    LEAST_BITS,
    LEFT_BITS,
    nats,
)  # fmt: skip


def causes(seen: Evidence) -> Iterator[Cause]:
    """Those that the evidence speaks for."""
    weight, settings = seen.train.information_weight, seen.settings
    low, high = LAMBDA_NEAR_1
    is_set = not settings.holds_target and settings.schedule == 1
    # dropped constants make λ another thing
    if settings.drops_constant and settings.scale_power is None and settings.has_constant:
        return
    gain = _gain_of_1(seen)
    if is_set and weight > high:
        yield from _too_large(seen, gain)
    elif is_set and weight < low and max(gain, seen.aggregate.gaussian_kl) >= nats(seen, LEAST_BITS):
        yield Cause(
            "λ too small",
            max(gain, seen.aggregate.gaussian_kl),
            f"at λ = {weight:.3g} the test KL of {seen.test.kl:.1f} nats is bought too dear: "
            f"{_gained(seen, gain)}{_hole(seen)}.",
            _cure(seen),
        )
    elif settings.schedule == 1 and _is_hole(seen) and not is_behind(seen):
        yield Cause("prior hole", seen.aggregate.gaussian_kl, f"{_hole(seen)}.".lstrip("; "), _cure_of_hole(seen))


def _too_large(seen: Evidence, gain: float) -> Iterator[Cause]:
    weight, z = seen.train.information_weight, seen.latents
    left = worth(seen.structure.rest, z)
    now, then = survivors(seen.structure.data, z, weight), survivors(seen.structure.data, z)
    if left < nats(seen, LEFT_BITS) and gain < nats(seen, LEAST_BITS) and not is_behind(seen):
        return
    yield Cause(
        "λ too large",
        max(left, gain, seen.linear.ahead if seen.linear is not None else 0.0),
        f"λ = {weight:.3g}: a linear model keeps {now} of {z} latents at this weight, and {then} at λ = 1; "
        f"{seen.test.active} are active, with a test KL of {seen.test.kl:.2f} nats.",
        _cure(seen),
    )


def _gain_of_1(seen: Evidence) -> float:
    """What λ = 1 adds to the ELBO in a trial, beyond the same steps without it, nats."""
    if seen.trial is None or seen.trial.without_weight is None:
        return 0.0
    return seen.trial.without_weight - max(0.0, seen.trial.by_rate.get(1.0, 0.0))


def _gained(seen: Evidence, gain: float) -> str:
    if seen.trial is None or seen.trial.without_weight is None:
        return f"λ = 1 is the test ELBO of {seen.test.elbo:.1f} nats that is reported"
    return f"{seen.trial.steps} steps at λ = 1 raise the ELBO by {gain:.1f} nats"


def _is_hole(seen: Evidence) -> bool:
    far = seen.aggregate.gaussian_kl >= HOLE_NATS and seen.aggregate.samples_distance >= HOLE_DISTANCE
    return far and not has_diverged(seen)


def _hole(seen: Evidence) -> str:
    """q(z) beside the prior, in words."""
    if not _is_hole(seen):
        return ""
    return (
        f"; q(z) is {seen.aggregate.gaussian_kl:.1f} nats from the prior by its mean and covariance alone, and decoded "
        f"prior samples are {seen.aggregate.samples_distance:.1f} times as far from the nearest training "
        f"{seen.example} as reconstructions are"
    )


def _cure(seen: Evidence) -> str:
    if seen.settings.weighs_kl:
        return "weighting=auto, which is λ = 1"
    return "control=none, which is λ = 1"


def _cure_of_hole(seen: Evidence) -> str:
    return f"control=information_weight control.weight=2, or model.latents={max(1, seen.latents // 2)}"
