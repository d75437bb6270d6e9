"""What is tried: variants of the likelihoods, with the weighting that the theory asks for, and numbers of latents."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from vaekl.store.suggest_schema import Look
from vaekl.verbs.audit.densities import SQUARE

_LATENTS = 20
_LONGEST_NAME = 100
#: share of the latents above which more of them are tried
_FULL = 0.9
#: information weights that are tried for an aim other than the density, beside 1
_WEIGHTS = {"samples": (2.0, 4.0), "reconstruction": (0.25, 0.0625), "representation": (0.25, 4.0)}


@dataclass(frozen=True)
class Candidate:
    """A model that may be suggested.

    Args:
        words: that choose its likelihood and its weighting.
        latents: Z.
    """

    words: tuple[str, ...]
    latents: int

    @property
    def label(self) -> str:
        """The words of `vaekl train` that choose it."""
        return " ".join([*self.words, f"model.latents={self.latents}"])

    @property
    def likelihood(self) -> str:
        """The name of the family."""
        return self.words[0].partition("=")[2]

    def folder(self, seed: int) -> str:
        """The name of the folder of one of its runs."""
        pairs = [word.partition("=") for word in self.words]
        parts = [value if "." not in key else f"{key.split('.')[-1]}={value}" for key, _, value in pairs]
        name = re.sub(r"[^\w=.-]", "-", "_".join([*parts, f"z{self.latents}", f"seed{seed}"]))
        return name[-_LONGEST_NAME:].lstrip(".-")

    def words_of_run(self, seed: int) -> list[str]:
        """The words of one of its runs, beside those of the data."""
        return [*self.words, f"model.latents={self.latents}", f"seed={seed}"]

    def with_latents(self, latents: int) -> "Candidate":
        """The same with another number of latents."""
        return replace(self, latents=latents)


def candidates(look: Look, latents: int | None) -> list[Candidate]:
    """All that fits the data: first the plain form of each family, then variants, so that the first are the likeliest.

    Args:
        look: at the data.
        latents: Z where the user says so.
    """
    z = latents or min(_LATENTS, max(1, prod(look.shape) // 2))
    depth = max(len(variants) for variants in look.fitting.values())
    rows = [[variants[place] for variants in look.fitting.values() if place < len(variants)] for place in range(depth)]
    return [Candidate(tuple(words), z) for row in rows for words in row]


def without_constant(look: Look, latents: int) -> Candidate | None:
    """Cross-entropy on grey values without its constant, which people use; None where the data are not grey."""
    return Candidate(tuple(look.reference), latents) if look.reference else None


def squared_errors(look: Look, latents: int) -> Candidate | None:
    """The plain model of squared errors with one φ for all values, which people use; None where it does not fit."""
    variants = look.fitting.get(SQUARE.likelihood)
    return Candidate(tuple(variants[0]), latents) if variants else None


def finalists(
    ranked: Sequence[Candidate], used: float, count: int, aim: str, look: Look, free: bool
) -> list[Candidate]:
    """What is trained with several seeds: the best, and the best with more latents where it uses nearly all of them.

    For an aim other than the density it is the best likelihood at several information weights.

    Args:
        ranked: candidates, best first.
        used: latents that the best one uses.
        count: how many finalists there are.
        aim: of the suggestion.
        look: at the data.
        free: whether the number of latents is to be chosen.
    """
    best = ranked[0]
    if aim in _WEIGHTS:
        more = [replace(best, words=(*best.words, *_weighed(weight))) for weight in _WEIGHTS[aim]]
        return [best, *more]
    wider = best.with_latents(2 * best.latents)
    if free and used >= _FULL * best.latents and wider.latents < prod(look.shape) and count > 1:
        return [*ranked[: count - 1], wider]
    return list(ranked[:count])


def _weighed(weight: float) -> list[str]:
    return ["control=information_weight", f"control.weight={weight:g}"]
