"""What is printed of a diagnosis."""

from math import inf

from vaekl.system.terminal import printable, printable_lines
from vaekl.verbs.diagnose.evidence import Aggregate, Cause, Evidence

#: latents that are listed, those with the most KL
_LISTED = 32
#: nats below which a latent carries nothing
_IDLE = 0.01


def text(seen: Evidence, causes: list[Cause]) -> str:
    """The causes, then how the latents lie."""
    settings, test = seen.settings, seen.test
    of_test, of_train = seen.looked_at
    state = "" if settings.finished else f", not finished, step {settings.step:,} of {settings.steps:,}"
    lines = [
        f"{printable(seen.name)}: likelihood={settings.likelihood}, weighting={settings.weighting}, "
        f"λ = {test.information_weight:.3g}{state}",
        f"  test ELBO {test.elbo:,.2f} nats per {seen.example} (training {seen.train.elbo:,.2f}), "
        f"test KL {test.kl:,.2f} (training {seen.train.kl:,.2f}), {test.active} of {seen.latents} latents active; "
        f"by one draw of the noise for {of_test:,} test and {of_train:,} training {seen.example}s",
    ]
    moving = seen.log.trend.sentence
    if not causes:
        lines.append("  no cause stands out" if moving else "  nothing stands out")
    for number, cause in enumerate(causes, 1):
        cost = f", {cause.nats:,.1f} nats" if 0 < cause.nats < inf else ""
        lines.append(f"  {number}. {cause.cause}{cost}: {cause.sentence}")
        lines.append(f"     cure: {cause.cure}")
    if moving and all(cause.cause != "stopped too early" for cause in causes):
        lines.append(f"  unfinished by its log: {moving}")
    return printable_lines("\n".join([*lines, *_latents(seen.aggregate, seen.train.kl_per_latent, seen.example)]))


def _latents(aggregate: Aggregate, kl: tuple[float, ...], example: str) -> list[str]:
    """Mean and standard deviation of q(z), overall and of each latent, with the scale factor 1/std."""
    order = sorted(range(len(kl)), key=lambda latent: -kl[latent])
    head = f"  {'latent':>8}  {'KL, nats':>9}  {'mean':>8}  {'std':>8}  {'std of means':>12}  {'1/std':>8}"
    rows = [
        f"  {latent:>8}  {kl[latent]:>9.3f}  {aggregate.mean[latent]:>8.3f}  {aggregate.std[latent]:>8.4f}  "
        f"{aggregate.std_of_means[latent]:>12.4f}  {1 / aggregate.std[latent] if aggregate.std[latent] else 0:>8.4f}"
        for latent in order[:_LISTED]
    ]
    idle = sum(value < _IDLE for value in kl)
    if 0 < idle < len(kl):
        rows.append(f"  {idle} of {len(kl)} carry less than {_IDLE} nats, which costs nothing")
    more = [f"  and {len(kl) - _LISTED} more in --json"] if len(kl) > _LISTED else []
    factor = 1 / aggregate.overall_std if aggregate.overall_std else 0.0
    return [
        f"  latents of training {example}s: std {aggregate.overall_std:.4f} overall, scale factor 1/std = {factor:.4f}",
        f"  their KL = I(x; z) {aggregate.information:.2f} (at most ln N) + KL(q(z) ‖ p(z)) "
        f"{aggregate.marginal_kl:.2f} nats; {aggregate.gaussian_kl:.2f} by mean and covariance of q(z) alone; decoded "
        f"prior samples are {aggregate.samples_distance:.2f} times as far from the data as reconstructions",
        head,
        *rows,
        *more,
    ]
