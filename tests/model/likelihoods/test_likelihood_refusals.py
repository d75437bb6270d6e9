"""What is clipped is said; what does not fit is refused in one sentence."""

from math import log

import pytest
import torch
from likelihood_cases import Case

from vaekl.data.spec import DataSpec
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
from vaekl.system.errors import VaeklError

ONE = torch.ones(1, 1, 1)
REALS = (Gaussian, Laplace, Logistic, StudentT)
ON_LEVELS = (Categorical, DiscretizedLogistic, LogisticMixture)
COUNTS = (NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial)
BOUNDED = (ContinuousBernoulli, Beta, TruncatedGaussian, CensoredGaussian, LogitNormal)
FAMILIES = {family.name: family for family in (*REALS, *COUNTS, Bernoulli, *BOUNDED, *ON_LEVELS)}
ACCEPTS = {
    **{family.name: {"real", "unit_interval", "binary"} for family in REALS},
    **{family.name: {"counts"} for family in COUNTS},
    "bernoulli": {"binary"},
    **{family.name: {"unit_interval"} for family in BOUNDED},
    "categorical": {"levels"},
    "discretized_logistic": {"levels"},
    "logistic_mixture": {"levels"},
}
LEVELS = {"binary": 2, "levels": 17, "unit_interval": 256, "real": None, "counts": None}


def refusal(act, *arguments):
    """The sentence with which it is refused: one line, one full stop at its end."""
    with pytest.raises(VaeklError) as caught:
        act(*arguments)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and ". " not in message
    return message


@pytest.mark.parametrize("support", LEVELS)
@pytest.mark.parametrize("family", FAMILIES)
def test_data_of_another_support_are_refused_with_a_cure(family, support):
    spec = DataSpec("mydata", (1, 4, 4), LEVELS[support], support, "warped, as I did it")
    if support in ACCEPTS[family]:
        return FAMILIES[family]().check_spec(spec)
    message = refusal(FAMILIES[family]().check_spec, spec)
    assert f"likelihood={family} takes" in message and "dataset=mydata" in message and "warped" in message
    *transforms, families = message.split("use ", 1)[1].removesuffix(".").split(", or ")
    named = families.removeprefix("likelihood=").replace(" or ", ", ").split(", ")
    assert set(named) == {name for name, supports in ACCEPTS.items() if support in supports}
    as_numbers = support == "counts" and "real" in ACCEPTS[family]
    assert ("dataset.kind=real to treat them as numbers" in transforms) == as_numbers
    of_counts = support == "real" and "counts" in ACCEPTS[family]
    assert ("dataset.kind=counts if they are whole numbers" in transforms) == of_counts
    assert ("transform=levels" in transforms) == (LEVELS[support] is not None and "levels" in ACCEPTS[family])
    assert ("transform=dequantize" in transforms) == (support == "levels" and "unit_interval" in ACCEPTS[family])


@pytest.mark.parametrize(
    ("family", "low", "high"),
    [
        ("bernoulli", -1, 1),
        ("cb", 0, 255),
        ("beta", -0.1, 1),
        ("truncated_gaussian", 0, 2),
        ("censored_gaussian", -0.1, 1),
        ("categorical", 0, 17),
        ("poisson", -1, 3),
        ("cb", 0, float("nan")),
    ],
)
def test_values_outside_the_support_are_refused(family, low, high):
    likelihood = Categorical(17) if family == "categorical" else FAMILIES[family]()
    message = refusal(likelihood.check_support, torch.tensor([low, 0.5, high]).view(1, 1, 1, 3))
    assert f"likelihood={family}" in message and f"from {low:g} to {high:g}" in message.replace("from nan", "from 0")


@pytest.mark.parametrize("likelihood", [Bernoulli(), Categorical(3)], ids=lambda likelihood: likelihood.name)
def test_grey_values_are_no_integers(likelihood):
    likelihood.check_support(torch.tensor([0.0, 1.0]))
    message = refusal(likelihood.check_support, torch.tensor([0.0, 0.37, 1.0]))
    assert f"likelihood={likelihood.name}" in message and "0.37" in message and "likelihood=cb" in message


