"""The losses of `docs/gallery.md`, with the words that are typed beside each and the lines that it shows."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch

PAGE = (Path(__file__).parents[3] / "docs" / "gallery.md").read_text(encoding="utf-8")
_SECTION = re.compile(
    r"^## (?P<title>.*?)\n.*?```python\n(?P<code>.*?)```\n\n    vaekl audit gallery\.py:(?P<name>\S+)(?P<words>.*?)\n\n"
    r"```\n(?P<lines>.*?)```",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Case:
    """One section.

    Args:
        title: of the section.
        thing: the function, or the class.
        name: what is audited of it.
        words: typed beside it.
        lines: that the page shows.
    """

    title: str
    thing: object
    name: str
    words: list[str]
    lines: list[str]


def cases() -> list[Case]:
    """Every section of the page."""
    head = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    space: dict = {}
    exec(head, space)
    made = []
    for section in _SECTION.finditer(PAGE):
        exec(section["code"], space)
        thing = space[section["name"].split(".")[0]]
        made.append(
            Case(section["title"], thing, section["name"], section["words"].split(), section["lines"].splitlines())
        )
    return made


def seeded(case: Case) -> object:
    """The thing, or an object of the class with the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return case.thing() if isinstance(case.thing, type) else case.thing
