"""Who is best and whether that is chance, with made-up scores; and what φ is as a weight, against closed forms."""

import numpy as np
import pytest

from vaekl.store.suggest_schema import Point
from vaekl.suggest.candidates import Candidate
from vaekl.suggest.verdict import Result, as_record, crossing, seeds_spread, verdict


def point(nats, step=100, **more):
    figures = {
        "goal": nats, "elbo_nats": nats, "kl_nats": 1.0, "dispersion": 0.01, "implied_sigma": 0.1, "rmse": 0.1,
        "effective_beta_kl": 0.01, "active_units": 3,
    }  # fmt: skip
    return Point(step=step, nats=nats, **(figures | more))


def result(name, *nats, **more):
    return Result(Candidate((f"likelihood={name}",), 20), tuple(point(one, **more) for one in nats))


def test_the_best_is_certain_only_beyond_the_spread_of_the_seeds():
    near = verdict([result("a", 10.0, 11.0, 12.0), result("b", 10.5, 11.5, 12.5)])
    assert near.best.candidate.likelihood == "b"
    assert not near.is_certain
    # the pooled standard deviation is 1, so that of a difference of two means of three is √(2/3)
    assert near.gaps[0].goal == pytest.approx(0.5)
    assert near.gaps[0].error == pytest.approx((2 / 3) ** 0.5)
    assert verdict([result("a", 10.0, 11.0, 12.0), result("b", 20.0, 21.0, 22.0)]).is_certain


def test_one_seed_says_nothing_of_chance():
    alone = verdict([result("a", 10.0), result("b", 20.0)])
    assert alone.best.candidate.likelihood == "b"
    assert alone.gaps[0].error is None and not alone.is_certain
    assert seeds_spread(alone.results) is None


def test_seeds_that_ended_earlier_say_how_far_seeds_differ():
    def ended(name, last, *earlier):
        repeats = tuple(point(nats, 50) for nats in earlier)
        return Result(Candidate((f"likelihood={name}",), 20), (point(last),), repeats)

    apart = verdict([ended("a", 10.0, 1.0, 3.0), ended("b", 30.0, 5.0, 5.0)])
    # a variance of (1 + 1)/2 with two degrees of freedom, and one run of each at the last step
    assert apart.gaps[0].goal == 20.0 and apart.gaps[0].error == pytest.approx(2**0.5)
    assert apart.gaps[0].freedom == 2 and apart.is_certain
    assert apart.best.dispersion[1] == 0.0
    assert not verdict([ended("a", 10.0, 1.0, 3.0), ended("b", 15.0, 5.0, 5.0)]).is_certain  # below 4.3 · √2


def test_few_validation_examples_make_a_difference_uncertain():
    def scored(name, scores):
        return result(name, float(np.mean(scores)), float(np.mean(scores)), scores=list(scores))

    even, uneven = [1.0, 1.0, 1.0, 1.0], [-6.0, 10.0, -5.0, 9.0]
    assert verdict([scored("a", even), scored("b", [2.0, 2.0, 2.0, 2.0])]).is_certain
    apart = verdict([scored("a", even), scored("b", uneven)])
    difference = np.array(uneven) - np.array(even)
    assert apart.gaps[0].error == pytest.approx(difference.std(ddof=1) / 2)
    assert not apart.is_certain


def test_a_record_says_how_far_behind_in_the_unit_of_the_aim():
    made = verdict([result("a", 1.0, 3.0, goal=-0.2), result("b", 5.0, 7.0, goal=-0.1)], density=False)
    best, behind = as_record(made, None)
    assert (best["behind_nats"], best["behind_goal"]) == (0.0, 0.0)
    assert (behind["behind_nats"], behind["behind_goal"], behind["behind_goal_error"]) == (4.0, pytest.approx(0.1), 0.0)
    assert (behind["seeds"], behind["step"], behind["seeds_step"]) == (2, 100, 100)


def test_seeds_are_pooled_over_candidates():
    spread = seeds_spread([result("a", 0.0, 2.0), result("b", 10.0, 14.0)])
    assert spread == pytest.approx(((1 + 1 + 4 + 4) / 2) ** 0.5)


def test_the_dispersion_is_the_geometric_mean_over_the_seeds():
    one = Result(Candidate(("likelihood=gaussian",), 8), (point(1.0, dispersion=0.01), point(1.0, dispersion=0.04)))
    phi, spread = one.dispersion
    assert phi == pytest.approx(0.02)
    assert spread == pytest.approx(0.02 * np.log([0.01, 0.04]).std(ddof=1))


def test_curves_that_would_cross_say_where():
    best = {50: point(10.0, 50), 100: point(12.0, 100)}
    # gains 2 more for each doubling, and is 1 behind: half a doubling from now
    other = {50: point(7.0, 50), 100: point(11.0, 100)}
    assert crossing(best, other) == round(100 * 2**0.5)
    assert crossing(best, {50: point(9.5, 50), 100: point(11.0, 100)}) is None
    assert crossing(best, {100: point(11.0, 100)}) is None