def test_fractions_are_no_counts():
    Poisson().check_support(torch.tensor([0.0, 2.0**24]))
    message = refusal(Poisson().check_support, torch.tensor([0.0, 3.5]))
    assert "likelihood=poisson takes whole numbers" in message and "3.5" in message and "likelihood=gaussian" in message


def test_values_inside_the_support_pass():
    for likelihood in (Bernoulli(), ContinuousBernoulli(), Beta(clamp=1e-4), Categorical(2)):
        likelihood.check_support(torch.tensor([0.0, 1.0]))
    for likelihood in (family() for family in REALS):
        likelihood.check_support(torch.tensor([-1e30, 1e30]))
    for likelihood in (TruncatedGaussian(), CensoredGaussian()):
        likelihood.check_support(torch.tensor([0.0, 1.0]))
    for likelihood in (Beta(), LogitNormal()):
        likelihood.check_support(torch.tensor([1e-30, 1 - 2**-24]))


@pytest.mark.parametrize("x", [0.0, 1.0])
def test_open_supports_refuse_the_ends(x):
    message = refusal(Beta().check_support, torch.tensor([0.5, x]))
    assert all(cure in message for cure in ("clamp=1e-4", "likelihood=cb", "transform=dequantize"))
    message = refusal(LogitNormal().check_support, torch.tensor([0.5, x]))
    assert "likelihood=logit_normal" in message and "transform=dequantize" in message and "clamp" not in message
    assert "truncated_gaussian" in message and "beta" not in message


BAD_OPTIONS = [
    *[
        (family, {"max_logit": value}, "likelihood.max_logit")
        for family in (Bernoulli, ContinuousBernoulli)
        for value in (-1, 0, "abc", float("nan"), float("inf"), True, [9.21])
    ],
    *[(LogisticMixture, {"components": value}, "likelihood.components") for value in (0, 1.5, None, 10**9)],
    *[
        (family, {"min_scale": value}, "likelihood.min_scale")
        for family in (DiscretizedLogistic, LogisticMixture)
        for value in (0, None)
    ],
    (DiscretizedLogistic, {"scale": "decodr"}, "likelihood.scale"),
    *[(Beta, {"clamp": value}, "likelihood.clamp") for value in (0.7, -1e-4, "abc", float("nan"), True, None, 1e-12)],
    *[(family, {"link": value}, "likelihood.link") for family in (Gaussian, Laplace) for value in ("foo", None, 3)],
    *[
        (StudentT, {"df": value}, "likelihood.df")
        for value in (2, 1.5, -3, 1e7, "abc", float("nan"), float("inf"), True, None)
    ],
    *[
        (family, {"dispersion": value}, "likelihood.dispersion")
        for family in COUNTS
        if family is not Poisson
        for value in ("value", None, 2)
    ],
    *[(Laplace, {"scale": value}, "likelihood.scale") for value in ("foo", None)],
    *[(Gaussian, {"per": value}, "likelihood.per") for value in ("channel", 1)],
    *[(Gaussian, {"min_scale": value}, "likelihood.min_scale") for value in (0, -1.0, "abc", float("nan"), True, None)],
]


@pytest.mark.parametrize(
    ("family", "options", "key"), BAD_OPTIONS, ids=lambda value: getattr(value, "name", str(value))
)
def test_bad_options_are_refused_by_name_and_value(family, options, key):
    message = refusal(lambda: family(**options))
    assert key in message and repr(*options.values()) in message


