"""Steps of stacks by a tape: the same bits, and none where a step may be more than its kernels."""

from functools import partial

import pytest
import torch
from stack_cases import of, of_people, pair, people, trained
from test_stack import CASES
from torch import nn

from vaekl.model.likelihoods import Gaussian
from vaekl.model.weighting import FixedBeta, FixedDispersion
from vaekl.training import tape, taped_gradient
from vaekl.training.tape import NotRecordableError, Tape


@pytest.fixture
def plays(monkeypatch):
    """How many steps were played."""
    played, play = [], Tape.play

    def counted(self):
        played.append(self)
        play(self)

    monkeypatch.setattr(Tape, "play", counted)
    return played


def stacked(makes, *data, **options):
    """The runs of a stack at their end."""
    runs, _ = pair(makes, *data, **options)
    assert trained(runs) == ({}, [])
    return runs


def assert_same_bits(one, other):
    for first, second in zip(one, other, strict=True):
        for key, value in first.state_dict()["model"].items():
            assert torch.equal(value, second.state_dict()["model"][key]), key
        assert torch.equal(first.rows.nan_to_num(), second.rows.nan_to_num())


@pytest.mark.parametrize("makes", CASES.values(), ids=CASES)
def test_a_tape_changes_no_bit(makes, plays, monkeypatch):
    assert_played_to_the_bit(partial(stacked, makes, clip_norm=1.0), plays, monkeypatch)


def test_a_tape_of_tables_changes_no_bit(tmp_path, plays, monkeypatch):
    data = people(tmp_path)
    makes = [partial(of_people, data, seed) for seed in (0, 1)]
    assert_played_to_the_bit(partial(stacked, makes, data), plays, monkeypatch)


def assert_played_to_the_bit(train, plays, monkeypatch):
    played = train()
    assert len(plays) == 20  # of twenty steps the first is recorded, and the second is played twice, once to compare
    monkeypatch.setattr(taped_gradient, "foreign_part", lambda value: "another")
    plays.clear()
    assert_same_bits(played, train())
    assert not plays


class Foreign(FixedDispersion):
    """A weighting of another program than vaekl's."""


def hooked(seed):
    """A model with a function of another program in a part of its encoder."""
    model = of(Gaussian, FixedBeta, beta=0.1, seed=seed)
    model.encoder[0].register_forward_hook(lambda module, args, output: output + 1)
    return model


@pytest.mark.parametrize("make", [partial(of, Gaussian, Foreign), hooked], ids=["weighting", "hook"])
def test_what_another_program_computes_is_not_played(make, plays):
    makes = [partial(make, seed=0), partial(make, seed=0)]
    stacked(makes)
    assert not plays


class Alternates(FixedDispersion):
    """Doubles its loss from the second step on: one is taken by each of two runs alone and one by both, to compare."""

    def __init__(self, likelihood, shape):
        super().__init__(likelihood, shape)
        self.steps = [0]

    def loss(self, terms, multiplier, penalty=None):
        self.steps[0] += 1
        return super().loss(terms, multiplier, penalty) * (1 + (self.steps[0] > 2 + 1 + 1))


def test_a_step_that_is_another_one_than_before_is_not_played_again(plays, monkeypatch):
    monkeypatch.setattr(taped_gradient, "foreign_part", lambda value: None)
    shared = of(Gaussian, Alternates).weighting.steps

    def make(seed):
        model = of(Gaussian, Alternates, seed=seed)
        model.weighting.steps = shared
        return model

    stacked([partial(make, 0), partial(make, 1)])
    assert len(plays) == 1  # for the comparison


def test_a_step_that_cannot_be_recorded_is_taken_by_its_program(plays, monkeypatch):
    def fail(*args):
        raise TypeError("an operator that no tape knows")

    monkeypatch.setattr(tape, "_into", fail)
    unrecorded = stacked(CASES["optimal"])
    assert not plays
    monkeypatch.undo()
    assert_same_bits(unrecorded, stacked(CASES["optimal"]))


def test_a_step_with_results_beyond_the_limit_is_not_played(plays, monkeypatch):
    monkeypatch.setattr(taped_gradient, "_LARGEST", 1000)
    stacked(CASES["fixed_beta"])
    assert not plays


def of_all_kinds(x, weight, sums):
    """Views, changes in place, results in several parts, and an operator without a place for its result."""
    a, b = (x @ weight).relu_().chunk(2, 1)
    largest, place = a.max(1)
    sums += b.sum(0)
    c = torch.cat([a.t().contiguous().view(-1), b.reshape(-1)]).to(torch.float64)
    ones, zeros, two = torch.ones_like(a), torch.zeros(3), torch.tensor(2.0)
    made = ones.add_(nn.functional.softplus(b)), zeros.add_(b[0]), two.add_(b[1, 1]), a[torch.tensor([2, 0])]
    return c.cumsum(0), largest, place, *made, torch.aminmax(b, dim=1).max


def test_a_tape_computes_from_what_the_memory_holds_then():
    draw = torch.Generator().manual_seed(0)
    x, weight, sums = torch.randn(5, 4, generator=draw), torch.randn(4, 6, generator=draw), torch.zeros(3)
    with Tape() as played:
        results = of_all_kinds(x, weight, sums)
    for _ in range(3):
        x.copy_(torch.randn(5, 4, generator=draw))
        before = sums.clone()
        expected = of_all_kinds(x, weight, before)
        played.play()
        for one, other in zip((*results, sums), (*expected, before), strict=True):
            assert torch.equal(one, other)


def picked_by_mask(x):
    return x.view(1)[x.view(1) > 0]


REFUSED = [torch.Tensor.item, torch.Tensor.nonzero, torch.Tensor.exponential_, picked_by_mask]


@pytest.mark.parametrize("function", REFUSED)
def test_a_tape_takes_no_values_and_no_random_numbers(function):
    with pytest.raises(NotRecordableError), Tape():
        function(torch.ones(()))


def test_an_operator_may_change_an_argument_and_give_a_result_of_its_own():
    x, noise, draw = torch.randn(4), torch.empty(4), torch.Generator().manual_seed(0)
    with Tape(draws=True) as played:
        result = torch.ops.aten.rrelu_with_noise(x, noise, 0.1, 0.3, True, draw)
    for _ in range(3):
        x.copy_(torch.randn(4, generator=draw))
        played.play()
        assert torch.equal(result, torch.where(x > 0, x, x * noise)) and (noise[x <= 0] < 0.3).all()


def test_nothing_is_kept_beyond_a_limit():
    x = torch.ones(100)
    with Tape(limit=1000):
        x.mul(2).view(10, 10)
        x.mul_(2)
    with pytest.raises(NotRecordableError, match="more than 700 bytes"), Tape(limit=700):
        x.mul(2).mul(2)
