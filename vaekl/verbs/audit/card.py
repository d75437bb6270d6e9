"""The card of a loss: the equation that it is, what it claims about pixels, and what it lacks."""

from math import isclose, log, sqrt

from vaekl.verbs.audit.loss import GREY_LEVELS, Loss

_ERROR = {"mse": "(x − x̂)²", "l1": "|x − x̂|", "bce": "BCE(x̂, x)"}
_ENERGY = {"gaussian": "½(x − x̂)²", "laplace": "|x − x̂|", "bernoulli": "BCE(x̂, x)", "cb": "BCE(x̂, x)"}
_DENSITY = {
    "gaussian": "Gaussian, p(x|z) = N(x; x̂, σ² I), with variance φ = σ²",
    "laplace": "Laplace, p(x|z) ∝ exp(−|x − x̂|/φ), with scale φ",
    "bernoulli": "Bernoulli on {0, 1}, x̂ = sigmoid(a) the probability of a 1",
    "cb": "continuous Bernoulli on [0, 1], with logit a = logit(x̂)",
}
_DATASETS = {(1, 8, 8): "digits", (1, 28, 28): "mnist", (3, 32, 32): "cifar10", (3, 64, 64): "celeba"}
#: a root mean square deviation of values in [0, 1] from a constant cannot be larger
_WIDEST = 0.5
_INDENT = 15


def loss_card(loss: Loss) -> str:
    """Everything that `vaekl audit` says about a loss."""
    return lines(
        {
            "your loss": _as_typed(loss),
            "the same": _standard(loss),
            "why": _product(loss),
            "likelihood": _likelihood(loss),
            "σ": _sigma(loss),
            "effective β_KL": _beta(loss),
            "dropped": _dropped(loss),
            "factor": _factor(loss),
            "note": _notes(loss),
            "verdict": _verdict(loss),
            "train it": train_line(loss),
            "better": _better(loss),
        }
    )


def lines(content: dict[str, str]) -> str:
    """One entry a line; further lines of an entry stand below its first, empty entries are left out."""
    margin = "\n" + " " * (_INDENT + 2)
    return "\n".join(f"  {key:<{_INDENT}}{text.replace(chr(10), margin)}" for key, text in content.items() if text)


def number(value: float) -> str:
    """At most five digits, with thousands in groups."""
    text = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.5g}"
    return text.replace("-", "−", 1) if value < 0 else text


def in_grey_levels(sigma: float, width: float = 1.0) -> str:
    """σ in grey levels of 255.

    >>> in_grey_levels(0.5)
    '0.5 = 128 grey levels of 255'
    """
    levels = sigma / width * GREY_LEVELS
    text = number(round(levels)) if levels >= 100 else f"{levels:.3g}"
    return f"{sigma:.4g} = {text} grey levels of {GREY_LEVELS}"


def gaussian_verdict(sigma: float) -> str:
    """What to think of a σ on data in [0, 1]."""
    said = f"σ = {in_grey_levels(sigma)}"
    if sigma > _WIDEST:
        return (
            f"{said}: more than any data in [0, 1] can scatter (0.5 at most).\n"
            "A latent survives only where its part of the data varies more: `vaekl audit dataset=NAME` counts them."
        )
    if sigma > 0.2:
        return f"{said}: coarse. Whatever varies less than this along a latent is noise, and that latent collapses."
    if sigma >= 0.02:
        return f"{said}: within what decoders of photographs and digits leave as error."
    if sigma >= 1 / GREY_LEVELS:
        return f"{said}: fine. If your RMSE is larger, the KL has too little weight and the prior does not fit."
    return f"{said}: less than a single grey level. The KL hardly counts; this is an autoencoder."


def train_line(loss: Loss) -> str:
    """The `vaekl train` command that minimises the same loss, on data scaled to [0, 1]."""
    words = [f"likelihood={loss.likelihood}", "weighting=fixed_beta", f"weighting.beta={loss.beta_kl:.8g}"]
    if loss.latents:
        words.append(f"model.latents={loss.latents}")
    words.append("transform=binarize" if loss.data == "binary" and loss.reconstruction == "bce" else "transform=scale")
    words.append(f"dataset={_DATASETS[loss.shape]}" if loss.shape in _DATASETS else "dataset=npz dataset.path=FILE.npz")
    if loss.batch_size:
        words.append(f"trainer.batch_size={loss.batch_size}")
    return " ".join(["vaekl train", *words])


def _as_typed(loss: Loss) -> str:
    def term(weight: str, over_batch: str, over: str, what: str, axis: str) -> str:
        return f"{weight}{over_batch}_batch {over}_{axis} {what}"

    weight = f"{loss.reconstruction_weight:g} · " if loss.reconstruction_weight != 1 else ""
    square = ("½" if loss.half else "") + _ERROR[loss.reconstruction]
    first = term(weight, loss.batch_reduction, loss.reduction, square, "pixels")
    names = [text for text, value in loss.kl_numbers() if value != 1]
    values = [number(value) for _, value in loss.kl_numbers() if value != 1]
    second = term(
        "".join(f"{value} · " for value in values), loss.kl_batch_reduction, loss.kl_reduction, "KL", "latents"
    )
    named = f"   ({' · '.join(names)})" if names != ["kl_weight"] and names else ""
    return f"{first} + {second}{named}"


def _standard(loss: Loss) -> str:
    averaged = "summed over the batch" if loss.per_batch else "averaged over images"
    inside = f"E + {number(loss.phi)} · KL" if loss.phi != 1 else "E + KL"
    outside = f"{number(loss.energy_factor)} · ({inside})" if loss.energy_factor != 1 else inside
    return f"{outside}, E = Σ {_ENERGY[loss.likelihood]}, {averaged}"


