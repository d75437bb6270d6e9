"""The card of a loss: the equation that it is, what it claims about pixels, and what it lacks."""

from math import log

from vaekl.verbs.audit.loss import Loss
from vaekl.verbs.audit.text import lines, number

#: what pictures of 8 bits are commonly scaled to; other data are numbers
_RANGES_OF_PICTURES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
_DATASETS: dict[tuple[int, ...], str] = {
    (1, 8, 8): "digits",
    (1, 28, 28): "mnist",
    (3, 32, 32): "cifar10",
    (3, 64, 64): "celeba",
}


def loss_card(loss: Loss, is_whole: bool = False) -> str:
    """Everything that `vaekl audit` says about a loss.

    Args:
        loss: in the words of a card.
        is_whole: whether it has the constant of its density too.
    """
    return lines(
        {
            "your loss": _as_typed(loss),
            "the same": _standard(loss),
            "why": _product(loss),
            "likelihood": _likelihood(loss),
            "σ": _sigma(loss),
            "effective β_KL": _beta(loss),
            "dropped": _nothing(loss) if is_whole else _dropped(loss),
            "factor": _factor(loss),
            "note": _notes(loss),
            "verdict": _verdict(loss),
            "train it": train_line(loss),
            "better": _better(loss),
        }
    )


def train_line(loss: Loss) -> str:
    """The `vaekl train` command that minimises the same loss: of pictures scaled to [0, 1], of numbers as they are."""
    is_picture = loss.range in _RANGES_OF_PICTURES
    beta = loss.beta_kl if is_picture else loss.phi
    words = [f"likelihood={loss.density.likelihood}", *loss.density.options]
    if not loss.density.options:
        words += ["weighting=fixed_beta", f"weighting.beta={beta:.8g}"]
    elif beta != 1:  # fixed_beta would drop a ln C that holds what the decoder gives, or fix what is learned
        words += ["control=information_weight", f"control.weight={beta:.8g}"]
    if loss.latents:
        words.append(f"model.latents={loss.latents}")
    is_binary = loss.data == "binary" and loss.reconstruction == "bce"
    words += data_words(loss.shape, loss.range, loss.density.counts, is_binary)
    if loss.batch_size:
        words.append(f"trainer.batch_size={loss.batch_size}")
    return " ".join(["vaekl train", *words])


def data_words(
    shape: tuple[int, ...] | None, value_range: tuple[float, float], is_count: bool, is_binary: bool
) -> list[str]:
    """The words of `vaekl train` for data of a shape: a data set that vaekl has, or else a file.

    Args:
        shape: of one example, if it is known.
        value_range: between which values the data lie.
        is_count: whether the values are counts.
        is_binary: whether they are 0 or 1.
    """
    is_picture = value_range in _RANGES_OF_PICTURES
    dataset = _DATASETS.get(shape) if is_picture and shape else None
    if is_count:
        dataset = "digits_counts" if dataset == "digits" else None
        words = [] if dataset else ["dataset.kind=counts"]
    elif not is_picture:
        words = ["transform=as_stored", "dataset.kind=real"]
    else:
        words = ["transform=binarize" if is_binary else "transform=scale"]
    return [*words, f"dataset={dataset or 'npz dataset.path=FILE.npz'}"]


def _as_typed(loss: Loss) -> str:
    def term(weight: str, over_batch: str, over: str, what: str, axis: str) -> str:
        return f"{weight}{over_batch}_batch {over}_{axis} {what}"

    weight = f"{loss.reconstruction_weight:g} · " if loss.reconstruction_weight != 1 else ""
    square = ("½" if loss.half else "") + loss.density.error
    first = term(weight, loss.batch_reduction, loss.reduction, square, "pixels")
    names = [text for text, value in loss.kl_numbers() if value != 1]
    values = [number(value) for _, value in loss.kl_numbers() if value != 1]
    second = term(
        "".join(f"{value} · " for value in values), loss.kl_batch_reduction, loss.kl_reduction, "KL", "latents"
    )
    named = f"   ({' · '.join(names)})" if names != ["kl_weight"] and names else ""
    return f"{first} + {second}{named}"


def _standard(loss: Loss) -> str:
    averaged = "summed over the batch" if loss.per_batch else f"averaged over {loss.example}s"
    inside = f"E + {number(loss.phi)} · KL" if loss.phi != 1 else "E + KL"
    outside = f"{number(loss.energy_factor)} · ({inside})" if loss.energy_factor != 1 else inside
    return f"{outside}, E = Σ {loss.density.energy}, {averaged}"


def _factor(loss: Loss) -> str:
    if loss.energy_factor == 1 and not loss.per_batch:
        return ""
    which = "the batch size" if loss.per_batch else number(loss.energy_factor)
    return f"{which} multiplies both terms: it rescales SGD's learning rate, and Adam's steps hardly at all"


def _product(loss: Loss) -> str:
    factors = loss.phi_factors()
    if not factors:
        return f"{_letter(loss)} = 1, since both terms are sums with nothing before them"
    product = "\n".join(f"{number(value):<9} {text}" for value, text in factors)
    return f"{_letter(loss)} = {number(loss.phi)}, the product of\n{product}"


