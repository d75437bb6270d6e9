"""Mistakes of what was minimised or judged; they follow from the run's files, whatever its figures are."""

from collections.abc import Iterator

from vaekl.model.likelihoods.choices import families_that
from vaekl.verbs.diagnose.evidence import Cause, Evidence
from vaekl.verbs.diagnose.thresholds import SEEN_SHARE


def causes(seen: Evidence) -> Iterator[Cause]:
    """Those that the evidence speaks for."""
    settings = seen.settings
    if seen.all_alike:
        yield Cause(
            f"all {seen.example}s are alike",
            0.0,
            f"the {seen.train_images:,} training {seen.example}s are one and the same, so that there is nothing that "
            f"latents could say.",
            f"look at the data: {seen.example}s that differ, in the file that dataset.path names",
            certain=True,
        )
    if settings.drops_constant and settings.scale_power is None and settings.has_constant:
        ratio = seen.test.implied_sigma / seen.test.rmse if seen.test.rmse else float("nan")
        yield Cause(
            "constant dropped",
            0.0,
            f"weighting={settings.weighting} leaves ln C of likelihood={settings.likelihood} out, which depends on the "
            f"decoder, so that what was minimised is no ELBO (σ/RMSE = {ratio:.2f}, "
            f"{seen.test.active} of {seen.latents} latents active).",
            "weighting=auto keeps ln C",
            certain=True,
        )
    if settings.schedule < 1 and settings.has_one_weight:
        yield Cause(
            "schedule unfinished",
            0.0,
            f"the KL's weight was {settings.schedule:.3g} of its full one in step {settings.step:,} of "
            f"{settings.steps:,}, and a test KL of {seen.test.kl:.1f} nats is what that leaves.",
            f"{seen.resume}, or schedule=linear schedule.steps={max(1, settings.step // 4)}",
            certain=True,
        )
    if seen.seen_before >= SEEN_SHARE:
        yield Cause(
            "test images are training images",
            0.0,
            f"{100 * seen.seen_before:.0f} % of the test {seen.example}s that were looked at are training "
            f"{seen.example}s too, so their figures say nothing of new ones.",
            "give test images of their own, or leave them out: dataset.test_fraction=0.1 cuts some off",
            certain=True,
        )
    if settings.support in ("binary", "counts") and not settings.discrete and not settings.dequantized:
        yield Cause(
            "wrong support",
            0.0,
            f"the data are {'0 or 1' if settings.support == 'binary' else 'counts'}, and likelihood="
            f"{settings.likelihood} is a density on all numbers, whose ELBO has no meaning on them.",
            families_that(lambda family: family.discrete and settings.support in family.accepts),
            certain=True,
        )
