"""Small data, small models and a callback that remembers, for the tests of the pipeline."""

from dataclasses import replace
from functools import partial

import torch

from vaekl.data import Data, DataSpec, Split
from vaekl.data.transforms import AsStored
from vaekl.model.likelihoods import Gaussian
from vaekl.model.nets import linear, mlp
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedDispersion
from vaekl.training.callback import Callback
from vaekl.training.plan import Plan
from vaekl.training.schedules import ConstantSchedule, LearningRateSchedule
from vaekl.training.trainer import Trainer

SHAPE = (1, 4, 4)
OPTIMIZERS = {
    "adam": (torch.optim.Adam, 0.01),
    "sgd": (torch.optim.SGD, 0.001),
    "fused adam": (partial(torch.optim.Adam, fused=True), 0.01),
    "amsgrad": (partial(torch.optim.AdamW, amsgrad=True, fused=True), 0.01),
    "momentum": (partial(torch.optim.SGD, momentum=0.9), 0.0001),
    **{
        name.lower(): (getattr(torch.optim, name), 0.001)
        for name in ("RMSprop", "Adagrad", "Adadelta", "Adafactor", "Adamax", "ASGD", "NAdam", "RAdam", "Rprop")
    },
}


def seeded(seed=0):
    """A generator of random numbers."""
    return torch.Generator().manual_seed(seed)


def grey(count=40, shape=SHAPE, seed=0):
    """Images [count, C, H, W] in [0, 1] whose pixels differ in scale and hang together."""
    generator = seeded(seed)
    common = torch.rand(count, 1, 1, 1, generator=generator)
    own = torch.rand(count, *shape, generator=generator)
    return common * torch.linspace(0.2, 1, shape[1] * shape[2]).view(1, 1, *shape[1:]) * (0.5 + 0.5 * own)


def spec_of(images, support="unit_interval", **changes):
    """The spec of such images."""
    return replace(DataSpec("grey", tuple(images.shape[1:]), None, support), **changes)


def split_of(images):
    """A split that serves the images as they are."""
    return Split(images, None, AsStored())


def data_of(train=40, valid=12, shape=SHAPE):
    """A data set of grey images."""
    images = grey(train + valid + 12, shape)
    parts = [split_of(part) for part in images.split([train, valid, 12])]
    spec = spec_of(images)
    return Data(spec, spec, parts[0], parts[1] if valid else None, parts[2])


def model_of(spec, likelihood=None, weighting=None, latents=3, hidden=(7,), seed=0, control=None):
    """A small VAE whose first weights depend on the seed alone; no hidden layer gives the linear one."""
    likelihood = likelihood or Gaussian()
    weighting = weighting or FixedDispersion(likelihood, spec.shape)
    torch.manual_seed(seed)
    if hidden:
        nets = mlp(spec.shape, likelihood.outputs, latents, hidden, activation="tanh")
    else:
        nets = linear(spec.shape, likelihood.outputs, latents)
    controlled = control(likelihood, spec, 40) if control is not None else None
    return VAE(spec, nets, likelihood, weighting, latents, control=controlled)


class Recorder(Callback):
    """Remembers every figure and event."""

    def __init__(self):
        self.figures, self.evaluations, self.events = [], [], []

    def started(self, trainer):
        self.events.append("started")

    def logged(self, trainer, figures):
        self.figures.append((trainer.step, figures))

    def validated(self, trainer, evaluation, improved):
        self.evaluations.append((trainer.step, evaluation, improved))

    def paused(self, trainer):
        self.events.append("paused")

    def failed(self, trainer):
        self.events.append("failed")


def trainer_of(
    data, model, steps=20, batch_size=8, optimizer="adam", lr=None, seed=0, schedule=None, lr_schedule=None, **more
):
    """A trainer and its recorder; `more` goes to the plan."""
    kind, usual = OPTIMIZERS[optimizer]
    recorder = Recorder()
    plan = Plan(**({"log_every": 5, "valid_every": 10} | more), total_steps=steps, batch_size=batch_size)
    trainer = Trainer(
        model,
        kind(model.parameters(), lr or usual),
        schedule or ConstantSchedule(steps),
        lr_schedule or LearningRateSchedule(steps),
        data,
        plan,
        seed,
        callbacks=[recorder],
    )
    return trainer, recorder
