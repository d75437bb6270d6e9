"""A reading in the words of `vaekl audit`: the loss of which a card can be printed, or what keeps it from one."""

from dataclasses import dataclass
from math import isclose, prod
from typing import Any, Literal

from vaekl.system.errors import VaeklError
from vaekl.verbs.audit.loss import EXAMPLES, Loss, Reduction
from vaekl.verbs.audit.probe.energy import LARGEST_RESIDUAL
from vaekl.verbs.audit.probe.reading import Reading
from vaekl.verbs.audit.probe.scaling import Scaling

#: families that a card knows, by the names that it has for them
CARDS: dict[str, Literal["mse", "l1", "bce", "gaussian_nll", "poisson", "nb"]] = {
    "mse": "mse", "l1": "l1", "bce": "bce", "bce_logits": "bce", "poisson": "poisson", "poisson_rate": "poisson",
    "nb": "nb",
}  # fmt: skip


@dataclass(frozen=True)
class Weight:
    """A term's weight in the words of a card.

    Args:
        number: that stands before it.
        reduction: over values or latents.
        batch_reduction: over images.
        lacks: words without which the number cannot be given, as in "shape".
    """

    number: float
    reduction: Reduction
    batch_reduction: Reduction
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoCard:
    """Why no card is printed of a loss; both are empty where it is none of those that cards are printed of.

    Args:
        lacks: sizes that have to be typed for it: shape, latents, batch_size.
        sentence: what else stands against it.
    """

    lacks: tuple[str, ...] = ()
    sentence: str = ""


def card_of(reading: Reading) -> Loss | NoCard:
    """The loss as a card has it, or why there is none."""
    term, scale = reading.reconstruction.term, reading.scale
    if term is None or reading.pixels is None or reading.latents is None or reading.doubt > LARGEST_RESIDUAL:
        return NoCard()
    if (
        not reading.kl.is_right
        or reading.kl.kink is not None
        or len(term.families) > 1
        or reading.whole.values
        or reading.whole.latents
        or reading.classifier
        or not all(group.is_as(reading.latents) for group in reading.groups)
    ):
        return NoCard()
    name = CARDS.get(term.family.name)
    if scale is not None:
        if not _is_gaussian_nll(reading) or scale.single:
            return NoCard()
        name = "gaussian_nll"
    if name is None:
        return NoCard()
    pixels, latents = weight_of_pixels(reading), weight_of_latents(reading)
    if pixels is None or latents is None or reading.sign * pixels.number <= 0 or reading.sign * latents.number <= 0:
        return NoCard()
    lacks = {*pixels.lacks, *latents.lacks}
    if pixels.batch_reduction != latents.batch_reduction and reading.words.batch_size is None:
        lacks.add("batch_size")
    if lacks:
        return NoCard(tuple(name for name in EXAMPLES if name in lacks))
    words, number, kl_weight = reading.words, abs(pixels.number), _rounded(abs(latents.number))
    half = name == "mse" and isclose(number, 0.5, rel_tol=1e-6)
    if name == "gaussian_nll":
        number *= 2
    sizes = reading.call.point.sizes
    fixed = reading.pixels.values is None
    options: dict[str, Any] = {
        "reconstruction": name,
        "half": half,
        "reduction": pixels.reduction,
        "batch_reduction": pixels.batch_reduction,
        "kl_reduction": latents.reduction,
        "kl_batch_reduction": latents.batch_reduction,
        "reconstruction_weight": 1.0 if half else _rounded(number),
        "kl_weight": kl_weight,
        "kl_weight_name": _kl_weight_name(reading, kl_weight),
        "shape": words.shape or (sizes.shape if fixed else None),
        "latents": words.latents,
        "batch_size": words.batch_size,
        "train_images": words.train_images,
        "range": words.range,
        "data": words.data,
    }
    if name == "poisson":
        options["full"] = reading.reconstruction.data_part in ("lgamma", "stirling")
    try:
        return Loss(**options)
    except VaeklError as error:
        return NoCard(sentence=str(error))


def weight_of_pixels(reading: Reading) -> Weight | None:
    """Of the reconstruction, for the shape that was typed; None where it has none that is told."""
    if reading.pixels is None or reading.pixels.values not in (0, -1, None):
        return None
    term, scale = reading.reconstruction.term, reading.scale
    factor = 1.0
    if term is not None and scale is not None and scale.residual < LARGEST_RESIDUAL:
        factor = scale.weight / term.weight
    return _weight(reading, reading.pixels, factor)


