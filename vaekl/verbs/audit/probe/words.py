"""What may be typed after `vaekl audit FILE.py:NAME`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vaekl.system.errors import VaeklError
from vaekl.system.terminal import show
from vaekl.verbs.audit.parse import READERS, pairs, positive_number

_SECONDS = 120.0
_OWN = ("shape", "latents", "batch_size", "train_images", "range", "data")


@dataclass(frozen=True)
class Words:
    """What was typed beside the loss.

    Args:
        numbers: for arguments of the loss.
        shape, latents, batch_size, train_images, range, data: as `vaekl audit --help` has them; None or the default
            where nothing was typed.
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None
    latents: int | None = None
    batch_size: int | None = None
    train_images: int | None = None
    range: tuple[float, float] = (0.0, 1.0)
    data: str = "grey"

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Words":
        """From JSON."""
        shape = content["shape"]
        return cls(**{**content, "shape": None if shape is None else tuple(shape), "range": tuple(content["range"])})

    @classmethod
    def typed(cls, values: Mapping[str, str]) -> "Words":
        """From key -> value as typed: audit's own words, and numbers for arguments of the loss.

        Raises:
            VaeklError: one sentence for any mistake.
        """
        own = {key: READERS[key](key, values[key]) for key in _OWN if key in values}
        return cls({key: _number(key, text) for key, text in values.items() if key not in own}, **own)


def audit_file(file: str, name: str, words: Sequence[str], title: str = "") -> None:
    """Print what a loss in a file is.

    Args:
        file: of Python.
        name: of the loss in it.
        words: that were typed beside it.
        title: what it is called, if not by its file and name.

    Raises:
        VaeklError: one sentence for any mistake.
    """
    from vaekl import __version__
    from vaekl.verbs.audit.probe.process import read_in_process

    wants_json = "--json" in words
    values = pairs([word for word in words if word != "--json"], ["*"])
    seconds = positive_number("seconds", values.pop("seconds")) if "seconds" in values else _SECONDS
    answer = read_in_process(file, name, Words.typed(values), seconds)
    if wants_json:
        show(
            json.dumps(
                {"vaekl": __version__, "audited": answer["title"], **answer["json"]}, ensure_ascii=False, indent=2
            )
        )
    else:
        show(f"vaekl {__version__}, {title or answer['title']}\n{answer['text']}")


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise VaeklError(
            f"{key}={text} is no number: what is typed after FILE.py:NAME are the numbers of its arguments."
        ) from None
