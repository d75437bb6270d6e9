"""Successive halving within a budget: its arithmetic, with made-up costs and scores."""

import pytest

from vaekl.store.suggest_schema import Cost
from vaekl.suggest import halving


def cost(step=0.01, start=0.2, judge=0.05, steps=2000, every=50):
    return Cost(start=start, step=step, judge=judge, parameters=1000, steps=steps, every=every)


def costs(count, **parts):
    return {f"c{place}": cost(**parts) for place in range(count)}


@pytest.mark.parametrize(("count", "expected"), [(3, []), (4, [(4, 3)]), (12, [(12, 3)]), (27, [(27, 9), (9, 3)])])
def test_each_rung_keeps_about_a_third_until_the_finalists_are_left(count, expected):
    assert [(rung.entrants, rung.kept) for rung in halving.rungs(count, 50)] == expected


def test_every_rung_of_every_budget_is_a_step_at_which_any_run_is_judged():
    looks = set(halving.grid(50, 10_000))
    for first in (50, 100, 200, 400):
        assert {rung.step for rung in halving.rungs(80, first)} <= looks


def test_a_plan_takes_no_longer_than_the_budget_and_uses_most_of_it():
    for jobs in (1, 2, 8):
        for budget in (60, 300, 1000):
            made = halving.plan(costs(26, steps=10**6), budget, jobs, 3)
            assert made.seconds <= budget
            # exactly what the runs add up to: each start, step and look once
            assert made.seconds > 0.8 * budget
            assert made.final_step >= 2 * max((rung.step for rung in made.rungs), default=0)


def test_the_time_of_runs_is_the_sum_of_their_parts():
    # start 1, 100 steps of 0.1, looks at 50 and 100 of 2 each
    assert halving.seconds([(cost(0.1, 1, 2), 0)], 100, 1) == pytest.approx(1 + 10 + 4)
    assert halving.seconds([(cost(0.1, 1, 2), 50)], 100, 1) == pytest.approx(1 + 5 + 2)
    # two at a time: half the sum, and at the end one of them may be alone
    assert halving.seconds([(cost(0.1, 1, 2), 0)] * 4, 100, 2) == pytest.approx(4 * 15 / 2 + 15 / 4)


def test_the_furthest_step_is_the_last_that_fits():
    runs = [(cost(steps=10**6), 0)] * 3
    step = halving.furthest(runs, 60, 2)
    assert step % 50 == 0
    assert halving.seconds(runs, step, 2) <= 60 < halving.seconds(runs, step + 50, 2)
    assert halving.furthest([(cost(steps=2000), 0)], 1e6, 1) == 2000
    assert halving.furthest(runs, 0.1, 2) == 0


def test_a_smaller_budget_has_fewer_seeds_and_then_fewer_candidates():
    kept = [halving.plan(costs(26), budget, 1, 3) for budget in (400, 40, 10, 4)]
    assert [len(made.candidates) for made in kept] == sorted((len(made.candidates) for made in kept), reverse=True)
    assert (len(kept[0].candidates), kept[0].seeds) == (26, 3)
    assert len(kept[-1].candidates) < 4
    assert kept[2].candidates == [f"c{place}" for place in range(len(kept[2].candidates))]


def test_a_budget_for_nothing_compares_what_there_is():
    made = halving.plan(costs(26, start=1.0), 0, 1, 3)
    assert (made.candidates, made.rungs, made.seeds) == (["c0", "c1", "c2"], [], 1)
    assert (made.final_step, made.seconds) == (50, 0)


def test_a_short_run_is_trained_to_its_end_and_no_further():
    made = halving.plan(costs(9, steps=130), 1000, 1, 3)
    assert made.final_step == 130
    assert all(rung.step <= 130 for rung in made.rungs)


def test_the_best_go_on_and_of_equals_the_first():
    assert halving.survivors({"a": 1.0, "b": 2.0, "c": 2.0, "d": -1.0}, 3) == ["b", "c", "a"]
