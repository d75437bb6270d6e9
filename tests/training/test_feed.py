"""The batches of a stack's runs: to the bit those that each run would draw by itself."""

from functools import partial

import pytest
import torch
from helpers import grey, model_of, trainer_of

from vaekl.data import Data, DataSpec, Split
from vaekl.data.scaling import Scaling
from vaekl.data.standardize import Standardized
from vaekl.data.transforms import AsStored, Binarize, Compose, Dequantize, Levels, Scale
from vaekl.data.warp import Warp
from vaekl.model.likelihoods import Gaussian
from vaekl.model.weighting import FixedBeta
from vaekl.training import stack
from vaekl.training.joint import JointStep
from vaekl.training.trainer import Trainer

LEVELS = (grey(52) * 16).round().to(torch.uint8)
SCALED = Standardized(Scaling(torch.full((1, 1, 1), 0.4), torch.full((1, 1, 1), 0.2), "data"))
TRANSFORMS = {
    "as stored": AsStored(),
    "levels": Levels(),
    "scale": Scale(16),
    "dequantize": Dequantize(16),
    "binarize": Binarize(16),
    "binarize stochastically": Binarize(16, mode="stochastic"),
    "warp": Compose([Dequantize(16), Warp(0.1)]),
    "standardize": SCALED,
}


class OwnDequantize(Dequantize):
    """A user's, which draws from the generator by itself."""

    def apply(self, x, generator):
        return (x + torch.rand(x.shape, generator=generator)) / 17


class OwnCompose(Compose):
    """A user's, which makes of each image something that depends on the others."""

    def apply(self, x, generator):
        x = super().apply(x, generator)
        return x - x.mean(0)


class FailsLater(AsStored):
    """A user's, which refuses a batch once it has taken two."""

    taken = 0

    def apply(self, x, generator):
        self.taken += 1
        if self.taken > 2:
            raise ValueError("no such image")
        return super().apply(x, generator)


def data_with(transform, stored=LEVELS):
    spec = DataSpec("grey", tuple(stored.shape[1:]), None, "unit_interval")
    if isinstance(transform, Levels):
        spec = spec.with_(levels=17, support="levels")
    parts = [Split(part, None, transform) for part in stored.split([40, 12])]
    return Data(spec, spec, parts[0], None, parts[1])


def trainers(transforms, seeds=(0, 1, 2), stored=LEVELS, **options):
    made = []
    for seed, transform in zip(seeds, transforms, strict=True):
        data, family = data_with(transform, stored), Gaussian()
        model = model_of(data.spec, family, FixedBeta(family, data.spec.shape, beta=0.1 + seed), seed=seed)
        made.append(trainer_of(data, model, seed=seed, **options)[0])
    return made


def run(trainer, steps):
    """Its first steps, as `fit` takes them."""
    trainer.model.train()
    with stack.joined(trainer):
        for _, index in zip(range(steps), trainer.batches_to_come(), strict=False):
            trainer.train_step(trainer.data.train.stored(index))


def batches_together(runs, steps, monkeypatch):
    """x and noise of each step that a stack takes."""
    batches, take = [], JointStep.take

    def watched(self, x, noise, *rest):
        batches.append((x.clone(), noise.clone()))
        return take(self, x, noise, *rest)

    monkeypatch.setattr(JointStep, "take", watched)
    said = []
    stack.train([partial(run, *pair) for pair in zip(runs, steps, strict=True)], said.append)
    assert said == []
    return batches


def batches_alone(trainer, steps):
    """x and noise of each step that a run takes by itself."""
    batches, take = [], trainer.take_alone

    def watched(batch, rates=None):
        batches.append(batch[:2])
        return take(batch, rates)

    trainer.take_alone = watched
    run(trainer, steps)
    return batches


def assert_same(together, alone, steps):
    for place, own in enumerate(alone):
        for step, (x, noise) in enumerate(own):
            assert torch.equal(together[step][0][place], x) and torch.equal(together[step][1][place], noise)
        assert len(own) == steps[place]


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_each_run_has_its_own_batches_also_when_another_has_ended(transform, monkeypatch):
    runs, others = trainers([transform] * 3), trainers([transform] * 3)
    steps = (6, 3, 6)
    assert transform.row_by_row
    together = batches_together(runs, steps, monkeypatch)
    assert_same(together, [batches_alone(*pair) for pair in zip(others, steps, strict=True)], steps)
    for one, other in zip(runs, others, strict=True):
        assert torch.equal(one.generator.get_state(), other.generator.get_state())


@pytest.mark.parametrize(
    "transforms",
    [
        [OwnDequantize(16)] * 2,
        [Dequantize(16), Dequantize(20)],
        [Compose([OwnDequantize(16)])] * 2,
        [OwnCompose([Scale(16)])] * 2,
    ],
    ids=["a user's own", "of other data", "with a user's own in it", "a user's own Compose"],
)
def test_what_cannot_be_transformed_at_once_is_transformed_for_each_run(transforms, monkeypatch):
    runs, others = (trainers(transforms, seeds=(0, 1)) for _ in range(2))
    steps = (4, 4)
    together = batches_together(runs, steps, monkeypatch)
    assert_same(together, [batches_alone(own, 4) for own in others], steps)


@pytest.mark.parametrize(
    "transforms", [[Dequantize(16)] * 2, [Dequantize(16), Dequantize(20)]], ids=["alike", "of other data"]
)
def test_a_recorded_step_has_the_batches_of_each_run(transforms, monkeypatch):
    runs = trainers(transforms, seeds=(0, 1), optimizer="fused adam", compile="graph")
    others = trainers(transforms, seeds=(0, 1), optimizer="fused adam")
    seen, step = [[], []], Trainer.train_step

    def watched(self, stored):
        step(self, stored)
        if self in runs:
            seen[runs.index(self)].append(self.last_x.clone())

    monkeypatch.setattr(Trainer, "train_step", watched)
    stack.train([partial(run, own, 8) for own in runs], pytest.fail)
    for own, batches in zip(others, seen, strict=True):
        assert all(torch.equal(x, y) for (x, _), y in zip(batches_alone(own, 8), batches, strict=True))


def test_a_transform_that_fails_ends_its_own_run_alone():
    runs, errors = trainers([FailsLater(), OwnDequantize(16), OwnDequantize(16)]), {}

    def attempt(number):
        try:
            run(runs[number], 5)
        except ValueError as error:
            errors[number] = str(error)

    stack.train([partial(attempt, number) for number in range(3)], pytest.fail)
    assert errors == {0: "no such image"}
    assert [own.step for own in runs] == [2, 5, 5]


def test_a_run_that_goes_back_to_a_checkpoint_draws_again_what_it_drew_before(monkeypatch):
    runs, (other,) = trainers([TRANSFORMS["dequantize"]] * 2, seeds=(0, 1)), trainers([TRANSFORMS["dequantize"]], (1,))
    batches, take = [], JointStep.take

    def watched(self, x, noise, *rest):
        batches.append((x.clone(), noise.clone()))
        return take(self, x, noise, *rest)

    monkeypatch.setattr(JointStep, "take", watched)

    def comes_back():
        run(runs[1], 2)
        state = runs[1].state_dict()
        again = trainers([TRANSFORMS["dequantize"]], seeds=(1,))[0]
        again.load_state_dict(state)
        run(again, 3)

    stack.train([partial(run, runs[0], 5), comes_back], pytest.fail)
    own = batches_alone(other, 5)
    assert len(batches) == 5
    for (x, noise), (own_x, own_noise) in zip(batches, own, strict=True):
        assert torch.equal(x[1], own_x) and torch.equal(noise[1], own_noise)
