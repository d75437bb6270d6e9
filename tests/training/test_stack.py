"""Runs whose steps are taken together: each ends as it would alone, whatever becomes of the others."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from helpers import data_of, model_of, split_of
from stack_cases import CLOSE, assert_close, of, of_people, pair, people, trained

from vaekl.config import job
from vaekl.data import Data, DataSpec
from vaekl.model import mapped
from vaekl.model.control import Capacity, Controller, FreeBits, Geco, LearnedBeta, Mmd
from vaekl.model.likelihoods import (
    Beta,
    CensoredGaussian,
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
from vaekl.training.schedules import LearningRateSchedule, LinearSchedule

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
    data = people(tmp_path)
    together, alone = pair([partial(of_people, data, seed) for seed in (0, 1)], data)
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
