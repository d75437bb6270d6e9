"""What a loss is among vaekl's strategies where no card says it: a sentence and the command."""

from math import isclose

from vaekl.verbs.audit.probe.card_words import weight_ratio
from vaekl.verbs.audit.probe.energy import TOLD
from vaekl.verbs.audit.probe.reading import Reading
from vaekl.verbs.audit.text import number


def answer(reading: Reading) -> str:
    """The likelihood, weighting and control that it is, or the nearest; "" where there is none."""
    scale = reading.scale
    likelihood = _likelihood(reading)
    if not likelihood:
        return ""
    if reading.kl.kink is not None:
        return f"vaekl train {_of_kink(reading, likelihood)}"
    if scale is not None and scale.residual < TOLD:
        family = likelihood.split(" ", 1)[0]
        words = [family, "weighting=learned_precision" if scale.single else "likelihood.scale=decoder weighting=auto"]
        ratio = weight_ratio(reading)
        if ratio is not None and not isclose(ratio, 1, rel_tol=1e-4):
            words.append(f"control=information_weight control.weight={ratio:.6g}")
        return f"vaekl train {' '.join(words)}"
    return f"vaekl train {likelihood}"


def _of_kink(reading: Reading, likelihood: str) -> str:
    """E at a given φ, beside a KL that a control bends."""
    kink, ratio = reading.kl.kink, weight_ratio(reading)
    assert kink is not None
    words = [likelihood.split(" ", 1)[0]]
    if kink.shape == "floor":
        if ratio is not None and words[0] in ("likelihood=gaussian", "likelihood=laplace"):
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


def _likelihood(reading: Reading) -> str:
    read = reading.reconstruction
    if read.together == "log_mean_square":
        return "likelihood=gaussian weighting=optimal_precision"
    if read.together == "log_mean_absolute":
        return "likelihood=laplace weighting=optimal_precision"
    if read.together == "rmse":
        return "likelihood=gaussian weighting=optimal_precision"
    if read.term is None or read.residual > TOLD:
        return ""
    name, crossed = read.term.family.name, "bernoulli" if reading.words.data == "binary" else "cb"
    phi = weight_ratio(reading) if reading.kl.is_right or reading.kl.kink is not None else None
    if name in ("mse", "l1") and len(read.term.families) == 1:
        family = {"mse": "gaussian", "l1": "laplace"}[name]
        if phi is None:
            return f"likelihood={family} weighting=auto"
        return f"likelihood={family} weighting=fixed_beta weighting.beta={phi:.8g}"
    if name == "logcosh":
        # ln cosh(α d)/α of weight w beside a KL of weight v is a logistic of φ = 1/(2α) where w/v = 2α
        return f"likelihood=logistic weighting=fixed_dispersion weighting.dispersion={0.5 / read.term.parameter:.6g}"
    return {
        "huber": "likelihood=logistic weighting=auto",
        "charbonnier": "likelihood=logistic weighting=auto",
        "student_t": "likelihood=student_t weighting=auto",
        "cb": "likelihood=cb weighting=auto",
        "cb_logits": "likelihood=cb weighting=auto",
        **dict.fromkeys(("bce", "bce_logits", "bce_half", "bce_swapped"), f"likelihood={crossed} weighting=auto"),
        "poisson": "likelihood=poisson",
        "poisson_rate": "likelihood=poisson",
        "nb": "likelihood=negative_binomial",
    }.get(name, "")


def is_what(reading: Reading) -> str:
    """What the reconstruction is, where its name is none of vaekl's."""
    read = reading.reconstruction
    if read.together == "log_mean_square":
        return "½N ln of the mean square error is a Gaussian at the σ that fits best: optimal_precision"
    if read.together == "log_mean_absolute":
        return "N ln of the mean absolute error is a Laplace at the scale that fits best: optimal_precision"
    if read.term is None or read.residual > TOLD:
        return ""
    if reading.scale is not None and reading.scale.residual < TOLD and reading.scale.single:
        return "one learned scale for all values: that is learned_precision"
    if len(read.term.families) > 1:
        return "a sum of two errors is one density of its own, between theirs: vaekl has none of that kind"
    p = number(read.term.parameter)
    return {
        "huber": f"Huber's loss is a density, Gaussian within δ = {p} and Laplace outside; nearest is the logistic",
        "logcosh": f"log-cosh is the logistic of scale φ = 1/(2α) = {number(0.5 / (read.term.parameter or 1))}",
        "charbonnier": f"√(d² + ε²) is a hyperbolic density, Gaussian within ε = {p}; nearest is the logistic",
        "student_t": f"ln(1 + d²/c²) is Student's t with ν φ = c² = {number(read.term.parameter**2)}",
        "power": f"|d|^{p} is a generalised normal density: vaekl has none of that kind",
        "cb": "the continuous Bernoulli with its constant: nothing is dropped",
        "cb_logits": "the continuous Bernoulli with its constant: nothing is dropped",
    }.get(read.term.family.name, "")
