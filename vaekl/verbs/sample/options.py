"""The keys of `vaekl sample`, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vaekl.run.load import SPLITS
from vaekl.system.checks import one_of, optional, positive, whole
from vaekl.system.errors import VaeklError

#: kinds of pictures, in the order in which they are made
KINDS = ("prior", "reconstructions", "traversal", "interpolation", "plane", "latents")
#: those of them that are decoded latents
PLATES = KINDS[:-1]
#: those of them that are rows of a table too
ROWS = ("prior", "reconstructions")
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
    images: list[int] | None
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
        if options["format"] == "csv" and not {*ROWS} & {*options["what"]}:
            raise VaeklError(f"a table has rows of {' and '.join(ROWS)}: add one of them to sample.what, or use npz.")
        latents, images = (_numbers(options[key], f"sample.{key}") for key in ("latents", "images"))
        for key, many in (("count", count), ("images", len(images or ()))):
            if many > _MOST_IN_A_PNG and options["format"] == "png":
                raise VaeklError(
                    f"no PNG holds {many} pictures, as sample.{key} has (most: {_MOST_IN_A_PNG:,}): use npz."
                )
        return cls(
            what=some_of("what", KINDS),
            decoder=some_of("decoder", tuple(DECODERS)),
            format=one_of(options["format"], "sample.format", ("png", "npz", "csv")),
            count=count,
            columns=whole(options["columns"], "sample.columns", 2),
            span=positive(options["span"], "sample.span"),
            latents=None if latents is None else list(dict.fromkeys(latents)),
            split=one_of(options["split"], "sample.split", SPLITS),
            images=images,
            seed=whole(options["seed"], "sample.seed"),
            checkpoint=optional(one_of, options["checkpoint"], "sample.checkpoint", ("last", "best")),
            device=str(options["device"]),
        )


def _numbers(value: Any, key: str) -> list[int] | None:
    """One whole number, or several with commas between them; None for null."""
    if value is None:
        return None
    words = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    numbers = [int(word) if isinstance(word, str) and word.strip().isdecimal() else word for word in words]
    also = "null, or several with commas between them, each "
    return [whole(number, key, also=also) for number in numbers] or None
