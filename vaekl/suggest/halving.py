"""Successive halving within a budget: how many candidates are trained for how many steps, and which of them go on.

In each rung all that are left are trained to the same step, and about the best third goes on to twice as many. Of those
that are left, the best with the most outputs goes on too, since it learns slowest: curves cross. The last few are
trained as far as most of the rest of the budget reaches, and then once more with other seeds.

Source: Jamieson, Talwalkar 2016; Li et al. 2018 ("Hyperband") for a third.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice, takewhile
from math import ceil, inf, log2
from typing import TypeVar

import msgspec

from vaekl.store.suggest_schema import Cost, Planned, PlannedRung

Key = TypeVar("Key")

#: how many candidates are trained as far as the budget reaches
FINALISTS = 3
#: share of the time that is left which the rungs may take; the finalists get the rest
_SHARE = 0.2
#: share of the finalists' time that is for their other seeds
FOR_SEEDS = 0.25
#: by how much the finalists' steps must exceed those of the last rung
_LEAST_FURTHER = 2
#: share of the time that is planned for; what is left over is for what takes longer than it did when it was tried
_PLANNED = 0.93
#: outputs for each value from which a candidate learns more slowly than others
_MANY_OUTPUTS = 3


def rungs(candidates: int, first: int) -> list[PlannedRung]:
    """The rungs that leave no more candidates than finalists.

    Args:
        candidates: how many there are.
        first: the step of the first rung.

    >>> [(rung.step, rung.entrants, rung.kept) for rung in rungs(27, 50)]
    [(50, 27, 9), (100, 9, 3)]
    """
    ladder: list[PlannedRung] = []
    while candidates > FINALISTS:
        kept = ceil(candidates / 3)
        # a rung that drops a single one is worth less than its steps
        kept = FINALISTS if kept <= FINALISTS + 1 else kept
        ladder.append(PlannedRung(step=first * 2 ** len(ladder), entrants=candidates, kept=kept))
        candidates = kept
    return ladder


def grid(every: int, most: int) -> Iterator[int]:
    """Steps at which any run is judged that passes them: those of every rung of every budget.

    Args:
        every: the steps between training figures.
        most: the length of a run.

    >>> list(grid(50, 700))
    [50, 100, 200, 400]
    """
    return takewhile(lambda step: step <= most, (every * 2**power for power in count()))


def seconds(runs: Sequence[tuple[Cost, int]], step: int, jobs: int) -> float:
    """How long it takes to train some runs, some at a time.

    Args:
        runs: what each costs, and the step at which it is.
        step: to which they are trained.
        jobs: how many at a time.
    """
    looks = list(grid(runs[0][0].every, runs[0][0].steps)) if runs else []
    each = [
        cost.start + (step - before) * cost.step + (1 + sum(before < look < step for look in looks)) * cost.judge
        for cost, before in runs
        if before < step
    ]
    if not each:
        return 0.0
    # the last run has the machine for itself while the others wait
    return sum(each) / jobs + (1 - 1 / jobs) * max(each) / 2


def plan(costs: Mapping[str, Cost], budget: float, jobs: int) -> Planned:
    """As many candidates and steps as fit into a budget.

    Where not all of them fit, there are fewer candidates, which are left out from the end; where not even two fit,
    nothing more is trained.

    Args:
        costs: of each candidate by its name, best first; all are at the first step with training figures.
        budget: wall-clock time that is left, seconds.
        jobs: how many runs at a time.
    """
    some = next(iter(costs.values()))
    every, most = some.every, some.steps
    firsts = [*grid(every, most)][::-1] or [most]
    for number in [len(costs), *(number for number in (40, 27, 18, 12, 9, 6, 3, 2) if number < len(costs))]:
        for first in firsts:
            if (made := _fitting(dict(islice(costs.items(), number)), first, budget, jobs)) is not None:
                return made
    # what they are by now is all that there is to compare
    return Planned(
        budget=max(budget, 1e-3),
        candidates=list(islice(costs, FINALISTS)),
        rungs=[],
        finalists=min(FINALISTS, len(costs)),
        final_step=min(every, most),
        seconds=0.0,
    )


def _fitting(named: Mapping[str, Cost], first: int, budget: float, jobs: int) -> Planned | None:
    """The plan whose first rung has so many steps; None where it does not fit."""
    costs, available = list(named.values()), _PLANNED * budget
    most = costs[0].steps
    ladder = [msgspec.structs.replace(rung, step=min(rung.step, most)) for rung in rungs(len(costs), first)]
    spent, before = 0.0, min(costs[0].every, most)  # to which all were trained when they were tried
    for rung in ladder:
        # those that are best now are the likeliest to go on
        spent += seconds([(cost, before) for cost in costs[: rung.entrants]], rung.step, jobs)
        before = rung.step
    if ladder and spent > _SHARE * available:
        return None
    runs = [(cost, before) for cost in costs[:FINALISTS]]
    step = furthest(runs, (1 - FOR_SEEDS) * (available - spent), jobs)
    if step < min(most, max(first, _LEAST_FURTHER * before)):
        return None
    return Planned(
        budget=budget,
        candidates=list(named),
        rungs=ladder,
        finalists=len(runs),
        final_step=step,
        seconds=spent + seconds(runs, step, jobs),
    )


def step_seconds(measured: Mapping[int, float], outputs: int) -> float:
    """What a step takes with so many outputs for each value, by the line through those with the fewest and the most.

    Args:
        measured: seconds of a step, by outputs; at least one.
        outputs: of what was not tried.

    >>> step_seconds({1: 0.002, 15: 0.016}, 256)
    0.257
    >>> step_seconds({1: 0.003, 15: 0.002}, 256)
    0.002
    """
    few, most = min(measured), max(measured)
    if few == most:
        return measured[few] * outputs / few
    slope = max(0.0, (measured[most] - measured[few]) / (most - few))  # of small networks it may be noise
    return measured[most] + slope * (outputs - most)


def mean_cost(costs: Sequence[Cost]) -> Cost:
    """What a candidate costs on average."""
    count = len(costs)
    return Cost(
        start=sum(cost.start for cost in costs) / count,
        step=sum(cost.step for cost in costs) / count,
        judge=sum(cost.judge for cost in costs) / count,
        parameters=max(cost.parameters for cost in costs),
        steps=costs[0].steps,
        every=costs[0].every,
    )


def furthest(runs: Sequence[tuple[Cost, int]], available: float, jobs: int) -> int:
    """The last step, a multiple of those between training figures, to which runs can be trained in a time.

    Args:
        runs: what each costs, and the step at which it is.
        available: seconds.
        jobs: how many runs at a time.

    Returns:
        0 where there is no time for any.
    """
    every, most = runs[0][0].every, runs[0][0].steps
    if seconds(runs, most, jobs) <= available:
        return most
    low, high = 0, most // every
    while low < high:
        middle = (low + high + 1) // 2
        fits = seconds(runs, middle * every, jobs) <= available
        low, high = (middle, high) if fits else (low, middle - 1)
    return low * every


def survivors(goals: Mapping[Key, float], kept: int, outputs: Mapping[Key, int] | None = None) -> list[Key]:
    """The best candidates, best first; of equals those that come first.

    The best of those with the most outputs stays, in the last place, where these are many: a mixture contains the
    family that it is made of, and is behind it only as long as it has not learned as much.

    Args:
        goals: of each; higher is better.
        kept: how many.
        outputs: of the decoder for each value; None to go by the goals alone.

    >>> survivors({"a": 1.0, "b": 3.0, "c": 2.0}, 2)
    ['b', 'c']
    >>> survivors({"a": 1.0, "b": 3.0, "c": 2.0}, 2, {"a": 15, "b": 1, "c": 2})
    ['b', 'a']
    """
    ranked = sorted(goals, key=lambda key: -goals[key])
    best = ranked[:kept]
    if outputs is None or kept < 2 or len(ranked) <= kept or max(map(outputs.__getitem__, ranked)) < _MANY_OUTPUTS:
        return best
    slowest = max(ranked, key=outputs.__getitem__)
    return best if slowest in best else [*best[:-1], slowest]


def hopeful(curves: Mapping[Key, Mapping[int, float]], most: int) -> list[Key]:
    """The best two, and those that would reach the best, were it to stand still, by the end of a whole run.

    A candidate gains with each doubling of its steps at most what it gained with the last one, as curves flatten.

    Args:
        curves: the goal of each by the step, all judged at the last one.
        most: the length of a run.
    """
    last = max(max(curve) for curve in curves.values())
    ranked = sorted(curves, key=lambda key: -curves[key][last])
    kept = ranked[:2]
    for key in ranked[2:]:
        curve = curves[key]
        before = max((step for step in curve if step <= last / 2), default=None)
        gain = inf if before is None else (curve[last] - curve[before]) / log2(last / before)
        if curve[last] + gain * log2(most / last) >= curves[ranked[0]][last]:
            kept.append(key)
    return kept
