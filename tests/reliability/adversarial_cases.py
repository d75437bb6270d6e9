"""Every likelihood, weighting, control and network by name, images that are hard for them, and trainers of both."""

from functools import partial
from math import isfinite

import torch
from helpers import Recorder

from vaekl.data import Data, DataSpec
from vaekl.data.auto import AutoTransform
from vaekl.data.spec import Source
from vaekl.data.transforms import AsStored
from vaekl.model import control as controls
from vaekl.model import likelihoods, weighting
from vaekl.model.nets import conv, linear, mlp
from vaekl.model.objective import Iwae
from vaekl.model.vae import LEDGER, VAE
from vaekl.training.plan import Plan
from vaekl.training.schedules import ConstantSchedule, LearningRateSchedule
from vaekl.training.trainer import Trainer

SHAPE, LEVELS, LATENTS, STEPS, LOG_EVERY = (1, 8, 8), 5, 3, 200, 20
#: name -> (constructor, the type in which constant images are stored for it)
LIKELIHOODS = {
    "bernoulli": (likelihoods.Bernoulli, "binary"),
    "beta": (partial(likelihoods.Beta, clamp=1e-4), "unit_interval"),  # the images hold 0 and 1
    "categorical": (likelihoods.Categorical, "levels"),
    "cb": (likelihoods.ContinuousBernoulli, "unit_interval"),
    "discretized_logistic": (likelihoods.DiscretizedLogistic, "levels"),
    "gaussian": (likelihoods.Gaussian, "unit_interval"),
    "laplace": (likelihoods.Laplace, "unit_interval"),
    "logistic": (likelihoods.Logistic, "unit_interval"),
    "student_t": (partial(likelihoods.StudentT, df="learned"), "unit_interval"),
    "gaussian by decoder": (partial(likelihoods.Gaussian, scale="decoder", min_scale="learned"), "unit_interval"),
    "logistic_mixture": (likelihoods.LogisticMixture, "levels"),
    "negative_binomial": (likelihoods.NegativeBinomial, "counts"),
    "poisson": (likelihoods.Poisson, "counts"),
    "zinb": (likelihoods.ZeroInflatedNegativeBinomial, "counts"),
    "zinb by decoder": (partial(likelihoods.ZeroInflatedNegativeBinomial, "decoder"), "counts"),
    "truncated_gaussian": (likelihoods.TruncatedGaussian, "unit_interval"),
    "censored_gaussian": (likelihoods.CensoredGaussian, "unit_interval"),
    "logit_normal": (likelihoods.LogitNormal, "levels"),  # which are dequantized: 0 and 1 are no values of it
}
WEIGHTINGS = {
    "auto": (weighting.auto_weighting, {}),
    "cb_normalizer": (weighting.CBNormalizer, {}),
    "fixed_beta": (weighting.FixedBeta, {}),
    "fixed_dispersion": (weighting.FixedDispersion, {}),
    "learned_precision": (weighting.LearnedPrecision, {}),
    "learned_precision per pixel": (weighting.LearnedPrecision, {"per": "pixel"}),
    "optimal_precision": (weighting.OptimalPrecision, {}),
    "optimal_precision per pixel": (weighting.OptimalPrecision, {"per": "pixel"}),
}
CONTROLS = {
    "capacity": controls.Capacity,
    "controller": controls.Controller,
    "decomposed": controls.Decomposed,
    "free_bits": controls.FreeBits,
    "geco": partial(controls.Geco, nats=-100.0),
    "learned_beta": controls.LearnedBeta,
    "mmd": controls.Mmd,
}
OBJECTIVES = {"iwae": Iwae(3), "dreg": Iwae(3, "doubly_reparameterized")}
NETS = {"conv": (conv, (4, 16)), "linear": (linear, ()), "mlp": (mlp, ((16,),))}
DTYPES = {"float32": None, "bfloat16": torch.bfloat16}
#: whose φ is a scale
SCALES = {"gaussian", "laplace", "logistic", "student_t", "logit_normal"}
#: a φ that is a shape of the density, or in a constant that depends on η, can be learned, and not solved
SHAPES = {"censored_gaussian", "discretized_logistic", "negative_binomial", "truncated_gaussian", "zinb"}
#: whose support is the real line
WHOLE_LINE = {*SCALES, "gaussian by decoder"} - {"logit_normal"}


def uniform(generator, count):
    """A grey for each image."""
    return torch.rand(count, 1, 1, 1, generator=generator).expand(-1, *SHAPE)


def one_pixel(_, count):
    """The same pixel on in every image."""
    images = torch.zeros(count, *SHAPE)
    images[:, 0, 3, 4] = 1
    return images


