"""The optimiser and the length of training."""

from collections.abc import Iterator
from math import inf

from vaekl.verbs.diagnose.evidence import Cause, Evidence
from vaekl.verbs.diagnose.structure import worth
from vaekl.verbs.diagnose.thresholds import (
    AHEAD_BITS,
    DIVERGED_NATS,
    ERRORS,
    LARGE_RATE,
    LEAST_BITS,
    LEFT_BITS,
    NOISY_BITS,
    TOO_SLOW,
    nats,
    sure,
)  # fmt: skip


def causes(seen: Evidence) -> Iterator[Cause]:
    """Those that the evidence speaks for."""
    overfit = list(_overfit(seen))
    # a large rate helps an overfit run to forget
    slow = list(_too_slow(seen)) if not overfit else []
    yield from slow
    yield from _too_fast(seen)
    if not slow and not has_diverged(seen):
        yield from _too_early(seen)
    yield from overfit


def _too_fast(seen: Evidence) -> Iterator[Cause]:
    settings = seen.settings
    cure = f"optim.lr={settings.learning_rate / 10:.2g}, and lr_schedule=cosine"
    gain = sure(seen.trial, 0.1) - max(0.0, sure(seen.trial, 1.0))
    cost, sentence = 0.0, ""
    if settings.restores:
        cost, sentence = inf, f"training met a loss that is not finite {settings.restores} times and went back"
    elif has_diverged(seen):
        each = seen.train.kl / seen.latents
        cost, sentence = seen.train.kl, f"the encoder has diverged, with {each:,.0f} nats of KL in each latent"
    elif gain >= nats(seen, NOISY_BITS):
        steps = seen.trial.steps if seen.trial is not None else 0
        cost, sentence = (
            gain,
            f"{steps} steps at a tenth of the learning rate raise the ELBO of {_judged_by(seen)} by {gain:,.1f} nats",
        )
    elif settings.learning_rate >= LARGE_RATE and is_collapsed(seen):
        left = worth(seen.structure.rest, seen.latents)
        cost, sentence = (
            left,
            f"{seen.test.active} of {seen.latents} latents are active, though λ and φ leave room for more",
        )
    if sentence:
        yield Cause(
            "learning rate too high", cost, f"{sentence}: optim.lr = {settings.learning_rate:.2g} is too much.", cure
        )


def _too_slow(seen: Evidence) -> Iterator[Cause]:
    progress, settings = seen.log.progress, seen.settings
    if seen.trial is None or progress is None:  # of one row of training nobody knows what the run has gained
        return
    if settings.drops_constant and settings.scale_power is None and settings.has_constant:
        return  # what is minimised is no ELBO, whose change says nothing of it
    own = sure(seen.trial, 1.0)
    factor, best = max(((each, sure(seen.trial, each)) for each in seen.trial.by_rate), key=lambda pair: pair[1])
    if factor > 1 and best >= max(nats(seen, LEAST_BITS), TOO_SLOW * max(0.0, own), progress):
        rate = seen.settings.learning_rate
        yield Cause(
            "learning rate too low",
            best,
            f"{seen.trial.steps} steps at {factor:g} times the learning rate raise the ELBO of {_judged_by(seen)} by "
            f"{best:,.1f} nats, and the run since its first row by {progress:,.1f}: {rate:.2g} is too little.",
            f"optim.lr={rate * factor:.2g}",
        )


def _too_early(seen: Evidence) -> Iterator[Cause]:
    trend, step = seen.log.trend, seen.settings.step
    own = None
    if seen.trial is not None:  # a run whose learning rate fell to its end goes on at a small one
        own = max(sure(seen.trial, factor) for factor in (0.1, 1.0))
    # where φ is fixed too small, every nat of the energy counts as many times too much
    fit, phi = seen.train.calibrated_dispersion, seen.train.dispersion
    excess = max(1.0, fit / phi) if fit and not seen.settings.fits_dispersion else 1.0
    # what is gained of images that were not trained on counts, where there are some
    still_rising = trend.elbo if seen.log.best_valid is None else seen.log.valid_trend
    rise = max(own or 0.0, (still_rising or 0.0) * step / 200) / excess
    is_short = trend.short and (is_collapsed(seen) or is_behind(seen))
    if is_short:
        ahead = seen.linear.ahead if seen.linear is not None else 0.0
        rise = max(rise, worth(seen.structure.rest, seen.latents), ahead)
    speaks = own is None or own > 0 or is_short
    if not speaks or rise < nats(seen, LEAST_BITS) or trend.past is not None or seen.settings.schedule < 1:
        return
    signs = [trend.sentence.removesuffix(": train longer")]
    if seen.log.valid_trend is not None and seen.log.valid_trend > 0 and trend.split != "valid":
        signs.append(f"validation ELBO still rising by {seen.log.valid_trend:.3g} nats per 100 steps")
    if seen.trial is not None and own is not None and own > 0:
        signs.append(
            f"{seen.trial.steps} further steps raise the ELBO of {_judged_by(seen)} by at least {own:.1f} nats"
        )
    yield Cause(
        "stopped too early",
        rise,
        f"after {step:,} steps the run has not come to rest: {', '.join(filter(None, signs))}.",
        _more_steps(seen),
    )


def _more_steps(seen: Evidence) -> str:
    if not seen.settings.finished:
        return seen.resume
    return seen.settings.longer or f"train one with trainer.steps={2 * seen.settings.steps} from its first step"


def _judged_by(seen: Evidence) -> str:
    """The images by which a trial was judged."""
    is_held = seen.trial is not None and seen.trial.split == "valid"
    return f"{'validation' if is_held else 'training'} {seen.example}s"


def _overfit(seen: Evidence) -> Iterator[Cause]:
    ahead, log = seen.train.elbo - seen.test.elbo, seen.log
    if log.best_valid is None or log.judged_valid is None:
        fall = ahead if ahead >= nats(seen, AHEAD_BITS) else 0.0
        words = "and no validation images say when to stop"
    else:
        fall = log.best_valid - log.judged_valid
        words = f"and the validation ELBO is {fall:,.1f} nats below its best"
    if fall < nats(seen, LEAST_BITS) or ahead < fall / 2 or seen.settings.schedule < 1:
        return
    yield Cause(
        "overfit",
        fall,
        f"the ELBO of {seen.train_images:,} training {seen.example}s is {ahead:,.1f} nats above that of test, {words}.",
        "trainer.patience=5, which keeps the best weights; more data, or smaller networks",
    )


def has_diverged(seen: Evidence) -> bool:
    """Whether the encoder puts its latents where no prior is."""
    return seen.train.kl > DIVERGED_NATS * seen.latents


def is_behind(seen: Evidence) -> bool:
    """Whether a linear model of as many latents explains test images better, and no target for the KL forbids it."""
    linear = None if seen.settings.holds_target else seen.linear
    return linear is not None and linear.ahead - ERRORS * linear.error >= nats(seen, LEAST_BITS)


def is_collapsed(seen: Evidence) -> bool:
    """Whether fewer than half of the latents are active while the model leaves what they could explain."""
    left = worth(seen.structure.rest, seen.latents)
    return 2 * seen.test.active < seen.latents and (left >= nats(seen, LEFT_BITS) or is_behind(seen))