def _letter(loss: Loss) -> str:
    """What the weight is: a noise level where φ is a scale, else an information weight."""
    return "φ" if loss.density.scale_power is not None else "λ"


def _likelihood(loss: Loss) -> str:
    if loss.density.scale_power is not None:
        return f"{loss.density.text} = {number(loss.phi)}"
    return loss.density.text + (", whatever the KL's weight" if loss.phi != 1 else "")


def _sigma(loss: Loss) -> str:
    if loss.sigma is None and not loss.density.largest_sigma:
        return f"each value has its own, {loss.density.sigma_text}"
    if loss.sigma is None:
        most = loss.scale.words(loss.density.largest_sigma)
        return f"each pixel has its own, at most {most} ({loss.density.largest_where})"
    where = f" on data in [{loss.range[0]:g}, {loss.range[1]:g}]"
    return f"{loss.density.sigma_text} = {loss.scale.words(loss.sigma)}{where}"


def _beta(loss: Loss) -> str:
    text = number(loss.beta_kl)
    if loss.width != 1 and loss.sigma is not None:
        text += f" for data scaled to [0, 1] ({number(loss.phi)} on yours)"
    if (norm := loss.normalised_beta) is not None:
        text += f"; normalised β_KL · Z/N = {number(norm)}"
    return text


def _nothing(loss: Loss) -> str:
    size = "" if loss.log_norm_const is None else f" = {number(loss.log_norm_const)} nats per {loss.example}"
    return f"nothing: ln C = {loss.density.constant_text}{size} is in it, so that the negative ELBO is {_divided(loss)}"


def _dropped(loss: Loss) -> str:
    if loss.density.lacks:
        return loss.density.lacks
    if loss.density.exact and loss.density.unit_log_norm_const:
        text = f"{loss.density.constant_text}, a number that no decoder changes: the optimum stays where it is"
        if loss.exact and (constant := loss.log_norm_const) is not None:
            text += f"\nnegative ELBO = {_divided(loss)} + {number(-constant)} nats per {loss.example}"
        return text
    if loss.exact:
        return f"nothing: the negative ELBO is {_divided(loss)}"
    if loss.reconstruction == "gaussian_nll":
        return "nothing: ln(2πv) is the constant of the density"
    if loss.density.exact:
        return "nothing: the probabilities sum to 1 as they are"
    if loss.moves_optimum:
        text = f"{loss.density.constant_text}\nIt depends on the decoder, so the optimum moves"
        if loss.values:
            # ln C grows with |a|, from ln 2 at a = 0
            text += f"; ln C is at least N ln 2 = {number(loss.values * log(2))} nats per {loss.example}"
        return text
    text = f"ln C = {loss.density.constant_text}"
    if (constant := loss.log_norm_const) is not None:
        sign = "−" if constant >= 0 else "+"
        text += f" = {number(constant)} nats per {loss.example} (N = {loss.values:,})"
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
    if loss.sum_is_typed:
        notes.append(_of_torch_s_sum(loss))
    if loss.batch_reduction != loss.kl_batch_reduction:
        notes.append("One term is summed over the batch and the other averaged: with another batch size φ is another.")
    if loss.kl_weight == "M_N":
        notes.append("Both terms are already of one image: M_N is no correction for minibatches, it is a β.")
    if loss.density.exact and not loss.exact:
        notes.append("At λ = 1 this is the ELBO; another λ trades rate for distortion, and says nothing of the pixels.")
    if loss.moves_optimum and not loss.density.exact:
        notes.append("Cross-entropy on grey values without its constant: the error of Loaiza-Ganem, Cunningham 2019.")
    if loss.density.note:
        notes.append(loss.density.note)
    return "\n".join(notes)


def _of_torch_s_sum(loss: Loss) -> str:
    """PyTorch's reduction="sum" is another one than the word."""
    text = (
        'reduction=sum is over the values of an image; PyTorch\'s reduction="sum" sums over the batch too: for that '
        "say batch_reduction=sum,\n"
    )
    if loss.kl_batch_reduction == "mean" and loss.batch_size:
        other = number(loss.phi / loss.batch_size)
        return f"{text}and {_letter(loss)} is {other} beside a KL that is averaged over {loss.batch_size} images."
    return f"{text}and kl_batch_reduction=sum where the KL is summed as well."


def _verdict(loss: Loss) -> str:
    if loss.sigma is not None:
        return loss.scale.verdict(loss.sigma)
    if loss.exact and loss.density.lacks:
        return "the negative ELBO up to what is dropped, and there is nothing to tune"
    if loss.exact:
        return "exact: the loss is the negative ELBO, and there is nothing to tune"
    if loss.density.exact:
        return f"an information weight λ = {number(loss.phi)}: a β-VAE, whose ELBO is reported with its KL at weight 1"
    return "not an ELBO of any density on [0, 1]: keep the constant, which leaves nothing to tune"


def _better(loss: Loss) -> str:
    if loss.density.better:
        return loss.density.better
    if loss.exact:
        return ""
    if loss.density.scale_power is not None:
        what = " learns φ with the rest"
    else:
        what = " (β = 1)" if loss.density.exact else " keeps ln C"
    return f"likelihood={loss.density.likelihood} weighting=auto{what}"
