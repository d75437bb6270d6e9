"""The words after `vaekl audit`: key=value, with a sentence for every mistake."""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any

from vaekl.system.checks import one_of, positive, whole
from vaekl.system.errors import VaeklError, did_you_mean
from vaekl.verbs.audit.loss import Loss
from vaekl.verbs.audit.other_names import of_a_loss, refuse_key

Reader = Callable[[str, str], Any]


def pairs(words: Sequence[str], keys: Iterable[str], hint: str = "") -> dict[str, str]:
    """The words as key -> value.

    Args:
        words: what was typed.
        keys: that there are; `transform.*` stands for every key of that group, and `*` for any.
        hint: what the sentence for an unknown key says after that key.

    Raises:
        VaeklError: for a word that is no key=value, a key that does not exist, or one that is given twice.
    """
    names = list(keys)
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if word.startswith("-"):
            raise VaeklError(f"unknown option {word}: see `vaekl audit --help`.")
        if not equals or not key:
            raise VaeklError(f"cannot read {word!r}: write key=value, as in reconstruction=mse.")
        if key not in names and "*" not in names and f"{key.split('.')[0]}.*" not in names:
            refuse_key(key, value)
            suggestion = did_you_mean(key, [name for name in names if not name.endswith("*")])
            raise VaeklError(f"there is no key {key}{suggestion}{hint}: `vaekl audit --help` lists them.")
        if key in values:
            raise VaeklError(f"{key} is given twice, as {values[key]} and {value}: leave one of them away.")
        values[key] = value
    return values


def read_loss(words: Sequence[str]) -> Loss:
    """The loss that the words describe.

    Raises:
        VaeklError: one sentence for any mistake.
    """
    values = pairs(words, [*READERS, *_WEIGHTS])
    named = [key for key in _WEIGHTS if key in values]
    if len(named) > 1:
        raise VaeklError(f"{' and '.join(named)} are names of one number: leave the others away.")
    if {"beta", "beta_norm"} <= values.keys():
        raise VaeklError("beta and beta_norm are one number, β and β·Z/N: leave one of them away.")
    if "reconstruction" not in values:
        raise VaeklError("reconstruction is missing: say reconstruction=mse, l1, bce, gaussian_nll, poisson or nb.")
    options = {key: READERS[key](key, value) for key, value in values.items() if key in READERS}
    for key in named:
        text = values[key]
        options |= {"kl_weight": "M_N" if text == "M_N" else positive_number(key, text), "kl_weight_name": key}
    options["sum_is_typed"] = values.get("reduction") == "sum" and "batch_reduction" not in values
    return Loss(**options)


def positive_number(key: str, text: str) -> float:
    """The text as a positive number.

    Raises:
        VaeklError: names the key.
    """
    value = _converted(float, text)
    if value == 0 and key in _OF_THE_KL:
        raise VaeklError(f"{key} must be a positive number: without a KL it is an autoencoder, and implies no density.")
    return positive(value, key)


def size(key: str, text: str) -> int:
    """The text as a whole number from 1, small enough for a float to hold it exactly.

    Raises:
        VaeklError: names the key.
    """
    return whole(_converted(int, text), key, 1, 2**53)


def _converted(number: type[int] | type[float], text: str) -> int | float | str:
    """The number that the text spells, or the text itself where it spells none."""
    try:
        return number(text)
    except ValueError:
        return text


def parts(text: str) -> list[str]:
    """The items of `[a,b]` or `a,b`.

    >>> parts("[3, 64,64]")
    ['3', '64', '64']
    """
    inside = text.strip().removeprefix("[").removesuffix("]")
    return [part.strip() for part in inside.split(",")] if inside.strip() else []


def _one_of(*choices: str) -> Reader:
    return lambda key, text: one_of(text, key, choices)


def _reconstruction(key: str, text: str) -> str:
    if answer := of_a_loss(text):
        raise VaeklError(f"{key}={text}: {answer}.")
    return one_of(text, key, ("mse", "l1", "bce", "gaussian_nll", "poisson", "nb"))


def _flag(key: str, text: str) -> bool:
    return bool(_one_of("false", "true")(key, text.lower()) == "true")


def _shape(key: str, text: str) -> tuple[int, ...]:
    sizes = parts(text.replace("×", ",").replace("x", ","))
    if not 1 <= len(sizes) <= 4:
        raise VaeklError(
            f"{key} must be the sizes of one example, as in shape=[3,64,64] of an image or shape=[13] of a vector, "
            f"not {text or 'nothing'}."
        )
    return tuple(size(key, part) for part in sizes)


def _range(key: str, text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in parts(text))
    except ValueError:
        low, high = 0.0, -inf
    if not -inf < low < high < inf:
        raise VaeklError(f"{key} must be [low,high], as in range=[-1,1], not {text or 'nothing'}.")
    return low, high


_WEIGHTS = ("kl_weight", "kld_weight", "M_N")
_OF_THE_KL = (*_WEIGHTS, "beta", "beta_norm", "beta_kl")
#: how the value of each word is read
READERS: dict[str, Reader] = {
    "reconstruction": _reconstruction,
    "half": _flag,
    "full": _flag,
    "reduction": _one_of("sum", "mean"),
    "kl_reduction": _one_of("sum", "mean"),
    "batch_reduction": _one_of("mean", "sum"),
    "kl_batch_reduction": _one_of("mean", "sum"),
    "reconstruction_weight": positive_number,
    "beta": positive_number,
    "beta_norm": positive_number,
    "shape": _shape,
    "latents": size,
    "batch_size": size,
    "train_images": size,
    "range": _range,
    "data": _one_of("grey", "binary"),
}
