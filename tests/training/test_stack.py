"""Runs whose steps are taken together: each ends as it would alone, whatever becomes of the others."""

import random
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from helpers import data_of, model_of, split_of, trainer_of

from vaekl.config import job
from vaekl.data import Data, DataSpec
from vaekl.data.auto import AutoTransform
from vaekl.data.sources.table import table
from vaekl.model import mapped
from vaekl.model.control import Capacity, Controller, FreeBits, Geco, LearnedBeta, Mmd
from vaekl.model.likelihoods import (
    Beta,
    CensoredGaussian,
    Columns,
    ContinuousBernoulli,
    Gaussian,
    Laplace,
    LogisticMixture,
    StudentT,
)
from vaekl.model.nets import conv
from vaekl.model.objective import Iwae
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision
from vaekl.run import build_data
from vaekl.run.config import RunConfig
from vaekl.store import checkpoint
from vaekl.training import stack
from vaekl.training.divergence import DivergedError
from vaekl.training.schedules import LearningRateSchedule, LinearSchedule

DATA = data_of()
#: of a weight after twenty steps, whose first digits are the same
CLOSE = {"rtol": 2e-4, "atol": 2e-6}


def trained(trainers, steps_of=lambda trainer: trainer.fit()):
    """The trainers, trained in one stack; the errors that ended some of them; and which took their steps alone."""
    errors, said = {}, []

    def run(number):
        try:
            with stack.joined(trainers[number]):
                steps_of(trainers[number])
        except Exception as error:
            errors[number] = error

    stack.train([partial(run, number) for number in range(len(trainers))], said.append)
    return errors, said


def pair(makes, data=DATA, **options):
    """Trainers of some models, once for a stack and once to be trained alone."""
    both = []
    for _ in range(2):
        both.append([trainer_of(data, make(), seed=seed, **options)[0] for seed, make in enumerate(makes)])
    return both


def assert_close(together, alone):
    for one, other in zip(together, alone, strict=True):
        assert one.step == other.step
        torch.testing.assert_close(dict(one.model.state_dict()), dict(other.model.state_dict()), **CLOSE)
        torch.testing.assert_close(one.rows, other.rows, rtol=1e-4, atol=1e-4, equal_nan=True)
        torch.testing.assert_close(one.gradient_norm, other.gradient_norm, rtol=1e-3, atol=1e-4)


def of(likelihood, weighting=FixedDispersion, control=None, seed=0, **settings):
    family = likelihood()
    return model_of(DATA.spec, family, weighting(family, DATA.spec.shape, **settings), seed=seed, control=control)


CASES = {
    "fixed_beta": [
        partial(of, Gaussian, FixedBeta, beta=beta, seed=seed) for seed, beta in enumerate((0.01, 0.1, 0.5))
    ],
    "learned": [partial(of, likelihood, LearnedPrecision, seed=seed) for seed in (0, 1) for likelihood in (Laplace,)],
    "optimal": [partial(of, Gaussian, OptimalPrecision, seed=seed, momentum=0.1 + seed / 10) for seed in (0, 1)],
    "cb": [partial(of, ContinuousBernoulli, FixedDispersion, seed=seed) for seed in (0, 1, 2)],
    "student": [
        partial(of, partial(StudentT, df="decoder", scale="decoder"), FixedDispersion, seed=seed) for seed in (0, 1)
    ],
    "beta": [partial(of, Beta, FixedDispersion, seed=seed) for seed in (0, 1)],
    "censored": [partial(of, CensoredGaussian, LearnedPrecision, seed=seed) for seed in (0, 1)],
    "capacity": [partial(of, Gaussian, control=partial(Capacity, target=target)) for target in (1.0, 2.0)],
    "controller": [partial(of, Gaussian, control=partial(Controller, target=target)) for target in (1.0, 2.0)],
    "geco": [partial(of, Gaussian, control=partial(Geco, rmse=rmse)) for rmse in (0.1, 0.2)],
    "free_bits": [partial(of, Gaussian, control=partial(FreeBits, floor=floor)) for floor in (0.1, 0.2)],
    "learned_beta": [partial(of, Gaussian, control=LearnedBeta, seed=seed) for seed in (0, 1)],
    "mmd": [partial(of, Gaussian, control=partial(Mmd, weight=weight)) for weight in (10.0, 20.0)],
}


def convolutions(seed):
    """On images whose sides are halved once."""
    family = Gaussian()
    torch.manual_seed(seed)
    nets = conv(IMAGES.spec.shape, 1, 3, width=4, hidden=8)
    return VAE(IMAGES.spec, nets, family, LearnedPrecision(family, IMAGES.spec.shape), 3)


def levels(seed):
    """A mixture of logistics for each value."""
    return model_of(LEVELS.spec, LogisticMixture(2, levels=5), seed=seed)


def importance(seed, gradient):
    """Three samples of each image."""
    model = of(Gaussian, LearnedPrecision, seed=seed)
    model.objective = Iwae(3, gradient)
    return model


def _whole_numbers():
    draw = torch.Generator().manual_seed(3)
    parts = [split_of(torch.randint(0, 5, (count, 1, 2, 3), generator=draw).float()) for count in (24, 8, 8)]
    spec = DataSpec("levels", (1, 2, 3), 5, "levels")
    return Data(spec, spec, *parts)


