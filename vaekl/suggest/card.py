"""The card of a suggestion: the answer in a sentence, what it is worth, and what would change it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log, prod
from pathlib import Path
from typing import Any

import msgspec

from vaekl.store import RunFolder
from vaekl.store.schema import Facts
from vaekl.store.suggest_schema import Look, Point
from vaekl.suggest import weights
from vaekl.suggest.candidates import Candidate
from vaekl.suggest.judge import points
from vaekl.suggest.plain import torch_lines
from vaekl.suggest.verdict import Gap, Result, Verdict, crossing
from vaekl.sweep.plan import duration
from vaekl.system.terminal import command
from vaekl.verbs.audit.sigma import PixelScale
from vaekl.verbs.audit.text import lines, number, one

#: σ over the root mean square error within which φ is called calibrated
_CALIBRATED = (0.9, 1.1)
#: share of the latents above which more would be used
_FULL = 0.9
#: candidates that a sentence names
_NAMED = 4
_AIMS = {
    "density": "the best bound on held-out data; φ is the noise level that the density needs, and λ = 1",
    "samples": "draws like the data: φ is learned for the density, and λ brings the latents nearer to the prior",
    "reconstruction": "the smallest error: φ is learned, which keeps it calibrated, and λ < 1 says more in z",
    "representation": "neighbours of one class in the latents: φ is learned, and λ is chosen by their accuracy",
}
_GOALS = {
    "samples": "Fréchet distance of the values of draws",
    "reconstruction": "RMSE",
    "representation": "accuracy of the 15 nearest neighbours",
}


@dataclass(frozen=True)
class Findings:
    """All that a card is made of.

    Args:
        look: at the data.
        verdict: of the finalists.
        base: cross-entropy without its constant, where it was trained.
        aim: what the model is for.
        budget: wall-clock time, seconds.
        seconds: that were spent.
        folder: of the suggestion.
        words: of the data and networks.
        squares: the plain model of squared errors and how good it was when it was last judged, where it was tried.
        tried: the bound of each candidate's first seed, when it was last judged.
        not_tried: the others, and why.
    """

    look: Look
    verdict: Verdict
    base: Result | None
    aim: str
    budget: float
    seconds: float
    folder: Path
    words: tuple[str, ...]
    squares: tuple[Candidate, Point] | None = None
    tried: Mapping[str, float] = field(default_factory=dict)
    not_tried: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> Result:
        """What is suggested."""
        return self.verdict.best

    @property
    def bits(self) -> float | None:
        """What a nat per example is in bits/dim; None where there is no ruler."""
        return 1 / (prod(self.look.shape) * log(2)) if self.look.ruler else None

    def run(self, candidate: Candidate, seed: int = 0) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self.folder / candidate.folder(seed))

    def amount(self, nats: float) -> str:
        """A difference of bounds in words."""
        text = f"{number(nats)} nats {one(self.look.example)}"
        return text if self.bits is None else f"{nats * self.bits:.2g} bits/dim ({text})"

    def bound(self, result: Result) -> str:
        """The bound of a finalist in words, with the spread of its seeds."""
        spread = _spread([point.nats for point in result.points])
        if self.bits is not None:
            more = f" ± {spread * self.bits:.2g}" if spread is not None else ""
            return f"{-result.nats * self.bits:.4g}{more} bits/dim"
        return f"{number(result.nats)}{f' ± {spread:.2g}' if spread is not None else ''} nats {one(self.look.example)}"


def card(found: Findings) -> str:
    """The whole card."""
    facts, config = found.run(found.best.candidate).facts(), found.run(found.best.candidate).config()
    return lines(
        {
            "use": sentence(found),
            "for": f"{found.aim}: {_AIMS[found.aim]}{_goal(found)}",
            "noise level": noise(found, facts),
            "as a weight": weight(found, facts),
            "squares": squares(found),
            "latents": latents(found, facts),
            "BCE": without_constant(found),
            "runner-up": runner_up(found),
            "train it": train_line(found),
            "go on with it": found.run(found.best.candidate).command("resume"),
            "in PyTorch": "\n".join(torch_lines(config, facts)),
            "not tried": not_tried(found),
            "would change": would_change(found),
        }
    )


def sentence(found: Findings) -> str:
    """The answer."""
    words = " ".join(found.best.candidate.words)
    judged = f"{found.bound(found.best)} on validation {found.look.example}s that no run was trained on"
    if found.verdict.gaps and not found.verdict.is_certain:
        equals = " or ".join(" ".join(one.candidate.words) + _z(found, one) for one in _indistinct(found.verdict))
        return (
            f"cannot tell {words}{_z(found, found.best)} from {equals} at this budget of {duration(found.budget)}: "
            f"either will do;\nthe first is a little better so far: {judged}"
        )
    return f"{words}: {judged}"


def _z(found: Findings, result: Result) -> str:
    """The number of latents, where that is what differs."""
    several = {one.candidate.latents for one in found.verdict.results}
    return f" model.latents={result.candidate.latents}" if len(several) > 1 else ""


def _indistinct(verdict: Verdict) -> list[Result]:
    return [one for one, gap in zip(verdict.results[1:], verdict.gaps, strict=True) if not gap.is_certain]


def _goal(found: Findings) -> str:
    if found.aim not in _GOALS:
        return ""
    rows = [f"{abs(one.goal):.4g} with {_last_words(one)}" for one in found.verdict.results]
    return f"\n{_GOALS[found.aim]}: {', '.join(rows)}"


def _last_words(result: Result) -> str:
    weight = [word for word in result.candidate.words if word.startswith("control.weight=")]
    return f"λ = {weight[0].partition('=')[2]}" if weight else "λ = 1"


def noise(found: Findings, facts: Facts) -> str:
    """φ, with its spread, what σ it implies, and whether that is the error that the model makes."""
    best = found.best
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
    return f"{text} (σ = {scale.words(sigma)}; RMSE {rmse:.4g}, σ/RMSE = {ratio:.2f}: {fit})"


def weight(found: Findings, facts: Facts) -> str:
    """What that φ is as the weight of the KL in the losses that people write."""
    phis = facts.weighting.dispersions or 1
    effective = found.best.mean("effective_beta_kl")
    if not facts.weighting.fits_dispersion:
        part = "; its ln C depends on the decoder and must stay in the loss" if _keeps_constant(facts) else ""
        return f"β_KL = {number(effective)} beside −ln p(x|z), nothing to tune{part}"
    if phis > 1:
        return "no single one: each value has its own, and a loss with one β would give all of them the same φ"
    forms = weights.weights(facts, effective, found.best.candidate.latents)
    return weights.sentence(forms).replace("; ", ";\n") or f"β_KL = {number(effective)} beside E = {_energy(facts)}"


def _keeps_constant(facts: Facts) -> bool:
    return facts.likelihood.log_norm_const != "0"


def _energy(facts: Facts) -> str:
    return f"Σ {facts.likelihood.energy}"


def squares(found: Findings) -> str:
    """The weight of a loss of squared errors, which many have, where something else is suggested."""
    if found.squares is None or found.squares[0].words == found.best.candidate.words:
        return ""
    candidate, point = found.squares
    forms = weights.weights(found.run(candidate).facts(), point.dispersion, candidate.latents)
    behind = _level(found, point)
    return (
        f"where the loss must be of squared errors: φ = {number(point.dispersion)} after {point.step:,} steps, "
        f"which is\n{weights.sentence(forms)}{behind}".replace("; ", ";\n")
    )


def _level(found: Findings, point: Point) -> str:
    """How far a point is behind the best at the same step."""
    same = points(found.run(found.best.candidate).path).get(point.step)
    return f"; {found.amount(same.nats - point.nats)} behind at that step" if same is not None else ""


def latents(found: Findings, facts: Facts) -> str:
    """How many of the latents are used, and whether more would be."""
    best, z = found.best, found.best.candidate.latents
    used = best.mean("active_units")
    text = f"with {z} latents {used:.3g} are used"
    if used == 0:
        return f"none of {z} latents is used after {best.points[0].step:,} steps: train longer, or the data need none"
    if used < _FULL * z:
        return f"{text}: more would stay empty"
    if (more := linear_use(found.look, best, facts)) is not None and more > z:
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


def without_constant(found: Findings) -> str:
    """What cross-entropy on grey values without its constant would cost."""
    if found.base is None:
        return ""
    cost = found.best.nats - found.base.nats
    words = "would cost you" if cost > 0 else "would gain"
    return f"without its constant {words} {found.amount(abs(cost))}"


def runner_up(found: Findings) -> str:
    """The next best, and by how much it is worse."""
    if not found.verdict.gaps:
        return "none: nothing else was trained to its end"
    return "\n".join(
        f"{result.candidate.label}: {_behind(found, gap)}"
        for result, gap in zip(found.verdict.results[1:], found.verdict.gaps, strict=True)
    )


def _behind(found: Findings, gap: Gap) -> str:
    if found.aim in _GOALS:
        error = f" ± {gap.error:.2g}" if gap.error is not None else ""
        return f"{gap.goal:.3g}{error} worse in {_GOALS[found.aim]}"
    if gap.error is None:
        return f"{found.amount(gap.nats)} worse; one seed of each, so that chance is not known"
    unit = f"{gap.error * found.bits:.1g} bits/dim" if found.bits is not None else f"{gap.error:.2g} nats"
    is_chance = "" if gap.is_certain else ", which may be chance"
    return f"{found.amount(gap.nats)} worse, ± {unit}{is_chance}"


def train_line(found: Findings) -> str:
    """The command that trains it from the start."""
    best = found.best.candidate
    typed = [word for word in found.words if not word.startswith("output_dir=")]
    return command("vaekl", "train", *typed, *best.words, f"model.latents={best.latents}")


def not_tried(found: Findings) -> str:
    """What was left out, and why; and what nothing was looked for."""
    reasons: dict[str, list[str]] = {}
    for label, why in found.not_tried.items():
        reasons.setdefault(why, []).append(label.removeprefix("likelihood=").rpartition(" model.latents=")[0])
    rows = [f"{_some(labels)}: {why}" for why, labels in reasons.items()]
    rows.append("other networks, learning rates and transforms; a fixed β, which is a φ that nobody has learned")
    return "\n".join(rows)


def _some(labels: list[str]) -> str:
    more = f" and {len(labels) - _NAMED} more, see suggest.json" if len(labels) > _NAMED else ""
    return ", ".join(labels[:_NAMED]) + more


def would_change(found: Findings) -> str:
    """What could turn the order of the first two, as far as their curves tell."""
    rows = []
    best = found.best
    own = points(found.run(best.candidate).path)
    step = best.points[0].step
    if found.verdict.gaps and found.aim == "density":
        other = found.verdict.results[1].candidate
        turn = crossing(own, points(found.run(other).path))
        if turn is not None:
            rows.append(f"longer training: {other.label} gains faster, and would be level at about step {turn:,}")
    earlier = [one for one in own if one <= step / 2]
    if earlier and step in own:
        gain = own[step].nats - own[max(earlier)].nats
        if gain > 0:
            rows.append(f"it still gained {found.amount(gain)} from step {max(earlier):,} to {step:,}")
    if len(best.points) == 1:
        rows.append("a second seed")
    rows.append("a network that leaves a smaller error, since φ is that error: a better decoder has a smaller φ")
    return "\n".join(rows)


def record(found: Findings) -> dict[str, Any]:
    """What `suggest.json` holds beside the finalists."""
    return {
        "aim": found.aim,
        "budget_seconds": found.budget,
        "seconds": found.seconds,
        "is_certain": found.verdict.is_certain,
        "sentence": sentence(found).replace("\n", " "),
        "train": train_line(found),
        "tried": dict(found.tried),
        "not_tried": dict(found.not_tried),
        "unfit": dict(found.look.unfit),
    }


def _spread(values: list[float]) -> float | None:
    """The standard deviation between seeds; None of one."""
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    return float((sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5)
