"""Successive halving within a budget: how many candidates are trained for how many steps, and which of them go on.

In each rung all that are left are trained to the same step, and about the best third goes on to three times as many.
The last few are trained with several seeds to the step that the rest of the budget reaches.

Source: Jamieson, Talwalkar 2016; Li et al. 2018 ("Hyperband") for a third.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import ceil
from typing import TypeVar

import msgspec

from vaekl.store.suggest_schema import Cost, Planned, PlannedRung

Key = TypeVar("Key")

#: how many candidates are trained with several seeds
FINALISTS = 3
#: steps of each rung, in those of the first
_FACTORS = (1, 3, 6, 12, 24)
#: share of the time that is left which the rungs may take; the finalists get the rest
_SHARE = 0.5
#: by how much the finalists' steps must exceed those of the last rung
_LEAST_FURTHER = 2
#: share of the time that is planned for; what is left over is for what takes longer than it did when it was tried
_PLANNED = 0.93


def rungs(candidates: int, first: int) -> list[PlannedRung]:
    """The rungs that leave no more candidates than finalists.

    Args:
        candidates: how many there are.
        first: the step of the first rung.

    >>> [(rung.step, rung.entrants, rung.kept) for rung in rungs(27, 50)]
    [(50, 27, 9), (150, 9, 3)]
    """
    ladder: list[PlannedRung] = []
    while candidates > FINALISTS:
        kept = ceil(candidates / 3)
        # a rung that drops a single one is worth less than its steps
        kept = FINALISTS if kept <= FINALISTS + 1 else kept
        step = first * _FACTORS[min(len(ladder), len(_FACTORS) - 1)]
        ladder.append(PlannedRung(step=step, entrants=candidates, kept=kept))
        candidates = kept
    return ladder


def grid(every: int, most: int) -> Iterator[int]:
    """Steps at which any run is judged that passes them: those of every rung of every budget.

    Args:
        every: the steps between training figures.
        most: the length of a run.

    >>> list(grid(50, 700))
    [50, 100, 150, 200, 300, 400, 600]
    """
    steps = {every * factor * 2**power for power in range(most.bit_length()) for factor in (1, 3)}
    return iter(sorted(step for step in steps if step <= most))


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


def plan(costs: Mapping[str, Cost], budget: float, jobs: int, seeds: int) -> Planned:
    """As many candidates, seeds and steps as fit into a budget.

    Where not all of them fit, there are fewer seeds, then fewer candidates, which are left out from the end; where not
    even two fit, nothing more is trained.

    Args:
        costs: of each candidate by its name, best first; all are at the first step with training figures.
        budget: wall-clock time that is left, seconds.
        jobs: how many runs at a time.
        seeds: runs of each finalist, at most.
    """
    some = next(iter(costs.values()))
    every, most = some.every, some.steps
    available = _PLANNED * budget
    firsts = [every * 2**power for power in range(most.bit_length(), -1, -1) if every * 2**power <= most] or [most]
    counts = [len(costs), *(count for count in (40, 27, 18, 12, 9, 6, 3, 2) if count < len(costs))]
    for count in counts:
        # one seed says nothing of what another would give, so that fewer candidates are better than one seed
        for runs in [number for number in (seeds, 2) if number <= seeds] or [1]:
            for first in firsts:
                if (made := _fitting(dict(islice(costs.items(), count)), first, available, jobs, runs)) is not None:
                    return made
    # what they are by now is all that there is to compare
    return Planned(
        budget=max(budget, 1e-3),
        candidates=list(islice(costs, FINALISTS)),
        rungs=[],
        finalists=min(FINALISTS, len(costs)),
        seeds=1,
        final_step=min(every, most),
        seconds=0.0,
    )


def _fitting(named: Mapping[str, Cost], first: int, available: float, jobs: int, seeds: int) -> Planned | None:
    """The plan whose first rung has so many steps; None where it does not fit."""
    costs = list(named.values())
    most = costs[0].steps
    ladder = [msgspec.structs.replace(rung, step=min(rung.step, most)) for rung in rungs(len(costs), first)]
    spent, before = 0.0, min(costs[0].every, most)  # to which all were trained when they were tried
    for rung in ladder:
        # those that are best now are the likeliest to go on
        spent += seconds([(cost, before) for cost in costs[: rung.entrants]], rung.step, jobs)
        before = rung.step
    if ladder and spent > _SHARE * available:
        return None
    finalists = min(FINALISTS, len(costs))
    runs = of_finalists(costs[:finalists], [before] * finalists, seeds)
    step = furthest(runs, available - spent, jobs)
    if step < min(most, max(first, _LEAST_FURTHER * before)):
        return None
    return Planned(
        budget=available / _PLANNED,
        candidates=list(named),
        rungs=ladder,
        finalists=finalists,
        seeds=seeds,
        final_step=step,
        seconds=spent + seconds(runs, step, jobs),
    )


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


def of_finalists(costs: Sequence[Cost], before: Sequence[int], seeds: int) -> list[tuple[Cost, int]]:
    """The runs of the finalists: of each the first seed goes on, and the others begin.

    Args:
        costs: of each finalist.
        before: the step at which its first seed is.
        seeds: of each.
    """
    return [*zip(costs, before, strict=True), *[(cost, 0) for cost in costs for _ in range(seeds - 1)]]


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


def survivors(goals: Mapping[Key, float], kept: int) -> list[Key]:
    """The best candidates, best first; of equals those that come first.

    Args:
        goals: of each; higher is better.
        kept: how many.

    >>> survivors({"a": 1.0, "b": 3.0, "c": 2.0}, 2)
    ['b', 'c']
    """
    return sorted(goals, key=lambda key: -goals[key])[:kept]