IMAGES = {
    "zeros": lambda _, count: torch.zeros(count, *SHAPE),
    "ones": lambda _, count: torch.ones(count, *SHAPE),
    "one pixel": one_pixel,
    "uniform": uniform,
    "large": lambda generator, count: 1e2 * torch.randn(count, *SHAPE, generator=generator),
    "huge": lambda generator, count: 1e4 * torch.randn(count, *SHAPE, generator=generator),
    "huge uniform": lambda generator, count: 1e4 * (2 * uniform(generator, count) - 1),
}
REALS = ("large", "huge", "huge uniform")
SUPPORTS = ("binary", "unit_interval", "levels", "real", "counts")
OF_COUNTS = {family for family, (_, support) in LIKELIHOODS.items() if support == "counts"}


def source(kind, support):
    """Such images as a data set stores them."""
    generator = torch.Generator().manual_seed(0)
    train, test = IMAGES[kind](generator, 52).contiguous(), IMAGES[kind](generator, 12).contiguous()
    spec = DataSpec(kind, SHAPE, {"binary": 2, "levels": LEVELS}.get(support), support)
    if support in ("binary", "levels"):
        train, test = ((images * (spec.levels - 1)).round().to(torch.uint8) for images in (train, test))
    if support == "counts":
        train, test = ((images.abs() * 9).round() for images in (train, test))
    return Source(spec, train, test)


def data_for(likelihood, kind, support):
    """As `vaekl.run.build` makes the data of a run: transformed for the likelihood, and refused outside its support."""
    # AutoTransform would take the size of real values away
    transform = AsStored() if support == "real" else AutoTransform(dequantizes=not likelihood.atoms)
    data = Data.from_source(source(kind, support), transform, likelihood.accepts, 12, 0)
    likelihood.check_spec(data.spec)
    likelihood.check_support(data.train.batch(slice(None)))
    return data


def trainer_for(names, kind, support, controlled=None):
    """A trainer with vaekl's default settings but for small networks, and its recorder."""
    family, how, net, dtype = names
    likelihood = LIKELIHOODS[family][0]()
    data = data_for(likelihood, kind, support)
    build, options = WEIGHTINGS[how]
    weighs = build(likelihood, SHAPE, **options)
    torch.manual_seed(0)
    make, sizes = NETS[net]
    nets = make(SHAPE, likelihood.outputs, LATENTS, *sizes)
    control = CONTROLS[controlled](likelihood, data.spec, len(data.train)) if controlled in CONTROLS else None
    model = VAE(data.spec, nets, likelihood, weighs, LATENTS, DTYPES[dtype], control, OBJECTIVES.get(controlled))
    networks = [*model.encoder.parameters(), *model.decoder.parameters()]
    optimizer = torch.optim.Adam(networks, lr=1e-3, fused=True)
    for part in (weighs, likelihood, model.control):
        if own := list(part.parameters()):
            optimizer.add_param_group({"params": own, "lr": 1e-3 * part.lr_factor})
    recorder, plan = Recorder(), Plan(total_steps=STEPS, batch_size=20, log_every=LOG_EVERY, valid_every=100)
    return Trainer(
        model, optimizer, ConstantSchedule(STEPS), LearningRateSchedule(STEPS), data, plan, 0, [recorder]
    ), recorder


def watched(trainer):
    """The first thing that is not finite after any step, in a list."""
    whole, broken = trainer.train_step, []

    def train_step(stored):
        whole(stored)
        row = trainer.rows[(trainer.step - 1) % trainer.plan.log_every].tolist()
        broken.extend(f"step {trainer.step}: {name}" for name, v in zip(LEDGER, row, strict=True) if not isfinite(v))
        for name, parameter in trainer.model.named_parameters():
            for what, value in (("weight", parameter), ("gradient", parameter.grad)):
                if value is not None and not value.isfinite().all():
                    broken.append(f"step {trainer.step}: {what} of {name}")

    trainer.train_step = train_step
    return broken


def fits(family, how):
    """What the theory allows."""
    if how.startswith("learned") and family in SHAPES:
        return True
    if how.startswith(("learned", "optimal")):
        return family in SCALES
    if how == "fixed_beta" and family in ("student_t", "gaussian by decoder"):
        return False
    return how != "cb_normalizer" or family == "cb"


def kinds(family):
    """The images that its support has: those of any size for densities on the reals alone.

    Of values around 1e4 that are not standardized a scale of the decoder's makes gradients that float32 cannot hold.
    """
    kept = [kind for kind in IMAGES if family in WHOLE_LINE | OF_COUNTS or kind not in REALS]
    return [kind for kind in kept if family != "gaussian by decoder" or "huge" not in kind]
