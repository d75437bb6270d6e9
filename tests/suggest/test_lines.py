"""What a suggestion says of families that do not fit, and of its plan."""

from vaekl.store.suggest_schema import Planned, PlannedRung
from vaekl.suggest.lines import plan_line, unfit_lines

HOLDS = ", but dataset=wine (as stored) holds real values: use likelihood=gaussian."


def test_families_with_one_reason_have_one_line():
    reasons = {"cb": "takes grey values in [0, 1]", "poisson": "takes counts", "beta": "takes grey values in [0, 1]"}
    unfit = {name: f"likelihood={name} {why}{HOLDS}" for name, why in reasons.items()}
    unfit["laplace"] = "likelihood=laplace measures these data otherwise."
    assert unfit_lines(unfit) == [
        "2, each of which takes grey values in [0, 1]: cb, beta",
        "poisson takes counts",
        "laplace measures these data otherwise",
    ]


def test_the_plan_says_what_becomes_of_the_candidates():
    rungs = [PlannedRung(step=100, entrants=26, kept=9), PlannedRung(step=200, entrants=9, kept=3)]
    plan = Planned(budget=60, candidates=[], rungs=rungs, finalists=3, final_step=1200, seconds=50)
    assert plan_line(plan, 3, 2) == (
        "26 candidates to step 100, then the best 9 to step 200, then the best 3 to about step 1,200, then these with "
        "other seeds as time allows; 2 at a time"
    )
    few = Planned(budget=60, candidates=[], rungs=[], finalists=2, final_step=50, seconds=50)
    assert plan_line(few, 1, 1) == "2 candidates to about step 50; 1 at a time"
