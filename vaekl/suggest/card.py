"""The card of a suggestion: the answer in a sentence, what it is worth, and what would change it."""

from typing import Any

import msgspec

from vaekl.store.schema import Facts
from vaekl.store.suggest_schema import Look
from vaekl.suggest import weights
from vaekl.suggest.findings import Findings
from vaekl.suggest.judge import FIGURED, points
from vaekl.suggest.plain import torch_lines
from vaekl.suggest.verdict import Gap, Result, Verdict, crossing
from vaekl.sweep.plan import duration
from vaekl.system.terminal import command
from vaekl.verbs.audit.sigma import PixelScale
from vaekl.verbs.audit.text import lines, number

#: σ over the root mean square error within which φ is called calibrated
_CALIBRATED = (0.9, 1.1)
#: share of the latents above which more would be used
_FULL = 0.9
#: candidates that a sentence names
_NAMED = 4
_AIMS = {
    "density": "the best bound on held-out data; φ is the noise level that the density needs, and λ = 1",
    "samples": "draws like the data: φ is that of the best density, and λ brings the latents nearer to the prior",
    "reconstruction": "the smallest error at some λ of the best density, to which φ is fitted: λ < 1 says more in z",
    "representation": "neighbours of one class in the latents: φ is that of the best density, λ goes by their accuracy",
}


def card(findings: Findings) -> str:
    """The whole card."""
    facts, config = findings.run(findings.best.candidate).facts(), findings.run(findings.best.candidate).config()
    return lines(
        {
            "use": sentence(findings),
            "for": f"{findings.aim}: {_AIMS[findings.aim]}{_goal(findings)}",
            "noise level": noise(findings, facts),
            "as a weight": weight(findings, facts),
            "squares": squares(findings),
            "latents": latents(findings, facts),
            "BCE": without_constant(findings),
            "runner-up": runner_up(findings),
            "train it": train_line(findings),
            "go on with it": findings.run(findings.best.candidate).command("resume"),
            "in PyTorch": "\n".join(torch_lines(config, facts)),
            "not tried": not_tried(findings),
            "would change": would_change(findings),
        }
    )


def sentence(findings: Findings) -> str:
    """The answer."""
    words = " ".join(findings.best.candidate.words)
    figure = findings.bound(findings.best)
    if findings.goal_text:
        figure = f"{findings.goal_text} {abs(findings.best.goal):.4g} ({figure})"
    step, whole = findings.best.points[0].step, findings.whole
    judged = (
        f"{figure} on validation {findings.look.example}s that no run was trained on (they chose it, too), "
        f"after {step:,} of {whole:,} steps"
    )
    if findings.verdict.gaps and not findings.verdict.is_certain:
        equals = " or ".join(" ".join(one.candidate.words) + _z(findings, one) for one in _indistinct(findings.verdict))
        return (
            f"cannot tell {words}{_z(findings, findings.best)} from {equals} at this budget of "
            f"{duration(findings.budget)};\nthe first is better so far: {judged}{_left_out(findings)}"
        )
    return f"{words}: {judged}{_left_out(findings)}"


def _left_out(findings: Findings) -> str:
    """How many candidates there was no time for, since one of them may be the best."""
    left = len(findings.not_tried)
    return f"; {left} of {left + len(findings.tried)} candidates were left out" if left else ""


def _z(findings: Findings, result: Result) -> str:
    """The number of latents, where that is what differs."""
    several = {one.candidate.latents for one in findings.verdict.results}
    return f" model.latents={result.candidate.latents}" if len(several) > 1 else ""


def _indistinct(verdict: Verdict) -> list[Result]:
    return [one for one, gap in zip(verdict.results[1:], verdict.gaps, strict=True) if not gap.is_certain]


def _goal(findings: Findings) -> str:
    if not findings.goal_text:
        return "\nno labels are there, so that the bound decides" if findings.aim != "density" else ""
    rows = [f"{abs(one.goal):.4g} with {_last_words(one)}" for one in findings.verdict.results]
    return f"\n{findings.goal_text}: {', '.join(rows)}"


def _last_words(result: Result) -> str:
    weight = [word for word in result.candidate.words if word.startswith("control.weight=")]
    return f"λ = {weight[0].partition('=')[2]}" if weight else "λ = 1"


