"""The keys of `vaekl sample`, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vaekl.system.checks import one_of, optional, positive, whole
from vaekl.system.errors import VaeklError

#: kinds of pictures, in the order in which they are made
KINDS = ("prior", "reconstructions", "traversal", "interpolation")
#: what may be made of a decoder's output, and how a picture's label says it
DECODERS = {"mean": "mean of p(x|z)", "sample": "a draw from p(x|z)"}
_MOST_IN_A_PNG = 10_000


@dataclass(frozen=True)
class SampleOptions:
    """The keys of `conf/sample.yaml`; their meanings stand there."""

    what: list[str]
    decoder: list[str]
    format: str
    count: int
    columns: int
    span: float
    latents: list[int] | None
    split: str
    seed: int
    checkpoint: str | None
    device: str

    @classmethod
    def checked(cls, options: dict[str, Any]) -> "SampleOptions":
        """Refuse what makes no sense, before anything is loaded.

        Raises:
            VaeklError: names the key.
        """

        def some_of(key: str, choices: Sequence[str]) -> list[str]:
            chosen = [one_of(value, f"sample.{key}", choices) for value in options[key]]
            return [choice for choice in choices if choice in chosen]

        count = whole(options["count"], "sample.count", 1)
        if count > _MOST_IN_A_PNG and options["format"] == "png":
            raise VaeklError(f"no PNG holds sample.count={count} images (most: {_MOST_IN_A_PNG:,}): use npz.")
        return cls(
            what=some_of("what", KINDS),
            decoder=some_of("decoder", tuple(DECODERS)),
            format=one_of(options["format"], "sample.format", ("png", "npz")),
            count=count,
            columns=whole(options["columns"], "sample.columns", 2),
            span=positive(options["span"], "sample.span"),
            latents=_latents(options["latents"]),
            split=one_of(options["split"], "sample.split", ("test", "valid", "train")),
            seed=whole(options["seed"], "sample.seed"),
            checkpoint=optional(one_of, options["checkpoint"], "sample.checkpoint", ("last", "best")),
            device=str(options["device"]),
        )


def _latents(value: Any) -> list[int] | None:
    """One number, or several with commas between them, each once in the order of the words; None for null."""
    if value is None:
        return None
    words = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    numbers = [int(word) if isinstance(word, str) and word.strip().isdecimal() else word for word in words]
    if not numbers:
        return None
    also = "null, or several with commas between them, each "
    return list(dict.fromkeys(whole(number, "sample.latents", also=also) for number in numbers))
