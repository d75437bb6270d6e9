"""No path to speed changes a number: eager, compiled, channels last and half precision give the same ELBO and gradient.

The reference is the eager computation in float64 on the same weights, data and noise.
"""

import copy

import pytest
import torch
from helpers import grey
from torch import nn

from vaekl.data import DataSpec
from vaekl.model.control import Capacity, Controller, Decomposed, FreeBits, Geco, LearnedBeta, Mmd
from vaekl.model.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    CensoredGaussian,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    Logistic,
    LogisticMixture,
    LogitNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    TruncatedGaussian,
    ZeroInflatedNegativeBinomial,
)
from vaekl.model.nets import conv, linear, mlp
from vaekl.model.objective import Iwae
from vaekl.model.vae import LEDGER, VAE, LossAndLedger
from vaekl.model.weighting import CBNormalizer, FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision

SHAPE, LATENTS, SCHEDULE = (3, 8, 8), 5, 0.25
CASES = {
    "bernoulli": (Bernoulli, FixedDispersion),
    "cb": (ContinuousBernoulli, CBNormalizer),
    "cb_dropped": (ContinuousBernoulli, FixedBeta),
    "cb_tempered": (ContinuousBernoulli, lambda *a: FixedDispersion(*a, 0.5)),
    "gaussian": (Gaussian, lambda *a: FixedBeta(*a, 0.05)),
    "gaussian_learned": (Gaussian, lambda *a: LearnedPrecision(*a, "pixel", 0.1)),
    "gaussian_solved": (Gaussian, OptimalPrecision),
    "laplace": (Laplace, LearnedPrecision),
    "logistic_solved": (Logistic, OptimalPrecision),
    "student_t": (lambda: StudentT(df="learned"), LearnedPrecision),
    "student_t_by_decoder": (lambda: StudentT(scale="decoder", df="decoder"), FixedDispersion),
    "by_decoder": (lambda: Gaussian("sigmoid", scale="decoder", min_scale="learned"), FixedDispersion),
    "beta": (Beta, FixedDispersion),
    "categorical": (lambda: Categorical(5), FixedDispersion),
    "discretized_logistic": (lambda: DiscretizedLogistic(levels=5), LearnedPrecision),
    "censored_gaussian": (CensoredGaussian, LearnedPrecision),
    "truncated_gaussian": (TruncatedGaussian, LearnedPrecision),
    "logit_normal": (LogitNormal, LearnedPrecision),
    "logit_normal_solved": (LogitNormal, lambda *a: OptimalPrecision(*a, "channel")),
    "logistic_mixture": (lambda: LogisticMixture(levels=5), FixedDispersion),
    "poisson": (Poisson, FixedDispersion),
    "negative_binomial": (NegativeBinomial, lambda *a: LearnedPrecision(*a, "pixel")),
    "zinb": (lambda: ZeroInflatedNegativeBinomial("decoder"), FixedDispersion),
}
ON_LEVELS = ("categorical", "discretized_logistic", "logistic_mixture")
OF_COUNTS = ("poisson", "negative_binomial", "zinb")
#: cases with a control, whose state moves within the step
CONTROLS = {
    "capacity": lambda *a: Capacity(*a, target=1.0),
    "controller": lambda *a: Controller(*a, target=1.0, kp=0.01, ki=0.1),
    "geco": lambda *a: Geco(*a, rmse=0.1),
    "free_bits": lambda *a: FreeBits(*a, floor=0.02),
    "learned_beta": LearnedBeta,
    "decomposed": Decomposed,
    "mmd": Mmd,
}
#: cases of several samples of each image
OBJECTIVES = {"iwae": Iwae(3), "dreg": Iwae(3, "doubly_reparameterized")}
CASES |= dict.fromkeys([*CONTROLS, *OBJECTIVES], (Gaussian, LearnedPrecision))
#: `make test` compiles this, and "gaussian" in the test of a schedule; `make nightly` compiles all
COMPILED_DAILY = ("cb",)
NETS = {
    "mlp": lambda shape, outputs, latents: mlp(shape, outputs, latents, (16,)),
    "conv": lambda shape, outputs, latents: conv(shape, outputs, latents, width=4, hidden=16),
    "linear": linear,
}