def _factor(loss: Loss) -> str:
    if loss.energy_factor == 1 and not loss.per_batch:
        return ""
    which = "the batch size" if loss.per_batch else number(loss.energy_factor)
    return f"{which} multiplies both terms: it rescales SGD's learning rate, and Adam's steps hardly at all"


def _product(loss: Loss) -> str:
    factors = loss.phi_factors()
    if not factors:
        return "φ = 1, since both terms are sums with nothing before them"
    return f"φ = {number(loss.phi)}, the product of\n" + "\n".join(f"{number(v):<9} {text}" for v, text in factors)


def _likelihood(loss: Loss) -> str:
    if loss.likelihood in ("bernoulli", "cb") and loss.phi != 1:
        return f"{_DENSITY[loss.likelihood]}, tempered: logit a/φ with φ = {number(loss.phi)}"
    return f"{_DENSITY[loss.likelihood]} = {number(loss.phi)}" if loss.sigma else _DENSITY[loss.likelihood]


def _sigma(loss: Loss) -> str:
    if loss.sigma is None:
        # a Bernoulli's variance is p(1 − p); among continuous Bernoullis the uniform density scatters most
        most, which = (0.5, "at p = ½") if loss.likelihood == "bernoulli" else (1 / sqrt(12), "at a = 0")
        return f"each pixel has its own, at most {in_grey_levels(most)} ({which})"
    root = "√φ" if loss.likelihood == "gaussian" else "√2 · φ"
    where = f" on data in [{loss.range[0]:g}, {loss.range[1]:g}]"
    return f"{root} = {in_grey_levels(loss.sigma, loss.width)}{where}"


def _beta(loss: Loss) -> str:
    text = number(loss.beta_kl)
    if loss.width != 1 and loss.sigma is not None:
        text += f" for data scaled to [0, 1] ({number(loss.phi)} on yours)"
    if (norm := loss.normalised_beta) is not None:
        text += f"; normalised β_KL · Z/N = {number(norm)}"
    return text


def _dropped(loss: Loss) -> str:
    if loss.exact:
        return f"nothing: the negative ELBO is {_divided(loss)}"
    if loss.likelihood == "bernoulli":
        return (
            "ln C(a, φ) = softplus(a)/φ − softplus(a/φ) a pixel, which is 0 at φ = 1 alone\n"
            "It depends on the decoder, so the optimum moves"
        )
    if loss.likelihood == "cb":
        text = "−ln C(a), with ln C = ln(a / tanh(a/2)) a pixel" + (" at φ = 1" if loss.phi != 1 else "")
        text += "\nIt depends on the decoder, so the optimum moves"
        if loss.values and loss.phi >= 1:
            # for φ ≥ 1 ln C grows with |a|, from ln 2/φ at a = 0
            least = "N ln 2" if isclose(loss.phi, 1, rel_tol=1e-4) else "N ln 2/φ"
            text += f"; ln C is at least {least} = {number(loss.values * log(2) / loss.phi)} nats per image"
        return text
    formula = "−(N/2) ln(2πφ)" if loss.likelihood == "gaussian" else "−N ln(2φ)"
    text = f"ln C = {formula}"
    if (constant := loss.log_norm_const) is not None:
        sign = "−" if constant >= 0 else "+"
        text += f" = {number(constant)} nats per image (N = {loss.values:,})"
        text += f"; negative ELBO = {_divided(loss)} {sign} {number(abs(constant))}"
    return f"{text}\nIt does not depend on the decoder, so the optimum stays where it is as long as φ is fixed"


def _divided(loss: Loss) -> str:
    what = "loss / images" if loss.per_batch else "loss"
    return what if loss.kl_factor == 1 else f"{what} / {number(loss.kl_factor)}"


def _notes(loss: Loss) -> str:
    notes = []
    if loss.reduction == "mean" and loss.kl_reduction == "sum":
        notes.append(
            f"The mean over {loss.values:,} values divides the reconstruction alone: the KL counts so much more."
        )
    if loss.kl_reduction == "mean":
        notes.append("The KL is a sum over latents by definition; its mean makes φ depend on how many there are.")
    if loss.beta_norm is not None and "mean" in (loss.reduction, loss.kl_reduction):
        notes.append(
            "β_norm already divides by N and Z, and a mean does so again: with means, β is usually what is meant."
        )
    if loss.batch_reduction != loss.kl_batch_reduction:
        notes.append("One term is summed over the batch and the other averaged: another batch size is another φ.")
    if loss.kl_weight == "M_N":
        notes.append("Both terms are already of one image: M_N is no correction for minibatches, it is a β.")
    if loss.likelihood == "bernoulli" and not loss.exact:
        notes.append("At β = 1 binary cross-entropy is exact; any other weight is that of sharper or duller pixels.")
    if loss.likelihood == "cb":
        notes.append("Cross-entropy on grey values without its constant: the error of Loaiza-Ganem, Cunningham 2019.")
    return "\n".join(notes)


def _verdict(loss: Loss) -> str:
    if loss.sigma is not None:
        return gaussian_verdict(loss.sigma / loss.width)
    if loss.exact:
        return "exact: the loss is the negative ELBO, and there is nothing to tune"
    if loss.likelihood == "bernoulli":
        return f"a likelihood tempered by φ = {number(loss.phi)}, without the constant that would make it one"
    return "not an ELBO of any density on [0, 1]: keep the constant, which leaves nothing to tune"


def _better(loss: Loss) -> str:
    if loss.exact:
        return ""
    if loss.likelihood == "bernoulli":
        return "likelihood=bernoulli weighting=auto (β = 1)"
    if loss.likelihood == "cb":
        return "likelihood=cb weighting=auto keeps ln C"
    return f"likelihood={loss.likelihood} weighting=auto learns φ with the rest"
