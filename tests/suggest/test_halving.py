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


def test_each_rung_is_twice_as_far():
    assert [rung.step for rung in halving.rungs(100, 50)] == [50, 100, 200]


def test_a_plan_takes_no_longer_than_the_budget_and_uses_most_of_it():
    for jobs in (1, 2, 8):
        for budget in (60, 300, 1000):
            made = halving.plan(costs(26, steps=10**6), budget, jobs)
            # a quarter of the finalists' time is for their other seeds
            assert 0.6 * budget < made.seconds <= 0.8 * budget
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


def test_finalists_go_as_far_as_three_quarters_of_the_time_reach():
    # 0.93 of 50 s, of it 0.75: 11.6 s for each of three. To step 1,150 a run takes 0.2 to start, 1,100 steps of 0.01,
    # and 5 looks of 0.05 (100, 200, 400, 800 and the last); to step 1,200 it would take 11.95
    assert halving.plan(costs(3), 50, 1).final_step == 1150


def test_a_smaller_budget_has_fewer_candidates():
    kept = [halving.plan(costs(26), budget, 1) for budget in (400, 40, 10, 2)]
    assert [len(made.candidates) for made in kept] == sorted((len(made.candidates) for made in kept), reverse=True)
    assert len(kept[0].candidates) == 26
    assert len(kept[-1].candidates) < 4
    assert kept[2].candidates == [f"c{place}" for place in range(len(kept[2].candidates))]


def test_a_budget_for_nothing_compares_what_there_is():
    made = halving.plan(costs(26, start=1.0), 0, 1)
    assert (made.candidates, made.rungs, made.seeds) == (["c0", "c1", "c2"], [], 1)
    assert (made.final_step, made.seconds) == (50, 0)


def test_a_short_run_is_trained_to_its_end_and_no_further():
    made = halving.plan(costs(9, steps=130), 1000, 1)
    assert made.final_step == 130
    assert all(rung.step <= 130 for rung in made.rungs)


def test_many_outputs_cost_what_the_line_through_the_others_says():
    # 0.001 for each output: (0.016 − 0.002)/14
    assert halving.step_seconds({1: 0.002, 2: 0.5, 15: 0.016}, 256) == pytest.approx(0.257)
    assert halving.step_seconds({2: 0.004}, 256) == pytest.approx(0.512)


def test_the_best_of_those_that_learn_slowest_stays_in_the_last_place():
    goals = {"a": 5.0, "b": 4.0, "c": 3.0, "mixture": 1.0, "wider": 2.0}
    outputs = {"a": 1, "b": 1, "c": 2, "mixture": 15, "wider": 15}
    assert halving.survivors(goals, 3, outputs) == ["a", "b", "wider"]
    assert halving.survivors(goals | {"mixture": 6.0}, 3, outputs) == ["mixture", "a", "b"]
    assert halving.survivors(goals, 1, outputs) == ["a"]
    # two outputs, a mean and a scale, are not many
    assert halving.survivors({"a": 2.0, "b": 1.5, "c": 1.0}, 2, {"a": 1, "b": 1, "c": 2}) == ["a", "b"]


def test_the_best_go_on_and_of_equals_the_first():
    assert halving.survivors({"a": 1.0, "b": 2.0, "c": 2.0, "d": -1.0}, 3) == ["b", "c", "a"]


def test_who_cannot_reach_the_best_any_more_ends():
    best, second = {50: 8.0, 100: 10.0}, {50: 7.0, 100: 9.0}
    # two doublings to step 400: one that gained 2 with the last reaches 6 + 4, one that gained 1 does not
    curves = {"best": best, "second": second, "steep": {50: 4.0, 100: 6.0}, "flat": {50: 5.0, 100: 6.0}}
    assert halving.hopeful(curves, 400) == ["best", "second", "steep"]
    assert halving.hopeful(curves, 200) == ["best", "second"]
    # nothing is known of the curve of one that has just begun
    assert halving.hopeful(curves | {"new": {100: -50.0}}, 200) == ["best", "second", "new"]
    # the best two stay, so that there is something to compare
    assert halving.hopeful({"best": best, "falling": {50: 3.0, 100: 1.0}}, 400) == ["best", "falling"]
