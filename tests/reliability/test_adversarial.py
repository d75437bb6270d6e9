"""Data without variance, at the ends of a support or far too large: every likelihood, weighting and net.

Nothing that a run computes may stop being finite, at any step. A pair that makes no sense is refused in a sentence,
which is asserted too.
"""

from functools import partial
from itertools import product
from math import isfinite, nan

import pytest
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
from vaekl.system.errors import VaeklError
from vaekl.training.divergence import DivergedError
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
#: whose kind another one stands for by day
BY_NIGHT = {"logistic", "student_t", "logistic_mixture", "logit_normal", "poisson", "zinb", "zinb by decoder"}
BY_NIGHT |= {"censored_gaussian"}


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


PAIRS = list(product(LIKELIHOODS, WEIGHTINGS))
FITTING = [pair for pair in PAIRS if fits(*pair)]
CASES = [(*pair, *rest) for pair in FITTING for rest in product(NETS, DTYPES, kinds(pair[0]))]
#: every pair of likelihood and weighting once, with nets, types and images dealt in turn
SPREAD = {
    (*pair, [*NETS][turn % 3], [*DTYPES][turn // 3 % 2], kinds(pair[0])[turn % len(kinds(pair[0]))])
    for turn, pair in enumerate(FITTING)
}


#: the families of which every second pair is tried by day; of the others every third
EVERY_DAY = {"bernoulli", "beta", "categorical", "cb", "gaussian", "laplace"}
BY_DAY = {case for turn, case in enumerate(sorted(SPREAD)) if turn % (2 if case[0] in EVERY_DAY else 3) == 0}


def marked(case):
    """The case with what pytest must know of it."""
    marks = [] if case in BY_DAY and case[0] not in BY_NIGHT else [pytest.mark.nightly]
    return pytest.param(*case, marks=marks, id=", ".join(case))


@pytest.mark.parametrize(("family", "how", "net", "dtype", "kind"), [marked(case) for case in CASES])
def test_training_stays_finite(family, how, net, dtype, kind):
    support = "real" if kind in REALS and family not in OF_COUNTS else LIKELIHOODS[family][1]
    trainer, recorder = trainer_for((family, how, net, dtype), kind, support)
    broken = watched(trainer)
    trainer.fit()
    assert not broken
    assert trainer.step == STEPS and len(recorder.figures) == STEPS / LOG_EVERY and len(recorder.evaluations) == 2
    for step, figures in recorder.figures + [(step, found.figures()) for step, found, _ in recorder.evaluations]:
        assert all(isfinite(value) for value in figures.values()), (step, figures)


CONTROLLED = [
    (control, family, kind)
    for control, family in product((*CONTROLS, *OBJECTIVES), ("gaussian", "cb"))
    for kind in kinds(family)
]
#: every control and objective with every kind of images that it is dealt in turn
CONTROLLED_SPREAD = {case for turn, case in enumerate(CONTROLLED) if turn % 11 == 0}


@pytest.mark.parametrize(
    ("control", "family", "kind"),
    [pytest.param(*case, marks=[] if case in CONTROLLED_SPREAD else [pytest.mark.nightly]) for case in CONTROLLED],
)
def test_training_under_a_control_or_objective_stays_finite(control, family, kind):
    support = "real" if kind in REALS else LIKELIHOODS[family][1]
    trainer, recorder = trainer_for((family, "auto", "mlp", "float32"), kind, support, control)
    broken = watched(trainer)
    trainer.fit()
    assert not broken
    figures = [values for _, values in recorder.figures] + [one.figures() for _, one, _ in recorder.evaluations]
    assert all(isfinite(value) for values in figures for value in values.values()), kind
    assert all(values["effective_beta_kl"] >= 0 for values in figures)


def test_what_breaks_in_one_step_is_seen():
    trainer, _ = trainer_for(("gaussian", "auto", "mlp", "float32"), "uniform", "unit_interval")
    broken = watched(trainer)
    bias = list(trainer.model.decoder.parameters())[-1]
    bias.register_hook(lambda gradient: gradient * nan if trainer.step == 2 else gradient)
    with pytest.raises(DivergedError):
        trainer.fit()
    name = next(name for name, parameter in trainer.model.named_parameters() if parameter is bias)
    assert broken[:2] == [f"step 3: weight of {name}", f"step 3: gradient of {name}"]


def test_every_choice_is_in_the_spread():
    for position, choices in enumerate((LIKELIHOODS, WEIGHTINGS, NETS, DTYPES, IMAGES)):
        assert {case[position] for case in SPREAD} == {*choices}
    assert {case[2:4] for case in SPREAD} == {*product(NETS, DTYPES)}


def one_sentence(error, *names):
    text = str(error)
    assert text.endswith(".") and "\n" not in text and all(name in text for name in names), text


@pytest.mark.parametrize(("family", "how"), [pair for pair in PAIRS if not fits(*pair)], ids=", ".join)
def test_a_weighting_without_a_meaning_is_refused(family, how):
    build, options = WEIGHTINGS[how]
    with pytest.raises(VaeklError) as refusal:
        build(LIKELIHOODS[family][0](), SHAPE, **options)
    words = [f"weighting={how.split()[0]}", f"likelihood={family.split()[0]}", "use "]
    one_sentence(refusal.value, *words)


#: what each likelihood trains on, some of it after the transform that `auto` chooses
TAKES = {
    "bernoulli": {"binary"},
    "beta": {"unit_interval", "levels"},
    "categorical": {"levels", "binary"},
    "cb": {"unit_interval", "levels"},
    "discretized_logistic": {"levels", "binary"},
    "logistic_mixture": {"levels", "binary"},
    **{family: {*SUPPORTS} - {"counts"} for family in WHOLE_LINE},
    **{family: {"counts"} for family in OF_COUNTS},
    "truncated_gaussian": {"unit_interval", "levels"},
    "censored_gaussian": {"unit_interval", "levels"},
    "logit_normal": {"unit_interval", "levels"},
}


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("family", LIKELIHOODS)
def test_data_outside_the_support_are_refused(family, support):
    likelihood = LIKELIHOODS[family][0]()
    kind = "huge" if support == "real" else "uniform"
    if support in TAKES[family]:
        assert data_for(likelihood, kind, support).train.batch(slice(None)).isfinite().all()
        return
    with pytest.raises(VaeklError) as refusal:
        data_for(likelihood, kind, support)
    one_sentence(refusal.value, f"likelihood={family.split()[0]} takes", f"dataset={kind}", "use ")


@pytest.mark.parametrize("family", sorted({*LIKELIHOODS} - WHOLE_LINE))
def test_huge_values_that_call_themselves_grey_are_refused(family):
    likelihood, images = LIKELIHOODS[family][0](), IMAGES["huge"](torch.Generator().manual_seed(0), 4)
    with pytest.raises(VaeklError) as refusal:
        likelihood.check_support(images)
    one_sentence(refusal.value, f"likelihood={family.split()[0]} has support [0, ", "data reach from -")