def noise(findings: Findings, facts: Facts) -> str:
    """φ, with its spread, what σ it implies, and whether that is the error that the model makes."""
    best = findings.best
    phi, spread = best.dispersion
    sigma, rmse = best.mean("implied_sigma"), best.mean("rmse")
    scale = PixelScale.of_data(msgspec.structs.asdict(facts.data))
    phis = facts.weighting.dispersions or 1
    if not facts.weighting.fits_dispersion:
        text = "φ = 1: the density has a scale for each value from the decoder, or needs none"
    else:
        own = f", the geometric mean of {phis:,} of them" if phis > 1 else ""
        text = f"φ = {number(phi)}{f' ± {spread:.1g}' if spread is not None else ''}{own}"
    if facts.data.support == "mixed":  # the columns have units of their own
        return text
    ratio = sigma / rmse if rmse else 1.0
    low, high = _CALIBRATED
    fit = "calibrated" if low <= ratio <= high else "too wide" if ratio > high else "too narrow"
    is_of_few = findings.look.valid > FIGURED and findings.aim != "reconstruction"
    few = f" of {FIGURED} {findings.look.example}s" if is_of_few else ""
    return f"{text} (σ = {scale.words(sigma)}; RMSE{few} {rmse:.4g}, σ/RMSE = {ratio:.2f}: {fit})"


def weight(findings: Findings, facts: Facts) -> str:
    """What that φ is as the weight of the KL in the losses that people write."""
    phis = facts.weighting.dispersions or 1
    effective = findings.best.mean("effective_beta_kl")
    if not facts.weighting.fits_dispersion:
        part = "; its ln C depends on the decoder and must stay in the loss" if _keeps_constant(facts) else ""
        return f"β_KL = {number(effective)} beside −ln p(x|z), nothing to tune{part}"
    if phis > 1:
        return "no single one: each value has its own, and a loss with one β would give all of them the same φ"
    forms = weights.weights(facts, effective, findings.best.candidate.latents)
    return weights.sentence(forms).replace("; ", ";\n") or f"β_KL = {number(effective)} beside E = {_energy(facts)}"


def _keeps_constant(facts: Facts) -> bool:
    return facts.likelihood.log_norm_const != "0"


def _energy(facts: Facts) -> str:
    return f"Σ {facts.likelihood.energy}"


def squares(findings: Findings) -> str:
    """The weight of a loss of squared errors, which many have, where something else is suggested."""
    result = findings.squares
    if result is None:
        return ""
    phi, candidate = result.dispersion[0], result.candidate
    forms = weights.weights(findings.run(candidate).facts(), phi, candidate.latents)
    behind = findings.lead(result)
    return (
        f"where the loss must be of squared errors: φ = {number(phi)}, which is\n{weights.sentence(forms)}".replace(
            "; ", ";\n"
        )
        + f"\n{findings.amount(abs(behind))} {'worse' if behind > 0 else 'better'}{_at(findings, result)}"
    )


def latents(findings: Findings, facts: Facts) -> str:
    """How many of the latents are used, and whether more would be."""
    best, z = findings.best, findings.best.candidate.latents
    used = best.mean("active_units")
    text = f"with {z} latents {used:.3g} are used"
    if used == 0:
        return f"none of {z} latents is used after {best.points[0].step:,} steps: train longer, or the data need none"
    if used < _FULL * z:
        return f"{text}: more would stay empty"
    if any(
        one.candidate.words == best.candidate.words and one.candidate.latents > z for one in findings.verdict.results
    ):
        return f"{text}: more were tried, and are no better"
    if (more := linear_use(findings.look, best, facts)) is not None and more > z:
        return f"{text}; {more} would be, by the eigenvalues of the data above φ"
    return f"{text}: more may be, so try model.latents={2 * z}"


def linear_use(look: Look, best: Result, facts: Facts) -> int | None:
    """How many latents a linear model would use at this noise level; None where the spectrum says nothing of it."""
    if not look.eigenvalues:
        return None
    gaussian = facts.likelihood.unit_sigma == 1 and facts.weighting.fits_dispersion
    # σ is on the user's scale, which is that of the spectrum where nothing was standardized
    phi = best.dispersion[0] if gaussian else best.mean("implied_sigma") ** 2 / (facts.data.spread or 1.0) ** 2
    return sum(value > phi for value in look.eigenvalues)


