"""Who goes on, to which step and with which seeds, on made-up learning curves and a clock that they move."""

from math import log2

import pytest

from vaekl.store.suggest_schema import Cost, Look, Point
from vaekl.suggest import search as searching
from vaekl.suggest import session
from vaekl.suggest.candidates import candidates
from vaekl.suggest.options import parse
from vaekl.suggest.search import Search
from vaekl.system.console import Console

#: nats at step 100 and what each doubling of the steps gains
CURVES = {
    "gaussian": (10.0, 1.0),
    "laplace": (11.0, 1.0),
    "cb": (20.0, 2.0),
    "beta": (19.5, 2.0),
    "mixture": (-11.0, 11.0),
}
OUTPUTS = {"gaussian": 1, "laplace": 1, "cb": 1, "beta": 2, "mixture": 15}
EVERY, STEPS, STEP = 100, 6400, 0.001


class Clock:
    def __init__(self):
        self.now = 1e9

    def time(self):
        return self.now


class MadeUp(Search):
    """A search whose runs are curves: seconds go by, and nothing is trained."""

    def __init__(self, options, folder, clock, used=4):
        super().__init__(options, folder, Console())
        self.clock, self.used, self.known, self.trained = clock, used, {}, []

    def at_once(self, runs):
        return 1

    def keep(self):
        pass

    def points(self, one, seed):
        return self.known.get((one, seed), {})

    def train(self, runs, step, costs):
        for one, seed in runs:
            before, own = self.step_of(one, seed), self.known.setdefault((one, seed), {})
            if step in own:
                continue
            self.trained.append((one.likelihood, one.latents, seed, step))
            self.clock.now += costs[one].step * (step - before)
            for look in [*(look for look in searching.halving.grid(EVERY, STEPS) if before < look < step), step]:
                own[look] = self.point(one, seed, look)
        return {run: self.points(*run)[step] for run in runs}

    def point(self, one, seed, step):
        first, gain = CURVES[one.likelihood]
        wider = 5.0 if one.latents > 4 else 0.0
        nats = first + gain * log2(step / 100) + wider + 0.01 * seed
        return Point(
            step=step, nats=nats, goal=nats, elbo_nats=nats, kl_nats=1, dispersion=1, implied_sigma=1, rmse=1,
            effective_beta_kl=1, active_units=self.used, scores=[nats, nats + 0.1],
        )  # fmt: skip


@pytest.fixture
def made(tmp_path, monkeypatch):
    clock = Clock()
    for module in (searching, session):
        monkeypatch.setattr(module, "time", clock)

    def of(budget, *words, used=2):
        look = Look(
            name="digits", example="image", shape=[1, 8, 8], stored="levels", levels=17, train=1000, valid=500,
            auto="cb", why="", protocol="", ruler=True, labelled=False, eigenvalues=[], forecast="", held=[],
            reference=["likelihood=cb", "weighting=fixed_beta", "weighting.beta=1"],
            fitting={name: [[f"likelihood={name}"]] for name in CURVES}, outputs=OUTPUTS, unfit={},
        )  # fmt: skip
        search = MadeUp(parse(["dataset=digits", f"budget={budget}s", *words]), tmp_path, clock, used)
        search.state.look = look
        wanted = candidates(look, 4)
        costs = dict.fromkeys(wanted, Cost(start=0, step=STEP, judge=0, parameters=10, steps=STEPS, every=EVERY))
        search.state.costs = {one.label: cost for one, cost in costs.items()}
        for one in wanted:
            search.known[(one, 0)] = {EVERY: search.point(one, 0, EVERY)}
        return search, look, costs

    return of


def test_what_learns_slowest_stays_and_is_suggested(made):
    """After 400 steps the mixture is last; at the end of a run it would have 55 nats and cb 32."""
    search, look, costs = made(10)
    _, verdict, _ = search._halved(look, costs)
    (rung,) = search.state.plan.rungs
    assert rung.step == 400 and rung.kept == 3  # where it is last still: 11 nats beside 12, 13, 23.5 and 24
    assert verdict.best.candidate.likelihood == "mixture"
    assert search.state.plan.ended == ["likelihood=mixture model.latents=4", "likelihood=cb model.latents=4"]
    assert search.seconds <= 10


def test_the_spread_of_seeds_is_of_a_third_of_the_way_at_least(made):
    search, look, costs = made(40)
    _, verdict, _ = search._halved(look, costs)
    plan = search.state.plan
    assert plan.seeds == 3 and 3 * plan.seeds_step >= plan.final_step_taken
    assert {seed for _, _, seed, _ in search.trained} == {0, 1, 2}
    assert all(len(result.seeds) == 3 for result in verdict.results)
    # 0.01 and 0.02 nats above the first seed: a standard deviation of 0.01
    assert verdict.best.seeds[1].nats - verdict.best.seeds[0].nats == pytest.approx(0.01)


def test_time_is_kept_back_for_the_other_seeds(made):
    search, look, costs = made(18)
    search._halved(look, costs)
    assert search.state.plan.seeds >= 2 and search.state.plan.final_step_taken < STEPS


def test_without_time_for_an_eighth_of_the_way_there_is_one_seed_and_no_certainty(made, monkeypatch):
    monkeypatch.setattr(searching.halving, "FOR_SEEDS", 0.0)
    search, look, costs = made(30)
    monkeypatch.setattr(MadeUp, "needs", lambda self, runs, step, costs: 0.0 if step <= EVERY else 1e9)
    _, verdict, usual = search._halved(look, costs)
    assert search.state.plan.seeds == 1 and not verdict.is_certain and verdict.gaps[0].error is None
    assert [one.likelihood for one in usual] == ["cb", "gaussian"]  # what people use is trained all the same


def test_what_people_use_is_trained_where_one_seed_is_wanted(made):
    search, look, costs = made(30, "seeds=1")
    _, verdict, usual = search._halved(look, costs)
    words = {one.words for one in usual}
    assert ("likelihood=cb", "weighting=fixed_beta", "weighting.beta=1") in words and ("likelihood=gaussian",) in words
    assert {seed for _, _, seed, _ in search.trained} == {0}
    # at one step with the best
    for result in usual.values():
        assert result.points[0].step in search.points(verdict.best.candidate, 0)


def test_all_latents_used_the_wider_one_is_a_finalist_and_may_win(made):
    search, look, costs = made(30, used=4)
    _, verdict, usual = search._halved(look, costs)
    best = verdict.best.candidate
    assert best.latents == 8
    assert all(one.latents == 4 for one in usual)
    assert len(usual) == 2


def test_a_plan_of_an_earlier_session_without_its_finalists_is_gone_on_with(made):
    search, look, costs = made(30)
    search._halved(look, costs)
    search.state.plan.ended = []
    _, verdict, _ = search._halved(look, costs)
    assert verdict.best.candidate.likelihood == "mixture"
