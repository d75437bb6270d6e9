"""Runs of a stack that end, diverge, go back or go on from a checkpoint: the others do not notice."""

from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from stack_cases import assert_close, of, pair, trained

from vaekl.model.likelihoods import (
    Gaussian,
)
from vaekl.model.weighting import FixedBeta
from vaekl.store import checkpoint
from vaekl.training import stack
from vaekl.training.divergence import DivergedError


def test_a_run_that_ends_or_diverges_changes_no_bit_of_the_others():
    makes = [partial(of, Gaussian, FixedBeta, beta=0.1, seed=seed) for seed in range(3)]
    whole, others = pair(makes)
    trained(whole)

    def train(trainer):
        if trainer is others[0]:
            with torch.no_grad():
                trainer.model.decoder[0].weight[0] = torch.nan
        if trainer is others[2]:
            trainer.request_stop()  # ends after its first step
        trainer.fit()

    errors, _ = trained(others, train)
    assert list(errors) == [0] and others[2].step == 1
    for key, value in whole[1].model.state_dict().items():
        assert torch.equal(value, others[1].model.state_dict()[key])


def test_a_run_that_goes_back_to_its_checkpoint_changes_no_bit_of_the_others():
    makes = [partial(of, Gaussian, FixedBeta, beta=0.1, seed=seed) for seed in range(3)]
    whole, others = pair(makes)
    trained(whole)
    again, alone = (trainers[1] for trainers in pair(makes))
    alone.callbacks = [_StopsAt(5)]
    alone.fit()
    state = deepcopy(alone.state_dict())
    for trainer in (again, alone):
        trainer.load_state_dict(state)
        trainer.callbacks, trainer.stop_requested, trainer.restores = [], False, 1

    def train(trainer):
        if trainer is others[1]:
            trainer.callbacks = [_BreaksAt(10)]
        trainer.fit()

    def run(number):
        try:
            with stack.joined(others[number]):
                train(others[number])
        except DivergedError:
            others[number] = again
            with stack.joined(again):
                again.fit()

    stack.train([partial(run, number) for number in range(3)], pytest.fail)
    assert others[1] is again and again.step == 20
    for place in (0, 2):
        for key, value in whole[place].model.state_dict().items():
            assert torch.equal(value, others[place].model.state_dict()[key])
    alone.fit()
    assert_close([again], [alone])


class _BreaksAt:
    def __init__(self, step):
        self.step = step

    def __getattr__(self, hook):
        def call(trainer, *_):
            if trainer.step == self.step:
                with torch.no_grad():
                    trainer.model.decoder[0].weight[0] = torch.nan

        return call


def test_a_stack_goes_on_from_checkpoints_at_different_steps_to_the_same_bits(tmp_path):
    makes = [partial(of, Gaussian, FixedBeta, beta=0.1, seed=seed) for seed in range(3)]
    whole, parts = pair(makes, patience=None)
    trained(whole)
    states = {}

    def part(trainer):
        number = parts.index(trainer)
        trainer.plan = replace(trainer.plan, valid_every=1)
        trainer.callbacks = [_StopsAt(4 + 3 * number)]
        trainer.fit()
        checkpoint.save(tmp_path / f"{number}.pt", trainer.state_dict())
        states[number] = checkpoint.load(tmp_path / f"{number}.pt")

    trained(parts, part)
    again = pair(makes)[0]
    for number, trainer in enumerate(again):
        trainer.load_state_dict(states[number])
        assert trainer.step == 4 + 3 * number
    trained(again)
    for one, other in zip(whole, again, strict=True):
        for key, value in one.model.state_dict().items():
            assert torch.equal(value, other.model.state_dict()[key])
    # and a run of a stack goes on alone
    alone = pair(makes)[0][1]
    alone.load_state_dict(states[1])
    alone.fit()
    assert_close([alone], [whole[1]])


class _StopsAt:
    def __init__(self, step):
        self.step = step

    def __getattr__(self, hook):
        def call(trainer, *_):
            if trainer.step >= self.step:
                trainer.request_stop()

        return call
