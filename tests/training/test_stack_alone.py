"""Runs of a stack that must not see each other: what a user's model keeps to itself, and what ends a step."""

from functools import partial

import pytest
import torch
from stack_cases import of, pair, trained
from torch import nn

from vaekl.model.likelihoods import Gaussian
from vaekl.model.weighting import FixedBeta, FixedDispersion
from vaekl.training.joint import JointStep


class Late(FixedDispersion):
    """Weighs the KL by 1 for three steps, and then by a number that only a function holds."""

    def __init__(self, likelihood, shape, late=1.0):
        super().__init__(likelihood, shape)
        self.register_buffer("calls", torch.zeros(()))
        self.weigh = lambda calls: torch.where(calls < 3, 1.0, late)

    def loss(self, terms, multiplier, penalty=None):
        self.calls.copy_(self.calls + 1)
        return super().loss(terms, multiplier * self.weigh(self.calls), penalty)


def assert_equal(together, alone):
    for one, other in zip(together, alone, strict=True):
        for key, value in one.model.state_dict().items():
            assert torch.equal(value, other.model.state_dict()[key]), key


def test_runs_with_functions_of_their_own_take_their_steps_alone():
    together, alone = pair([partial(of, Gaussian, Late, late=late) for late in (1.0, 50.0)])
    errors, lines = trained(together)
    assert not errors and lines == ["  2 of 2 runs take their steps alone: no other run here has such a model"]
    for trainer in alone:
        trainer.fit()
    assert_equal(together, alone)


def dropping(seed):
    """A model whose steps draw numbers, so that each run takes its own alone."""
    model = of(Gaussian, FixedBeta, beta=0.1, seed=seed)
    model.encoder.insert(0, nn.Dropout(0.3))
    return model


def test_dropout_draws_for_each_run_what_it_draws_by_itself():
    together, alone = pair([partial(dropping, seed) for seed in (0, 1)])

    def train(trainer):
        torch.manual_seed(trainer.seed)  # as building a run does
        trainer.fit()

    errors, (line,) = trained(together, train)
    assert not errors and "2 of 2 runs take their steps alone" in line
    for trainer in alone:
        train(trainer)
    assert_equal(together, alone)


def test_an_error_in_the_step_of_all_is_an_error_of_each_run(monkeypatch):
    together, _ = pair([partial(of, Gaussian, FixedBeta, beta=0.1, seed=seed) for seed in (0, 1)])
    take, count = JointStep.take, 0

    def full(self, *args):
        nonlocal count
        count += 1
        if count == 3:
            raise MemoryError("no room")
        return take(self, *args)

    monkeypatch.setattr(JointStep, "take", full)
    errors, _ = trained(together)
    assert {place: str(error) for place, error in errors.items()} == {0: "no room", 1: "no room"}
    assert [trainer.step for trainer in together] == [2, 2]


def test_an_error_in_a_step_alone_ends_that_run_only():
    together, _ = pair([partial(dropping, seed) for seed in (0, 1)])

    def fail(batch, rates=None):
        raise RuntimeError("broken")

    together[0].take_alone = fail
    errors, _ = trained(together)
    assert {place: str(error) for place, error in errors.items()} == {0: "broken"} and together[1].finished


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (torch.optim.SGD, [{"lr": 1, "momentum": 0}, {"lr": 0.01, "momentum": 0.9}]),
        (torch.optim.Adam, [{"lr": 0.001}, {"lr": 0.01, "amsgrad": True}]),
    ],
)
def test_the_optimiser_of_a_run_remembers_what_it_would_alone(kind, settings):
    together, alone = pair([partial(of, Gaussian, FixedBeta, beta=0.1, seed=seed) for seed in (0, 1)])
    for trainers in (together, alone):
        for trainer, own in zip(trainers, settings, strict=True):
            trainer.__init__(
                trainer.model, kind(trainer.model.parameters(), **own), trainer.schedule, trainer.lr_schedule,
                trainer.data, trainer.plan, trainer.seed,
            )  # fmt: skip
    errors, lines = trained(together)
    assert not errors and not lines
    for one, other in zip(together, alone, strict=True):
        other.fit()
        own, lone = one.optimizer.state_dict(), other.optimizer.state_dict()
        assert [type(group["lr"]) for group in own["param_groups"]] == [float]
        assert own["state"].keys() == lone["state"].keys()
        for key, memory in lone["state"].items():
            assert own["state"][key].keys() == memory.keys()
            for name, value in memory.items():
                torch.testing.assert_close(own["state"][key][name], value, rtol=1e-3, atol=1e-5)
