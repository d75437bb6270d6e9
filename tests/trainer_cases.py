"""What the tests of the loop share: data that remember their batches, and ways to stop and to follow a run."""

from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from math import isnan

import torch
from helpers import SHAPE, grey, model_of, trainer_of

from vaekl.data import Data, DataSpec, Split
from vaekl.data.transforms import Dequantize
from vaekl.model.control import Capacity, Controller, Decomposed, FreeBits, Geco, InformationWeight, LearnedBeta, Mmd
from vaekl.model.likelihoods import ContinuousBernoulli, Gaussian, Laplace
from vaekl.model.objective import Iwae
from vaekl.model.weighting import CBNormalizer, FixedBeta, LearnedPrecision, OptimalPrecision

WEIGHTINGS = {
    "fixed_beta": lambda: FixedBeta(Gaussian(), SHAPE, 0.1),
    "cb_normalizer": lambda: CBNormalizer(ContinuousBernoulli(), SHAPE),
    "learned_precision": lambda: LearnedPrecision(Laplace(), SHAPE, "pixel"),
    "optimal_precision": lambda: OptimalPrecision(Gaussian(), SHAPE, "channel", momentum=0.1),
}
#: each with a learned φ; targets within reach, so that λ moves
CONTROLS = {
    "information_weight": partial(InformationWeight, weight=4.0),
    "capacity": partial(Capacity, target=1.0, gamma=5.0),
    "controller": partial(Controller, target=0.5, kp=0.1, ki=0.1),
    "geco": partial(Geco, rmse=0.2, speed=0.5, momentum=0.1),
    "free_bits": partial(FreeBits, floor=0.05),
    "free_bits of images": partial(FreeBits, floor=0.1, groups=2, of="image"),
    "learned_beta": LearnedBeta,
    "decomposed": Decomposed,
    "mmd": Mmd,
}
#: each with a learned φ
OBJECTIVES = {"iwae": Iwae(3), "dreg": Iwae(3, "doubly_reparameterized")}
#: what no two runs share
TIMING = "images_per_second"


@dataclass(frozen=True)
class Watched(Split):
    """A split that remembers which images were asked for, at each batch."""

    batches: list = field(default_factory=list)

    def stored(self, index):
        if not isinstance(index, slice):
            self.batches.append(index.tolist())
        return super().stored(index)


def watched(data):
    train = Watched(data.train.images, None, data.train.transform)
    return replace(data, train=train), train.batches


def byte_data(count=40):
    """Bytes that are dequantised anew at each visit, so that the data draw from the trainer's generator too."""
    spec = DataSpec("bytes", SHAPE, 256, "unit_interval", dequantized=True)
    images = (255 * grey(count + 24)).to(torch.uint8)
    parts = [Split(part, None, Dequantize(255)) for part in images.split([count, 12, 12])]
    return Data(spec, spec, *parts)


def weighted(name, seed=0):
    """A model with one of the weightings, or with one of the controls or objectives beside a learned φ."""
    weighting = WEIGHTINGS[name]() if name in WEIGHTINGS else LearnedPrecision(Gaussian(), SHAPE)
    model = model_of(byte_data().spec, weighting.likelihood, weighting, seed=seed, control=CONTROLS.get(name))
    model.objective = OBJECTIVES.get(name, model.objective)
    return model


def stop_after(trainer, step):
    """As a signal would: between two steps, wherever the epoch and the log's window are."""
    whole = trainer.train_step

    def train_step(index):
        whole(index)
        trainer.stop_requested = trainer.step == step

    trainer.train_step = train_step


def stored(state):
    """A state through a file, as a checkpoint goes."""
    file = BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def comparable(figures):
    """Without the timing, and with NaN equal to itself."""
    return [
        (step, {key: None if isnan(value) else value for key, value in values.items() if key != TIMING})
        for step, values in figures
    ]


def followed(trainer):
    """All parameters before the first step and after each."""
    path = [flat(trainer.model)]
    whole = trainer.train_step

    def train_step(index):
        whole(index)
        path.append(flat(trainer.model))

    trainer.train_step = train_step
    return path


def flat(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().double().numpy()


def saved_trainer(optimizer="fused adam", weighting="learned_precision", seed=0, **options):
    """A trainer with every part of a state."""
    more = {"steps": 20, "log_every": 4, "valid_every": 6} | options
    return trainer_of(byte_data(), weighted(weighting, seed), optimizer=optimizer, **more)[0]


def saved_at_7(**options):
    """Its state after 7 steps, as it comes out of a file."""
    one = saved_trainer(**options)
    stop_after(one, 7)
    one.fit()
    return stored(one.state_dict())
