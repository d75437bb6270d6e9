"""For tests of one's own loss: it is evaluated on designed inputs, as `vaekl audit FILE.py:LOSS` does."""

from collections.abc import Callable
from typing import Any, Literal

from vaekl.system.errors import VaeklError
from vaekl.verbs.audit.probe.card_words import NoCard, card_of, weight_ratio
from vaekl.verbs.audit.probe.entry import read
from vaekl.verbs.audit.probe.load import target
from vaekl.verbs.audit.probe.reading import Reading
from vaekl.verbs.audit.probe.verdict import mistakes, what_hides_a_weight
from vaekl.verbs.audit.probe.words import Words

_EXAMPLES = {"shape": "shape=(3, 64, 64)", "latents": "latents=128", "batch_size": "batch_size=64"}


def assert_elbo(
    loss: Callable[..., Any],
    *,
    shape: tuple[int, ...] | None = None,
    latents: int | None = None,
    batch_size: int | None = None,
    data: Literal["grey", "binary"] = "grey",
    **numbers: float,
) -> None:
    """Fail where a loss is not the negative ELBO of a density, up to a factor and a number that no network changes.

    Args:
        loss: a function or method of x̂, x, μ and the second parameter of q(z|x), under any names and in any order, or a
            model that has one.
        shape: of one example; guessed where it is not given.
        latents: how many; the same.
        batch_size: of the training.
        data: whether a cross-entropy is of grey or of binary values.
        **numbers: for arguments of the loss, as beta=4.0.

    Raises:
        AssertionError: says why not.
        VaeklError: it cannot be called, or data is another word.
    """
    if data not in ("grey", "binary"):
        raise VaeklError(f"data={data!r} is unknown: it is 'grey' or 'binary'.")
    wrong = mistakes(_read(loss, Words(numbers, shape, latents, batch_size, data=data)))
    if wrong:
        raise AssertionError("; ".join(wrong))


def assert_beta(
    loss: Callable[..., Any],
    expected: float,
    /,
    *,
    rel: float = 1e-3,
    shape: tuple[int, ...] | None = None,
    latents: int | None = None,
    batch_size: int | None = None,
    **numbers: float,
) -> None:
    """Fail where the KL's weight over the energy's is another one: φ, or λ where φ is no scale.

    The energy of a square is ½(x − x̂)², so that Σ(x − x̂)² + 4 · KL has β = 2.

    Args:
        loss: as in `assert_elbo`.
        expected: β.
        rel: by what share it may differ.
        shape: of one example; needed where a mean divides by its size.
        latents: how many; the same.
        batch_size: of the training; needed where one term alone is averaged over it.
        **numbers: for arguments of the loss, as beta=4.0.

    Raises:
        AssertionError: it differs, or cannot be told.
        VaeklError: it cannot be called.
    """
    reading = _read(loss, Words(numbers, shape, latents, batch_size))
    wrong = what_hides_a_weight(reading)
    if wrong:
        raise AssertionError(f"the KL has no weight β: {'; '.join(wrong)}")
    ratio = weight_ratio(reading)
    if ratio is None:
        raise AssertionError(f"β cannot be told: {_why_no_ratio(reading)}")
    if abs(ratio - expected) > rel * abs(expected):
        raise AssertionError(f"the KL's weight over the energy's is {ratio:.6g}, not {expected:g}")


def _why_no_ratio(reading: Reading) -> str:
    card = card_of(reading)
    if isinstance(card, NoCard) and card.lacks:
        return f"give {', '.join(_EXAMPLES[name] for name in card.lacks)}"
    if isinstance(card, NoCard) and card.sentence:
        return card.sentence
    return "; ".join(mistakes(reading)) or "the terms are not read"


def _read(loss: Callable[..., Any], words: Words) -> Reading:
    name = getattr(loss, "__name__", type(loss).__name__)
    its = target(loss, getattr(loss, "__self__", None), name, name)
    return read(its.function, words, its.owner)