@pytest.mark.parametrize(
    ("family", "dispersion", "words"),
    [
        ("beta", 0.5, "at least 1"),
        ("poisson", 2.0, "likelihood=negative_binomial"),
        ("negative_binomial", 0.0, "positive"),
        ("gaussian", 0.0, "positive"),
        ("laplace", -1.0, "positive"),
        ("cb", float("nan"), "positive"),
        ("gaussian", float("inf"), "finite"),
        ("beta", float("inf"), "finite"),
        ("logistic_mixture", 0.5, "must be 1"),
        ("logistic_mixture", 0.0, "positive"),
    ],
)
def test_a_dispersion_without_a_density_is_refused(family, dispersion, words):
    message = refusal(FAMILIES[family]().check_dispersion, dispersion)
    assert f"likelihood={family}" in message and words in message and f"not {dispersion:g}" in message


@pytest.mark.parametrize("family", FAMILIES)
def test_usual_dispersions_pass(family):
    for dispersion in {"beta": (1.0, 4.0), "logistic_mixture": (1.0,), "poisson": (1.0,)}.get(family, (1e-4, 1.0, 4.0)):
        FAMILIES[family]().check_dispersion(dispersion)


@pytest.mark.parametrize("family", ON_LEVELS)
def test_levels_are_taken_from_the_data_or_refused(family):
    spec = DataSpec("digits", (1, 8, 8), 17, "levels")
    likelihood = family()
    likelihood.check_spec(spec)
    assert likelihood.bounds == (0, 16)
    assert likelihood.outputs == {"categorical": 17, "discretized_logistic": 1, "logistic_mixture": 15}[family.name]
    family(levels=17).check_spec(spec)
    message = refusal(family(levels=256).check_spec, spec)
    assert "levels=256" in message and "dataset=digits" in message and "17" in message


def test_a_decoder_that_gives_the_scale_leaves_nothing_for_phi():
    likelihood = DiscretizedLogistic("decoder")
    likelihood.check_dispersion(1.0)
    message = refusal(likelihood.check_dispersion, 0.5)
    assert "must be 1, not 0.5" in message and "likelihood.scale=shared" in message
    assert "at least 0.0005" in likelihood.protocol and "5 scales, at least 0.0005" in LogisticMixture().protocol


@pytest.mark.parametrize("family", [Bernoulli, ContinuousBernoulli])
def test_max_logit_clips_the_density_and_its_gradient(family):
    published = log((1 - 1e-4) / 1e-4)
    assert published == pytest.approx(9.21, abs=5e-4)
    likelihood = family(max_logit=9.21)
    assert likelihood.protocol == "logits clipped to ±9.21" and family().protocol == "nothing clipped"
    eta = torch.tensor([-1600.0, -9.0, 9.0, 1600.0]).view(-1, 1, 1, 1, 1).requires_grad_()
    x = torch.full((4, 1, 1, 1), 1.0)
    clipped = torch.tensor([-9.21, -9.0, 9.0, 9.21]).view(-1, 1, 1, 1, 1)
    assert torch.equal(likelihood.log_prob(eta, x, ONE), family().log_prob(clipped, x, ONE))
    assert torch.equal(likelihood.mean(eta, ONE), family().mean(clipped, ONE))
    likelihood.log_prob(eta, x, ONE).sum().backward()
    assert (eta.grad.flatten() != 0).tolist() == [False, True, True, False]


def test_the_published_clip_caps_what_cb_can_report():
    """784 pixels at x = 1 with a clipped logit: ln p = ln C(9.21) − softplus(−9.21), far under the exact constant's."""
    eta, x = torch.full((1, 1, 1, 1, 1), 1600.0).double(), torch.ones(1, 1, 1, 1).double()
    for likelihood, a in ((ContinuousBernoulli(max_logit=9.21), 9.21), (ContinuousBernoulli(), 1600.0)):
        exact = Case("cb", (a,), 1.0).exact.logpdf([1.0])
        assert likelihood.log_prob(eta, x, ONE.double()).item() == pytest.approx(exact.item(), rel=1e-12)


def test_degrees_of_the_decoder_take_its_scale_too():
    assert "takes likelihood.scale=decoder too" in refusal(lambda: StudentT(df="decoder"))
    assert StudentT(df="decoder", scale="decoder").outputs == 3
