"""No step waits for its device: none asks it for a value, and none copies to it. Looked at on torch's meta device.

Its tensors have no values, so that whoever wants one fails, and tensors of the CPU among them fail too, as on a GPU.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from helpers import data_of, model_of, trainer_of
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vaekl.data import Data
from vaekl.data.auto import AutoTransform
from vaekl.data.scaling import Scaling
from vaekl.data.sources.table import table
from vaekl.data.standardize import Standardized
from vaekl.model.control import Capacity, Controller, Decomposed, FreeBits, Geco, LearnedBeta, Mmd
from vaekl.model.likelihoods import (
    CensoredGaussian,
    Columns,
    ContinuousBernoulli,
    Gaussian,
    StudentT,
    TruncatedGaussian,
)
from vaekl.model.weighting import FixedBeta, FixedDispersion, LearnedPrecision, Multirate, OptimalPrecision
from vaekl.training import trainer as trainers
from vaekl.training.joint import JointStep
from vaekl.training.schedules import LinearSchedule
from vaekl.training.stack import Batch, Member

#: a loop over the runs of a stack, each of whose turns a GPU takes as long for as all of them at once
pytestmark = pytest.mark.filterwarnings("error:There is a performance drop")

META = torch.device("meta")
DATA = data_of()


class Noise(torch.Generator):
    """A CPU's generator, for which there is none on the meta device."""

    device = META


class Copies(TorchFunctionMode):
    """Notes what copies numbers of the CPU to the device, for which a GPU is waited for."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name, result = getattr(function, "__name__", ""), function(*args, **(kwargs or {}))
        if name in ("tensor", "as_tensor", "new_tensor", "to", "copy_") and isinstance(result, Tensor):
            source = args[1] if name == "copy_" else None if name == "new_tensor" else args[0]
            if result.device == META and not (isinstance(source, Tensor) and source.device == META):
                self.seen.append(name)
        return result


@pytest.fixture(autouse=True)
def _noise(monkeypatch):
    monkeypatch.setattr(trainers, "generator", lambda *_: Noise())


def of(likelihood, weighting=FixedDispersion, control=None, seed=0):
    family = likelihood()
    return DATA, model_of(DATA.spec, family, weighting(family, DATA.spec.shape), seed=seed, control=control)


def standardized(seed):
    data = DATA.standardized(Standardized(Scaling(torch.full((1, 1, 1), 0.4), torch.full((1, 1, 1), 0.2), "data")))
    return data, model_of(data.spec, Gaussian(), seed=seed)


def table_of_people(seed):
    """Numbers of which some are missing, counts and categories."""
    text = "height,children,city\n" + "1.7,0,Bonn\n,3,Ulm\n1.6,1,Ulm\n1.8,0,Bonn\n" * 10
    with TemporaryDirectory() as folder:
        file = Path(folder) / "people.csv"
        file.write_text(text, encoding="utf-8")
        family, source = Columns(), table(str(file), missing="mask")
    data = Data.from_source(source, AutoTransform(), family.accepts)
    family.check_spec(data.spec)
    return data, model_of(data.spec, family, seed=seed)


CASES = {
    "fixed_beta": partial(of, ContinuousBernoulli, FixedBeta),
    "learned": partial(of, Gaussian, LearnedPrecision),
    "by the decoder": partial(of, partial(Gaussian, scale="decoder")),
    "optimal": partial(of, StudentT, OptimalPrecision),
    "multirate": partial(of, Gaussian, Multirate),
    "multirate, λ": partial(of, ContinuousBernoulli, Multirate),
    "truncated": partial(of, TruncatedGaussian),
    "censored": partial(of, CensoredGaussian),
    "capacity": partial(of, Gaussian, control=partial(Capacity, target=1.0, speed=0.1)),
    "controller": partial(of, Gaussian, control=partial(Controller, target=1.0)),
    "geco": partial(of, Gaussian, control=partial(Geco, rmse=0.1)),
    "learned_beta": partial(of, Gaussian, control=LearnedBeta),
    "free_bits": partial(of, Gaussian, control=partial(FreeBits, floor=0.1)),
    "mmd": partial(of, Gaussian, control=Mmd),
    "decomposed": partial(of, Gaussian, control=Decomposed),
    "stratified": partial(of, Gaussian, control=partial(Decomposed, estimator="stratified")),
    "standardized": standardized,
    "table": table_of_people,
}


def on_device(make, seed):
    data, model = make(seed=seed)
    data, model = data.to(META), model.to(META)
    model.spec = data.spec
    trainer, _ = trainer_of(data, model, seed=seed, schedule=LinearSchedule(20, steps=16), ema=0.9, clip_norm=1.0)
    trainer.model.train()
    return trainer


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_a_step_alone_waits_for_nothing(make):
    trainer = on_device(make, 0)
    stored = trainer.data.train.stored(slice(0, 8))
    with Copies() as copies:
        for _ in range(2):
            trainer.train_step(stored)
    assert copies.seen == []


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_a_step_of_a_stack_waits_for_nothing(make):
    members = []
    for seed in range(2):
        member = Member(lambda: None)
        member.trainer = on_device(make, seed)
        members.append(member)
        member.trainer.data = members[0].trained.data  # the runs of a sweep share theirs
    stored = members[0].trained.data.train.stored(slice(0, 8))

    def hand_over():
        for member in members:
            own = member.trained
            member.batch = Batch(*(own.feed or own.drawn)(stored), own.schedule(own.step))
            own.step += 1

    hand_over()
    joint = JointStep(members, [])
    with Copies() as copies:
        for _ in range(2):
            hand_over()
            joint.step()
    assert copies.seen == []
