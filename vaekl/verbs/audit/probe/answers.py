"""What a loss is among vaekl's strategies where no card says it: a sentence and the command."""

from math import isclose

from vaekl.verbs.audit.card import data_words
from vaekl.verbs.audit.probe.card_words import weight_ratio
from vaekl.verbs.audit.probe.energy import LARGEST_RESIDUAL, Term
from vaekl.verbs.audit.probe.reading import Reading
from vaekl.verbs.audit.text import number

#: errors of all values at once -> the options of `vaekl train`, and what the error is
_TOGETHER = {
    "log_mean_square": (
        "likelihood=gaussian weighting=optimal_precision",
        "½N ln of the mean square error is a Gaussian at the σ that fits best: optimal_precision",
    ),
    "log_mean_absolute": (
        "likelihood=laplace weighting=optimal_precision",
        "N ln of the mean absolute error is a Laplace at the scale that fits best: optimal_precision",
    ),
    "rmse": ("likelihood=gaussian weighting=optimal_precision", ""),
}
_CROSS_ENTROPIES = ("bce", "bce_logits", "bce_half", "bce_swapped")
#: families that have a scale of vaekl's
_SCALED = {"mse": "gaussian", "l1": "laplace"}
_CB = ("likelihood=cb weighting=auto", "the continuous Bernoulli with its constant: nothing is dropped")
#: the other families -> the same, with the parameter in the sentence as {p}
_FAMILIES = {
    "huber": (
        "likelihood=logistic weighting=auto",
        "Huber's loss is a density, Gaussian within δ = {p} and Laplace outside; nearest is the logistic",
    ),
    "charbonnier": (
        "likelihood=logistic weighting=auto",
        "√(d² + ε²) is a hyperbolic density, Gaussian within ε = {p}; nearest is the logistic",
    ),
    "cb": _CB,
    "cb_logits": _CB,
    "poisson": ("likelihood=poisson", ""),
    "poisson_rate": ("likelihood=poisson", ""),
    "nb": ("likelihood=negative_binomial", ""),
    "power": ("", "|d|^{p} is a generalised normal density: vaekl has none of that kind"),
}


def nearest(reading: Reading) -> tuple[str, str]:
    """The command for the likelihood, weighting and control that it is, or the nearest, and what it is; "" for none."""
    options, sentence = _strategy(reading)
    scale = reading.scale
    family = options.split(" ", 1)[0]
    if family and reading.kl.kink is not None:
        options = _of_kink(reading, family)
    elif family and scale is not None and scale.residual < LARGEST_RESIDUAL:
        weighting = "weighting=learned_precision" if scale.single else "likelihood.scale=decoder weighting=auto"
        options = f"{family} {weighting}{_information_weight(weight_ratio(reading))}"
    if not options:
        return "", sentence
    words = reading.words
    data = [f"model.latents={words.latents}"] if words.latents is not None else []
    if words.shape is not None:
        is_count = family in ("likelihood=poisson", "likelihood=negative_binomial")
        data += data_words(words.shape, words.range, is_count, is_binary=family == "likelihood=bernoulli")
    return " ".join(["vaekl train", options, *data]), sentence


def _strategy(reading: Reading) -> tuple[str, str]:
    """The options for one φ of the loss and no control, and the sentence."""
    read, scale = reading.reconstruction, reading.scale
    if read.together in _TOGETHER:
        return _TOGETHER[read.together]
    if read.term is None or read.residual > LARGEST_RESIDUAL:
        return "", ""
    options, sentence = _of_term(reading, read.term)
    if scale is not None and scale.residual < LARGEST_RESIDUAL and scale.single:
        return options, "one learned scale for all values: that is learned_precision"
    if len(read.term.families) > 1:
        return options, "a sum of two errors is one density of its own, between theirs: vaekl has none of that kind"
    return options, sentence


def _of_term(reading: Reading, term: Term) -> tuple[str, str]:
    name = term.family.name
    phi = weight_ratio(reading) if reading.kl.is_right or reading.kl.kink is not None else None
    if name in _SCALED and len(term.families) == 1:
        weighting = "auto" if phi is None else f"fixed_beta weighting.beta={phi:.8g}"
        return f"likelihood={_SCALED[name]} weighting={weighting}", ""
    if name in _CROSS_ENTROPIES:
        return f"likelihood={'bernoulli' if reading.words.data == 'binary' else 'cb'} weighting=auto", ""
    if name == "logcosh":
        return _of_log_cosh(term, phi)
    if name == "student_t":
        text = f"ln(1 + d²/c²) is Student's t with ν φ = c² = {number(term.parameter**2)}"
        return "likelihood=student_t weighting=auto", text
    options, sentence = _FAMILIES.get(name, ("", ""))
    return options, sentence.format(p=number(term.parameter))


def _of_log_cosh(term: Term, ratio: float | None) -> tuple[str, str]:
    # that logistic's error is 2 ln cosh(α d), beside a KL of weight 1
    phi = 0.5 / term.parameter
    options = f"likelihood=logistic weighting=fixed_dispersion weighting.dispersion={phi:.6g}"
    text = f"log-cosh is the logistic of scale φ = 1/(2α) = {number(phi)}"
    if ratio is None:
        return options, f"{text} where the KL's weight is φ times that of ln cosh(αd)/α"
    share = ratio / phi
    if isclose(share, 1, rel_tol=1e-4):
        return options, text
    return f"{options}{_information_weight(share)}", f"{text}, beside a KL that counts {number(share)} times as much"


def _information_weight(ratio: float | None) -> str:
    if ratio is None or isclose(ratio, 1, rel_tol=1e-4):
        return ""
    return f" control=information_weight control.weight={ratio:.6g}"


def _of_kink(reading: Reading, family: str) -> str:
    """E at a given φ, beside a KL that a control bends."""
    kink, ratio = reading.kl.kink, weight_ratio(reading)
    assert kink is not None
    words = [family]
    if kink.shape == "floor":
        if ratio is not None and family in ("likelihood=gaussian", "likelihood=laplace"):
            words.append(f"weighting=fixed_dispersion weighting.dispersion={ratio:.6g}")
        words.append(f"control=free_bits control.floor={kink.nats:.6g}")
        words += ["control.groups=1"] if kink.over == "image" else []
        words += [] if kink.over == "batch" else ["control.of=image"]
    elif kink.shape == "distance":
        words.append(f"weighting=fixed_dispersion control=capacity control.target={kink.nats:.6g}")
        # in units of E at φ = 1
        words += [f"control.gamma={ratio:.6g}"] if ratio is not None else []
    else:
        words.append("weighting=auto")
    return " ".join(words)
