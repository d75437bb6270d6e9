"""Which of the finalists is best, by how much, and whether that is more than chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from vaekl.store.suggest_schema import Point
from vaekl.suggest.candidates import Candidate

Vector = npt.NDArray[np.float64]
#: the chance that two equal candidates are called different
_CHANCE = 0.05


@dataclass(frozen=True)
class Result:
    """A candidate after its last step.

    Args:
        candidate: what was trained.
        points: of each seed that was trained to the last step.
        repeats: of all seeds at the step that all of them were trained to; empty where that is the last one.
    """

    candidate: Candidate
    points: tuple[Point, ...]
    repeats: tuple[Point, ...] = ()

    @property
    def seeds(self) -> tuple[Point, ...]:
        """What says how far seeds differ: a point of each, at one step."""
        return self.repeats or self.points

    @property
    def nats(self) -> float:
        """The bound on validation examples, averaged over the seeds."""
        return fmean(point.nats for point in self.points)

    @property
    def goal(self) -> float:
        """What the aim goes by, averaged over the seeds."""
        return fmean(point.goal for point in self.points)

    @property
    def dispersion(self) -> tuple[float, float | None]:
        """φ, the geometric mean over the seeds, and the standard deviation between them; None of one seed."""
        phi = exp(fmean(log(point.dispersion) for point in self.points))
        logs = [log(point.dispersion) for point in self.seeds]
        return phi, phi * stdev(logs) if len(logs) > 1 else None

    def mean(self, key: str) -> float:
        """A figure of the points, averaged over the seeds."""
        return fmean(float(getattr(point, key)) for point in self.points)

    @property
    def scores(self) -> Vector | None:
        """The bound of each example, averaged over the seeds; None where it was not kept."""
        rows = [point.scores for point in self.points]
        return np.asarray(rows).mean(0) if all(rows) and len({*map(len, rows)}) == 1 else None


@dataclass(frozen=True)
class Gap:
    """How far a candidate is behind the best.

    Args:
        goal: by so much, in the aim's own unit.
        nats: by so much in nats per example.
        error: the standard error of `goal`; None where a single seed of each says nothing of it.
        freedom: degrees of freedom of the seeds' spread.
    """

    goal: float
    nats: float
    error: float | None
    freedom: int = 0

    @property
    def is_certain(self) -> bool:
        """Whether it is more than chance, by Student's t test."""
        return self.error is not None and self.goal > float(stdtrit(self.freedom, 1 - _CHANCE / 2)) * self.error


@dataclass(frozen=True)
class Verdict:
    """The finalists, best first.

    Args:
        results: of the finalists.
        gaps: of all but the best.
    """

    results: tuple[Result, ...]
    gaps: tuple[Gap, ...]

    @property
    def best(self) -> Result:
        """The one that is suggested."""
        return self.results[0]

    @property
    def is_certain(self) -> bool:
        """Whether the best is better than the runner-up by more than chance."""
        return bool(self.gaps) and self.gaps[0].is_certain


def verdict(results: Sequence[Result], density: bool = True) -> Verdict:
    """Rank the finalists.

    Args:
        results: at one step.
        density: whether the goal is the bound itself, which is known of each example.
    """
    ranked = sorted(results, key=lambda result: -result.goal)
    spread = seeds_spread(ranked)
    freedom = _freedom(ranked)
    gaps = [_gap(ranked[0], other, spread, freedom, density) for other in ranked[1:]]
    return Verdict(tuple(ranked), tuple(gaps))


def seeds_spread(results: Sequence[Result]) -> float | None:
    """The standard deviation of the goal between seeds, pooled over the candidates; None where each has one seed."""
    means = [fmean(point.goal for point in result.seeds) for result in results]
    squares = [(point.goal - mean) ** 2 for result, mean in zip(results, means, strict=True) for point in result.seeds]
    freedom = _freedom(results)
    return sqrt(sum(squares) / freedom) if freedom > 0 else None


def _freedom(results: Sequence[Result]) -> int:
    return sum(len(result.seeds) - 1 for result in results)


def _gap(best: Result, other: Result, spread: float | None, freedom: int, density: bool) -> Gap:
    nats = best.nats - other.nats
    if spread is None:
        return Gap(best.goal - other.goal, nats, None)
    error = spread**2 * (1 / len(best.points) + 1 / len(other.points))
    if density:
        error += _error_of_examples(best.scores, other.scores) ** 2
    return Gap(best.goal - other.goal, nats, sqrt(error), freedom)


def _error_of_examples(one: Vector | None, other: Vector | None) -> float:
    """The standard error of the mean difference, since it would differ on other examples."""
    if one is None or other is None or one.shape != other.shape or len(one) < 2:
        return 0.0
    return float((one - other).std(ddof=1) / sqrt(len(one)))


def crossing(best: Mapping[int, Point], other: Mapping[int, Point]) -> int | None:
    """The step at which the other would be level, if both went on as over the last half of their steps.

    Each gains what its ELBO gained per doubling of the steps, as training curves do about.

    Args:
        best: points by step.
        other: the same.

    Returns:
        None where that is not in sight: within four times as many steps.
    """
    last = min(max(best), max(other))
    earlier = [step for step in best if step in other and step <= 0.67 * last]
    if not earlier or last not in best or last not in other:
        return None
    before = max(earlier)
    doublings = log(last / before, 2)
    faster = ((other[last].nats - other[before].nats) - (best[last].nats - best[before].nats)) / doublings
    gap = best[last].nats - other[last].nats
    if faster <= 0 or gap < 0 or gap / faster > 2:
        return None
    return round(last * 2 ** (gap / faster))


def as_record(verdict: Verdict, bits: float | None) -> list[dict[str, Any]]:
    """The finalists as `suggest.json` holds them.

    Args:
        verdict: with them.
        bits: what a nat per example is in bits/dim; None where there is no ruler.
    """
    rows = []
    for place, result in enumerate(verdict.results):
        gap = verdict.gaps[place - 1] if place else None
        phi, spread = result.dispersion
        rows.append(
            {
                "words": list(result.candidate.words),
                "nats": result.nats,
                "bits_per_dim": None if bits is None else -result.nats * bits,
                "goal": result.goal,
                "seeds": len(result.seeds),
                "step": result.points[0].step,
                "seeds_step": result.seeds[0].step,
                "dispersion": phi,
                "dispersion_spread": spread,
                "implied_sigma": result.mean("implied_sigma"),
                "rmse": result.mean("rmse"),
                "active_units": result.mean("active_units"),
                "latents": result.candidate.latents,
                "behind_nats": gap.nats if gap else 0.0,
                "behind_goal": gap.goal if gap else 0.0,
                "behind_goal_error": gap.error if gap else 0.0,
            }
        )
    return rows