def without_constant(findings: Findings) -> str:
    """What cross-entropy on grey values without its constant would cost."""
    if findings.base is None:
        return ""
    cost = findings.lead(findings.base)
    words = "would cost you" if cost > 0 else "would gain"
    return f"without its constant {words} {findings.amount(abs(cost))}{_at(findings, findings.base)}"


def _at(findings: Findings, result: Result) -> str:
    """The step at which something is compared with the best, where that is not the last one."""
    step = result.points[0].step
    return f", at step {step:,}" if step != findings.best.points[0].step else ""


def runner_up(findings: Findings) -> str:
    """The next best, and by how much it is worse."""
    if not findings.verdict.gaps:
        return "none: nothing else was trained to its end"
    return "\n".join(
        f"{result.candidate.label}: {_behind(findings, gap)}"
        for result, gap in zip(findings.verdict.results[1:], findings.verdict.gaps, strict=True)
    )


def _behind(findings: Findings, gap: Gap) -> str:
    if findings.goal_text:
        error = f" ± {gap.error:.2g}" if gap.error is not None else ""
        return f"{gap.goal:.3g}{error} worse in {findings.goal_text}"
    if gap.error is None:
        return f"{findings.amount(gap.nats)} worse; one seed of each, so that chance is not known"
    unit = f"{gap.error * findings.bits:.1g} bits/dim" if findings.bits is not None else f"{gap.error:.2g} nats"
    is_chance = "" if gap.is_certain else ", which may be chance"
    return f"{findings.amount(gap.nats)} worse, ± {unit}{is_chance}"


def train_line(findings: Findings) -> str:
    """The command that trains it from the start."""
    best = findings.best.candidate
    typed = [word for word in findings.words if not word.startswith("output_dir=")]
    return command("vaekl", "train", *typed, *best.words, f"model.latents={best.latents}")


def not_tried(findings: Findings) -> str:
    """What was left out, and why; and what nothing was looked for."""
    reasons: dict[str, list[str]] = {}
    for label, why in findings.not_tried.items():
        reasons.setdefault(why, []).append(label.removeprefix("likelihood=").rpartition(" model.latents=")[0])
    rows = [f"{_some(labels)}: {why}" for why, labels in reasons.items()]
    rows.append("other networks, learning rates and transforms; a fixed β, which is a φ that nobody has learned")
    return "\n".join(rows)


def _some(labels: list[str]) -> str:
    more = f" and {len(labels) - _NAMED} more, see suggest.json" if len(labels) > _NAMED else ""
    return ", ".join(labels[:_NAMED]) + more


def would_change(findings: Findings) -> str:
    """What could turn the order of the first two, as far as their curves tell."""
    rows = []
    best = findings.best
    own = points(findings.run(best.candidate).path)
    step = best.points[0].step
    if findings.verdict.gaps and findings.aim == "density":
        other = findings.verdict.results[1].candidate
        turn = crossing(own, points(findings.run(other).path))
        if turn is not None:
            rows.append(f"longer training: {other.label} gains faster, and would be level at about step {turn:,}")
    earlier = [one for one in own if one <= step / 2]
    if earlier and step in own:
        gain = own[step].nats - own[max(earlier)].nats
        if gain > 0:
            rows.append(f"it still gained {findings.amount(gain)} from step {max(earlier):,} to {step:,}")
    if len(best.seeds) == 1:
        rows.append("a second seed")
    elif best.repeats:
        count, last = len(best.seeds), best.seeds[0].step
        rows.append(f"seeds, if they differ more later: what chance is comes from {count} of each at step {last:,}")
    if findings.run(best.candidate).facts().weighting.fits_dispersion:
        rows.append("a network that leaves a smaller error, since φ is that error: a better decoder has a smaller φ")
    return "\n".join(rows)


def record(findings: Findings) -> dict[str, Any]:
    """What `suggest.json` holds beside the finalists."""
    return {
        "aim": findings.aim,
        "budget_seconds": findings.budget,
        "seconds": findings.seconds,
        "is_certain": findings.verdict.is_certain,
        "sentence": sentence(findings).replace("\n", " "),
        "train": train_line(findings),
        "tried": dict(findings.tried),
        "not_tried": dict(findings.not_tried),
        "unfit": dict(findings.look.unfit),
    }