IMAGES, LEVELS = data_of(shape=(1, 8, 8)), _whole_numbers()


@pytest.mark.parametrize(("make", "data"), [(convolutions, IMAGES), (levels, LEVELS)], ids=["conv", "mixture"])
def test_other_networks_and_data_are_mapped_too(make, data):
    together, alone = pair([partial(make, seed) for seed in (0, 1)], data)
    assert trained(together) == ({}, [])
    for trainer in alone:
        trainer.fit()
    assert_close(together, alone)


def test_columns_of_a_table_are_mapped_too(tmp_path):
    rows = ["height,children,smokes,city"]
    draw = random.Random(0)
    for _ in range(60):
        height = draw.choice(["", f"{draw.gauss(170, 9):.1f}"])
        words = draw.choice(["yes", "no"]), draw.choice(["Bonn", "Ulm", "Trier"])
        rows.append(",".join([height, str(draw.randrange(5)), *words]))
    (tmp_path / "people.csv").write_text("\n".join(rows), encoding="utf-8")
    data = Data.from_source(table(str(tmp_path / "people.csv"), missing="mask"), AutoTransform(), Columns().accepts)

    def make(seed):
        family = Columns()
        family.check_spec(data.spec)
        return model_of(data.spec, family, LearnedPrecision(family, data.spec.shape), seed=seed)

    together, alone = pair([partial(make, seed) for seed in (0, 1)], data)
    assert trained(together) == ({}, [])
    for trainer in alone:
        trainer.fit()
    assert_close(together, alone)


@pytest.mark.parametrize("gradient", ["reparameterized", "doubly_reparameterized"])
def test_several_samples_of_each_image(gradient):
    together, alone = pair([partial(importance, seed, gradient) for seed in (0, 1)])
    errors, said = trained(together)
    # a hook of one run's samples knows nothing of the others'
    assert not errors and len(said) == (gradient == "doubly_reparameterized")
    for trainer in alone:
        trainer.fit()
    assert_close(together, alone)


@pytest.mark.parametrize("name", CASES)
def test_runs_of_a_stack_end_as_they_would_alone(name):
    together, alone = pair(CASES[name])
    assert trained(together) == ({}, [])
    for trainer in alone:
        trainer.fit()
    assert_close(together, alone)


def test_rates_schedules_clips_and_averages_are_each_runs_own():
    makes = [partial(of, Gaussian, FixedBeta, beta=0.1, seed=seed) for seed in range(4)]
    together, alone = pair(makes, ema=0.9)
    for trainers in (together, alone):
        for number, trainer in enumerate(trainers):
            trainer.full_rates = [0.01 * (1 + number // 2)]
            trainer.schedule = LinearSchedule(20, steps=5 + number)
            trainer.lr_schedule = LearningRateSchedule(20, final=1.0 if number < 3 else 0.1)
            trainer.plan = replace(trainer.plan, clip_norm=0.5 if number else None)
    assert trained(together) == ({}, [])
    for trainer in alone:
        trainer.fit()
    assert_close(together, alone)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(dict(one.average.state_dict()), dict(other.average.state_dict()), **CLOSE)


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


def test_what_cannot_be_mapped_takes_its_steps_alone_and_says_why():
    def uneven(seed):
        model = of(Gaussian, FixedBeta, beta=0.1, seed=seed)
        model.encoder.append(_Branches())
        return model

    makes = [partial(uneven, seed) for seed in (0, 1)]
    together, alone = pair(makes)
    errors, (said,) = trained(together)
    assert not errors and said.startswith("  2 of 2 runs take their steps alone: its model cannot be mapped")
    for trainer in alone:
        trainer.fit()
    for one, other in zip(together, alone, strict=True):
        for key, value in one.model.state_dict().items():
            assert torch.equal(value, other.model.state_dict()[key])


def test_with_another_torch_whose_private_parts_are_others_runs_take_their_steps_alone(monkeypatch):
    monkeypatch.setattr(mapped, "_CAN_MAP", False)
    together, alone = pair([partial(of, Beta, seed=seed) for seed in (0, 1)])
    errors, (said,) = trained(together)
    assert not errors and said.startswith("  2 of 2 runs take their steps alone")
    for trainer in alone:
        trainer.fit()
    assert_close(together, alone)


class _Branches(torch.nn.Module):
    def forward(self, pair):
        return pair if bool((pair[0] > -1e9).all()) else (pair[1], pair[0])


def test_runs_that_share_their_images_build_the_same_models():
    words = ["model.hidden=[4]", "model.latents=2", "trainer.steps=3", "likelihood=cb"]
    contents = [RunConfig.of(job.single([*words, f"seed={seed}"]).content) for seed in (0, 1)]
    with build_data.shared():
        (first, data), (second, again) = (build_data.build_likelihood_and_data(content) for content in contents)
        there, once_more = (build_data.on_device(data, torch.device("meta")) for _ in range(2))
    assert there is once_more and there.train.images.device.type == "meta"
    assert build_data.on_device(data, torch.device("cpu")) is not there
    assert data is again and first.data_support == second.data_support == "unit_interval"
    assert build_data.build_likelihood_and_data(contents[0])[1] is not data