def objective_of(case, net="mlp"):
    """The objective, images and noise of a case."""
    make_likelihood, make_weighting = CASES[case]
    likelihood = make_likelihood()
    x = grey(24, SHAPE).clamp(0.01, 0.99)
    whole = dict.fromkeys(ON_LEVELS, (5 * x).long()) | dict.fromkeys(OF_COUNTS, (9 * x).round())
    x = {"bernoulli": (x > 0.5).float(), **whole}.get(case, x)
    supports = dict.fromkeys(ON_LEVELS, "levels") | dict.fromkeys(OF_COUNTS, "counts")
    support = {"bernoulli": "binary", **supports}.get(case, "unit_interval")
    spec = DataSpec("grey", SHAPE, 5 if case in ON_LEVELS else None, support)
    torch.manual_seed(3)
    nets = NETS[net](SHAPE, likelihood.outputs, LATENTS)
    control = CONTROLS[case](likelihood, spec, 100) if case in CONTROLS else None
    parts = (nets, likelihood, make_weighting(likelihood, SHAPE))
    model = VAE(spec, *parts, LATENTS, control=control, objective=OBJECTIVES.get(case))
    return LossAndLedger(model).train(), x, model.training_noise(len(x), torch.default_generator)


def outcome(objective, x, noise):
    """The ledger and the gradient of a step, float64."""
    loss, ledger = objective(x, noise, SCHEDULE)
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in objective.parameters() if p.grad is not None])
    return ledger.double(), gradient.double()


def exact(objective, x, noise):
    """The same in float64."""
    twin = copy.deepcopy(objective).double()
    # half precision's densities are float32, so the casts to it are what float64 must not meet
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", lambda value: value.double())
        return outcome(twin, x if x.dtype == torch.long else x.double(), noise.double())


def assert_same(ours, expected, relative):
    # the loss is a difference of the others, and cannot be nearer than they are
    largest = expected[0].abs().max().item()
    for name, value, reference in zip(LEDGER, ours[0], expected[0], strict=True):
        assert value.item() == pytest.approx(reference.item(), rel=relative, abs=relative * largest), name
    difference = (ours[1] - expected[1]).norm() / expected[1].norm()
    assert difference < 10 * relative


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("case", CASES)
def test_eager(case, net):
    objective, x, noise = objective_of(case, net)
    expected = exact(objective, x, noise)  # of a copy, before a control's state moves
    assert_same(outcome(objective, x, noise), expected, 2e-6)


@pytest.mark.xdist_group("compiler")  # to load it, and to compile what all kernels begin with, takes seconds
@pytest.mark.parametrize(
    "case", [case if case in COMPILED_DAILY else pytest.param(case, marks=pytest.mark.nightly) for case in CASES]
)
@pytest.mark.parametrize("net", ["mlp", pytest.param("conv", marks=pytest.mark.nightly)])
def test_compiled(case, net):
    objective, x, noise = objective_of(case, net)
    expected = exact(objective, x, noise)
    torch._dynamo.reset()
    objective.compile(fullgraph=True)
    assert_same(outcome(objective, x, noise), expected, 2e-6)


@pytest.mark.nightly
def test_a_schedule_that_moves_is_compiled_once():
    objective, x, noise = objective_of("gaussian")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    objective.compile(fullgraph=True)
    plain, _, _ = objective_of("gaussian")
    for step in range(6):
        ours, expected = objective(x, noise, torch.tensor(step / 5))[0], plain(x, noise, step / 5)[0]
        assert ours.item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize("case", ["bernoulli", "gaussian"])
def test_channels_last_is_a_format_and_no_other_network(case):
    objective, x, noise = objective_of(case, "conv")
    plain, _, _ = objective_of(case, "conv")
    formats = []
    for ours, theirs in zip(objective.modules(), plain.modules(), strict=True):
        if isinstance(ours, nn.Conv2d | nn.ConvTranspose2d):
            formats.append((ours.weight.is_contiguous(), min(ours.weight.shape[:2])))
            theirs.weight.data = theirs.weight.data.contiguous(memory_format=torch.contiguous_format)
    # with a single channel the two formats are one
    several = [contiguous for contiguous, channels in formats if channels > 1]
    assert several and not any(several)
    computed = outcome(objective, x, noise)
    assert_same(computed, outcome(plain, x, noise), 2e-6)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("case", CASES)
def test_bfloat16_networks_keep_two_digits(case, net):
    """bfloat16 has eight bits: a product is off by 0.4 %, and a sum of many by less."""
    objective, x, noise = objective_of(case, net)
    expected = exact(objective, x, noise)
    objective.model.autocast = torch.bfloat16
    ledger, gradient = outcome(objective, x, noise)
    scale = expected[0].abs().max()
    assert (ledger - expected[0]).abs().max() < 0.01 * scale
    assert (gradient - expected[1]).norm() < 0.05 * expected[1].norm()
