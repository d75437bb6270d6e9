"""Every multiplier stays in its range and ends at 1 inside the run, or is refused."""

from itertools import pairwise
from math import isclose

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

from vaekl.system.errors import VaeklError
from vaekl.training.schedules import ConstantSchedule, CyclicalSchedule, LearningRateSchedule, LinearSchedule

TOTALS = (2, 3, 7, 10, 100, 1009)


def multipliers(schedule):
    return [schedule(step) for step in range(schedule.total_steps)]


@pytest.mark.parametrize("total", [1, *TOTALS])
def test_constant_is_one(total):
    assert multipliers(ConstantSchedule(total)) == [1.0] * total


def allowed(kind, totals=TOTALS, **options):
    """Every such schedule that is not refused."""
    for total in totals:
        for values in _grid(options):
            try:
                yield kind(total, **values)
            except VaeklError:
                continue


def _grid(options):
    grid = [{}]
    for key, values in options.items():
        grid = [{**chosen, key: value} for chosen in grid for value in values]
    return grid


LINEAR = [
    *allowed(LinearSchedule, fraction=(0.01, 0.25, 0.5, 0.9, 0.99, 0.999), start=(0.0, 0.3, 1.0)),
    *allowed(LinearSchedule, steps=(1, 2, 6, 9, 99), start=(0.0, 0.3)),
]
CYCLICAL = list(allowed(CyclicalSchedule, cycles=(1, 2, 3, 4, 7), ramp=(0.1, 0.5, 0.8, 0.97)))


@pytest.mark.parametrize("schedule", LINEAR, ids=str)
def test_linear_rises_in_a_line_from_its_start_to_one_inside_the_run(schedule):
    values = multipliers(schedule)
    assert values[0] == schedule.start
    assert values[-1] == 1.0
    assert all(before <= after for before, after in pairwise(values))
    assert 0 <= min(values) <= max(values) <= 1
    below = [value for value in values if value < 1]
    rises = [after - before for before, after in pairwise(below)]
    assert all(isclose(rise, rises[0], rel_tol=1e-9) for rise in rises)


def test_linear_by_hand():
    assert multipliers(LinearSchedule(8, fraction=0.5, start=0.2)) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1])
    assert multipliers(LinearSchedule(5, steps=2)) == [0.0, 0.5, 1.0, 1.0, 1.0]
    assert LinearSchedule(5, steps=2)(10**9) == 1.0


@pytest.mark.parametrize("schedule", CYCLICAL, ids=str)
def test_cyclical_begins_at_zero_in_each_cycle_and_each_cycle_reaches_one(schedule):
    values = multipliers(schedule)
    assert values[0] == 0
    assert values[-1] == pytest.approx(1, abs=1e-12)
    assert 0 <= min(values) <= max(values) <= 1
    cycles = [[] for _ in range(schedule.cycles)]
    for step, value in enumerate(values):
        cycles[step * schedule.cycles // schedule.total_steps].append(value)
    for cycle in cycles:
        assert cycle == sorted(cycle)
        assert cycle[-1] == pytest.approx(1, abs=1e-12)


def test_cyclical_by_hand():
    assert multipliers(CyclicalSchedule(12, cycles=2, ramp=0.5)) == pytest.approx([0, 1 / 3, 2 / 3, 1, 1, 1] * 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LinearSchedule(100, steps=100), ("schedule.steps=100", "run of 100 steps", "trainer.epochs")),
        (lambda: LinearSchedule(100, steps=5000), ("schedule.steps=5000", "run of 100 steps")),
        (lambda: LinearSchedule(100, steps=0), ("schedule.steps=0", "choose")),
        (lambda: LinearSchedule(100, fraction=1.0), ("schedule.fraction=1.0", "choose a smaller number")),
        (lambda: LinearSchedule(100, fraction=0.0), ("schedule.fraction=0.0",)),
        (lambda: LinearSchedule(10, fraction=0.95), ("schedule.fraction=0.95", "run of 10 steps")),
        (lambda: LinearSchedule(1), ("schedule.fraction=0.25", "run of 1 steps")),
        (lambda: LinearSchedule(100, start=1.5), ("schedule.start", "[0, 1]", "1.5")),
        (lambda: LinearSchedule(100, start=-0.1), ("schedule.start",)),
        (lambda: CyclicalSchedule(7, cycles=4), ("4 cycles", "run of 7 steps", "schedule.cycles", "schedule.ramp")),
        (lambda: CyclicalSchedule(8, cycles=2, ramp=0.8), ("2 cycles", "schedule.ramp")),
        (lambda: CyclicalSchedule(100, cycles=0), ("schedule.cycles", "whole number")),
        (lambda: CyclicalSchedule(100, cycles=1.5), ("schedule.cycles", "1.5")),
        (lambda: CyclicalSchedule(100, ramp=1.0), ("schedule.ramp",)),
        (lambda: LearningRateSchedule(10, warmup_steps=10), ("lr_schedule.warmup_steps=10", "run of 10 steps")),
        (lambda: LearningRateSchedule(10, warmup_steps=-1), ("lr_schedule.warmup_steps", "whole number", "-1")),
        (lambda: LearningRateSchedule(10, final=1.1), ("lr_schedule.final", "1.1")),
    ],
)
def test_what_cannot_finish_inside_the_run_is_refused(make, words):
    with pytest.raises(VaeklError) as caught:
        make()
    sentence = str(caught.value)
    assert all(word in sentence for word in words), sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("final", [0.0, 0.01, 0.5, 1.0])
def test_learning_rate_is_torch_s_cosine(total, final):
    ours, theirs = (torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3) for _ in range(2))
    scheduler = LambdaLR(ours, LearningRateSchedule(total, final=final))
    reference = CosineAnnealingLR(theirs, T_max=total - 1, eta_min=final * 0.3)
    for _ in range(total):
        assert scheduler.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-9, abs=1e-12)
        for optimizer in (ours, theirs):
            optimizer.step()
        scheduler.step()
        reference.step()
    assert LearningRateSchedule(total, final=final)(10 * total) == final


def test_warm_up_rises_in_a_line_and_then_the_cosine_begins():
    warm = LearningRateSchedule(14, warmup_steps=4, final=0.1)
    assert multipliers(warm)[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert multipliers(warm)[4:] == multipliers(LearningRateSchedule(10, final=0.1))
