"""Data without variance, at the ends of a support or far too large: every likelihood, weighting and net.

Nothing that a run computes may stop being finite, at any step. A pair that makes no sense is refused in a sentence,
which is asserted too.
"""

from itertools import product
from math import isfinite, nan

import pytest
import torch
from adversarial_cases import (
    CONTROLS,
    DTYPES,
    IMAGES,
    LIKELIHOODS,
    LOG_EVERY,
    NETS,
    OBJECTIVES,
    OF_COUNTS,
    REALS,
    SHAPE,
    STEPS,
    SUPPORTS,
    WEIGHTINGS,
    WHOLE_LINE,
    data_for,
    fits,
    kinds,
    trainer_for,
    watched,
)

from vaekl.system.errors import VaeklError
from vaekl.training.divergence import DivergedError

PAIRS = list(product(LIKELIHOODS, WEIGHTINGS))
FITTING = [pair for pair in PAIRS if fits(*pair)]
CASES = [(*pair, *rest) for pair in FITTING for rest in product(NETS, DTYPES, kinds(pair[0]))]
#: every pair of likelihood and weighting once, with nets, types and images dealt in turn
SPREAD = {
    (*pair, [*NETS][turn % 3], [*DTYPES][turn // 3 % 2], kinds(pair[0])[turn % len(kinds(pair[0]))])
    for turn, pair in enumerate(FITTING)
}
#: whose kind another one stands for by day
BY_NIGHT = {"logistic", "student_t", "logistic_mixture", "logit_normal", "poisson", "zinb", "zinb by decoder"}
BY_NIGHT |= {"censored_gaussian"}
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
    evaluations = [(step, evaluation.figures()) for step, evaluation, _ in recorder.evaluations]
    for step, figures in recorder.figures + evaluations:
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