def weight_of_latents(reading: Reading) -> Weight | None:
    """The same of the KL."""
    if reading.latents is None or reading.latents.codes not in (0, -1, None):
        return None
    scaled, sizes = reading.latents, reading.latents.sizes
    # a loss that takes one number of latents alone: a mean is what is 1 over that number
    is_one_over = isclose(abs(scaled.weight) * sizes.codes, 1, rel_tol=1e-6)
    is_mean = scaled.codes == -1 or (scaled.codes is None and is_one_over)
    number = scaled.weight * (sizes.codes if is_mean else 1)
    lacks: tuple[str, ...] = ("latents",) if is_mean and reading.words.latents is None else ()
    number, batch_lacks = _per_image(reading, scaled, number)
    lacks += batch_lacks
    if scaled.values:
        if reading.words.shape is None:
            lacks = (*lacks, "shape")
        number *= sizes.values**-scaled.values
        number *= _values(reading) ** scaled.values
    reduction: Reduction = "mean" if is_mean else "sum"
    return Weight(number, reduction, _batch(scaled), lacks)


def weight_ratio(reading: Reading) -> float | None:
    """φ or λ: the KL's weight over the energy's, where the sizes that were typed say it."""
    if reading.whole.values or reading.whole.latents:
        return None
    card = card_of(reading)
    if isinstance(card, Loss):
        return card.phi
    pixels, latents = weight_of_pixels(reading), weight_of_latents(reading)
    if pixels is None or latents is None or reading.reconstruction.term is None or pixels.lacks or latents.lacks:
        return None
    size = reading.words.batch_size
    if pixels.batch_reduction != latents.batch_reduction and size is None:
        return None
    energy = pixels.number / (_values(reading) if pixels.reduction == "mean" else 1)
    divergence = latents.number / ((reading.words.latents or 1) if latents.reduction == "mean" else 1)
    if size is not None and pixels.batch_reduction != latents.batch_reduction:
        divergence *= size if pixels.batch_reduction == "mean" else 1 / size
    # vaekl's energy has ½ before a square
    ratio = divergence / energy / (2 if reading.reconstruction.term.family.name == "mse" else 1)
    return ratio if ratio > 0 else None


def _weight(reading: Reading, scaled: Scaling, scale: float) -> Weight:
    sizes = scaled.sizes
    number, batch_lacks = _per_image(reading, scaled, scale * scaled.weight)
    shape = reading.words.shape or sizes.shape
    lacks = (*batch_lacks, "shape") if reading.words.shape is None else batch_lacks
    if scaled.values is None:
        # the loss takes one shape alone: a mean is a number that is 1 or ½ over N
        whole = number * sizes.values
        is_mean = any(isclose(abs(whole), each, rel_tol=1e-6) for each in (1.0, 0.5))
        return Weight(whole if is_mean else number, "mean" if is_mean else "sum", _batch(scaled), batch_lacks)
    first, rest = sizes.shape[0], sizes.values // sizes.shape[0]
    if (scaled.channels, scaled.values) == (0, -1):
        # summed over the first axis and averaged over the others
        return Weight(number * rest * shape[0], "mean", _batch(scaled), lacks)
    if (scaled.channels, scaled.values) == (-1, 0):
        return Weight(number * first * _values(reading) / shape[0], "mean", _batch(scaled), lacks)
    if scaled.values == -1:
        return Weight(number * sizes.values, "mean", _batch(scaled), lacks)
    return Weight(number, "sum", _batch(scaled), batch_lacks)


def _per_image(reading: Reading, scaled: Scaling, weight: float) -> tuple[float, tuple[str, ...]]:
    """The weight of one image, without the batch's size, and whether that has to be typed to say so."""
    power = -1.0 if scaled.batch is None else scaled.batch
    number = weight * scaled.sizes.batch**-power
    if power in (0, -1):
        return number, ()
    size = reading.words.batch_size
    return number * (size or 1) ** (power + 1), () if size is not None else ("batch_size",)


def _values(reading: Reading) -> int:
    return prod(reading.words.shape or reading.call.point.sizes.shape)


def _batch(scaled: Scaling) -> Reduction:
    return "sum" if scaled.batch == 0 else "mean"


def _is_gaussian_nll(reading: Reading) -> bool:
    scale, term = reading.scale, reading.reconstruction.term
    return (
        scale is not None
        and term is not None
        and term.family.name == "mse"
        and scale.residual < LARGEST_RESIDUAL
        and abs(scale.share - 1) < 1e-4
    )


def _kl_weight_name(reading: Reading, weight: float) -> str:
    """How the loss calls the KL's weight, where one of its numbers is that weight; else the card's own word."""
    names = [
        each.name
        for each in reading.numbers
        if each.does == "weighs" and each.kl == 1 and not each.reconstruction and isclose(each.value, weight)
    ]
    return names[0] if names else "kl_weight"


def _rounded(number: float) -> float:
    """The shortest number that the fit cannot tell from it: an ε within a logarithm costs digits."""
    short = (float(f"{number:.{digits}g}") for digits in range(1, 9))
    return next((value for value in short if isclose(value, number, rel_tol=2e-6)), number)
